"""Where postings are found. Behind this port stands the DHT now; super-peers can stand there beside it.

Who has a share with a word is a provider of the word's key in the DHT. Postings stay with their authors, who are asked
for those that have all words: so what is found was there a moment ago, and one that is paused or removed is gone at
once, whatever the DHT still holds. What others say of somebody's shares is not taken: one peer would bring as many
signers as it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from apps.files.core.asking import Asker
from apps.files.core.findings import Findings
from apps.files.core.limits import (
    LEASE_S,
    MAX_LEASE_S,
    MAX_LOOKED_UP,
    MAX_PEERS_ASKED,
    MAX_PEERS_PER_PLACE,
    MAX_POSTINGS_PER_PEER,
    MAX_SURELY_ALL,
    MAX_TERM_PROVIDERS,
)
from apps.files.core.posting import decode_posting
from apps.files.core.questions import Find, Found
from apps.files.core.terms import term_key
from overlay.app import AppContext
from overlay.errors import BadMessage
from overlay.rpc.contact import Contact
from overlay.runtime.group import together


class Index(Protocol):
    async def announce(self, word: str) -> bool:
        """Have this node found by it for LEASE_S; whether anybody knows it now. LimitError: too much to do."""

    async def find(self, findings: Findings, within_ns: int) -> None:
        """Add postings that have all words as they come, for so long. LimitError: too much to do."""


@attrs.define(slots=True, eq=False)
class DhtIndex:
    asker: Asker

    @property
    def ctx(self) -> AppContext:
        return self.asker.ctx

    async def announce(self, word: str) -> bool:
        return await self.ctx.announce(term_key(word), ttl_s=LEASE_S) > 0

    async def find(self, findings: Findings, within_ns: int) -> None:
        loop = self.ctx.dht.loop
        until_ns = loop.now.mono_ns + within_ns
        # The longest are the rarest, as a rule; how rare they are is known once they have been looked up.
        words = sorted(findings.words, key=lambda word: (-len(word), word))[:MAX_LOOKED_UP]
        lists = await self._look_up(words, within_ns * 2 // 3)
        peers = candidates(lists, self.asker.place_of, self.asker.capped, self.ctx.rng.shuffled)
        with loop.move_on_at(until_ns):
            await self.asker.ask(peers, lambda contact: self._find(contact, findings))

    async def _look_up(self, words: Sequence[str], within_ns: int) -> list[list[Contact]]:
        """Providers of each word; as soon as one is seen to have few, of that one alone."""
        loop = self.ctx.dht.loop
        most = MAX_PEERS_ASKED if len(words) == 1 else MAX_TERM_PROVIDERS
        lists: list[list[Contact]] = []
        with loop.scope() as enough:

            async def look_up(word: str) -> None:
                found = await self.asker.providers(term_key(word), most, within_ns)
                lists.append(found)
                if len(found) < MAX_SURELY_ALL:
                    enough.cancel()

            await together(loop, *(look_up(word) for word in words))
        return lists

    async def _find(self, contact: Contact, findings: Findings) -> None:
        findings.asked.add(contact.id)
        first, more = 0, True
        while more and first < MAX_POSTINGS_PER_PEER:  # an answer that goes on has a posting at least
            found = await self.ctx.call(contact, Find(findings.words, first), Found)
            for raw in found.postings[: MAX_POSTINGS_PER_PEER - first]:
                self._take(raw, contact, findings)
            first, more = first + len(found.postings), found.more

    def _take(self, raw: bytes, contact: Contact, findings: Findings) -> None:
        endpoint, wall_ms = self.ctx.dht.endpoint, self.ctx.now.wall_ms
        posting = decode_posting(raw, endpoint.network, endpoint.verifier)
        if posting.author != contact.key:
            raise BadMessage("a posting of somebody else")
        if wall_ms < posting.expires_ms <= wall_ms + MAX_LEASE_S * 1000:
            findings.add(posting, self.asker.where(contact))


def candidates(
    lists: Sequence[Sequence[Contact]],
    place_of: Callable[[Contact], bytes],
    capped: Callable[[Contact], bool],
    shuffled: Callable[[list[Contact]], list[Contact]],
) -> list[Contact]:
    """Whom to ask, of the providers of each word: of those of the rarest word, if that has so few that all of them are
    known, else of all words; who provides most of the words first. MAX_PEERS_ASKED, of one subnet of the internet
    MAX_PEERS_PER_PLACE; others every time."""
    count: dict[Contact, int] = {}
    for contacts in lists:
        for contact in contacts:
            count[contact] = count.get(contact, 0) + 1
    rarest = min(lists, key=len)
    able = list(dict.fromkeys(rarest)) if len(rarest) < MAX_SURELY_ALL else list(count)
    places: dict[bytes, int] = {}
    chosen: list[Contact] = []
    for contact in sorted(shuffled(able), key=lambda one: -count[one]):
        place = place_of(contact)
        if not capped(contact) or places.get(place, 0) < MAX_PEERS_PER_PLACE:
            places[place] = places.get(place, 0) + 1
            chosen.append(contact)
    return chosen[:MAX_PEERS_ASKED]
