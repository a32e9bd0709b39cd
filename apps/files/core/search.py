"""Search: what this node can be found by, and what people find by words.

    run               announces the words of the catalogue as long as it runs
    post, withdraw    a share can be found, or no longer
    answer            questions of other peers
    find              the command
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from apps.files.core.asking import Asker
from apps.files.core.catalogue import Catalogue, Entry
from apps.files.core.findings import Findings, Where
from apps.files.core.index import DhtIndex, Index
from apps.files.core.limits import (
    ANNOUNCERS,
    DEFAULT_SEARCH_S,
    LEASE_S,
    MAX_ASKED_TERMS,
    MAX_HOLDERS_ASKED,
    MAX_HOLDS,
    MAX_QUERY_CHARS,
    MAX_SEARCH_S,
    MAX_SEARCHES,
    MAX_SEED_LOOKUPS,
    MAX_SEEDS_LOOKED_UP,
    MAX_TERMS,
    REANNOUNCE_S,
)
from apps.files.core.posting import decode_posting, encode_posting
from apps.files.core.questions import Find, Found, Holding, Holds
from apps.files.core.share import Share
from apps.files.core.sources import provider_key
from apps.files.core.terms import terms
from overlay.app import AppContext
from overlay.errors import BadMessage, LimitError, LocalError, OverlayError, Refused
from overlay.limits import MAX_APP_BODY
from overlay.rpc.contact import Contact
from overlay.runtime.group import together
from overlay.runtime.loop import Future
from overlay.runtime.ports import SECOND
from overlay.typed import encode_message

#: A third of the time of a search is for looking for seeds of what was found in the other two.
_PARTS = 3


@attrs.define(slots=True, eq=False)
class Search:
    ctx: AppContext
    #: Whether all of a share is here, and others may know it.
    whole: Callable[[bytes], bool]
    blame: Callable[[bytes, str], object]
    banned: Callable[[bytes], bool]
    catalogue: Catalogue = attrs.field(init=False)
    asker: Asker = attrs.field(init=False)
    index: Index = attrs.field(init=False)
    _searches: int = attrs.field(default=0, init=False)
    #: It was told that there are too many words, and they have not become fewer since.
    _told: bool = attrs.field(default=False, init=False)
    _news: Future[None] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.catalogue = Catalogue(self._sign)
        self.asker = Asker(self.ctx, self.blame, self.banned)
        self.index = DhtIndex(self.asker)

    # --- what can be found here -------------------------------------------------------------

    def post(self, share: Share, tags: tuple[str, ...]) -> None:
        """All of it is here. A private share (BEP 27) is told to nobody."""
        info = share.info
        if info is None or info.private:
            return
        entry = Entry(share.id, info.name.decode(errors="replace"), info.length, len(info.files), tags)
        self.catalogue.add(entry, self.ctx.now.mono_ns)
        left_out = self.catalogue.left_out
        if left_out and not self._told:
            self.ctx.emit("too many words", announced=MAX_TERMS, left_out=left_out)
        self._told = left_out > 0
        if self._news is not None:
            self._news.set()

    def withdraw(self, share: bytes) -> None:
        """It is given to nobody from now on. That this node has something for its words stays in the DHT until the
        lease is over, and means nothing."""
        self.catalogue.drop(share)
        self._told = self._told and self.catalogue.left_out > 0

    async def run(self) -> None:
        """Announce words, and again before they are forgotten."""
        await together(self.ctx.dht.loop, *(self._announce() for _ in range(ANNOUNCERS)))

    async def _announce(self) -> None:
        loop = self.ctx.dht.loop
        while True:
            word = self.catalogue.next_word(loop.now.mono_ns)
            if word is None:
                if self._news is None or self._news.done:
                    self._news = loop.future()
                due_ns = self.catalogue.next_due_ns()
                with loop.scope() if due_ns is None else loop.move_on_at(due_ns):
                    await self._news
                continue
            self.catalogue.postpone(word, LEASE_S, loop.now.mono_ns)  # it is in work: not for the other one
            try:
                known = await self.index.announce(word)
            except OverlayError as error:
                known = False
                self.ctx.emit("not announced", word=word, error=str(error))
            if known:  # a tenth of jitter: not all at once for ever after a start
                again_s = LEASE_S * 9 // 20 + self.ctx.rng.below(LEASE_S // 20)
                self.catalogue.postpone(word, again_s, loop.now.mono_ns)
            else:  # nobody is there: the others would fare no better now
                self.catalogue.postpone(word, 0, loop.now.mono_ns)
                await loop.sleep(REANNOUNCE_S * SECOND)

    def _sign(self, entry: Entry, expires_ms: int) -> bytes:
        endpoint = self.ctx.dht.endpoint
        return encode_posting(
            endpoint.signer, endpoint.network, share=entry.share, name=entry.name, size=entry.size,
            files=entry.files, tags=entry.tags, expires_ms=expires_ms,
        )  # fmt: skip

    # --- questions of others ----------------------------------------------------------------

    async def answer(self, asker: bytes, question: Find | Holds) -> Found | Holding:
        """For `ctx.serve`."""
        if self.banned(asker):
            raise Refused("banned")
        if isinstance(question, Holds):
            return Holding(tuple(share in self.catalogue and self.whole(share) for share in question.shares))
        wall_ms = self.ctx.now.wall_ms
        found = [entry for entry in self.catalogue.matching(question.words) if self.whole(entry.share)]
        answer = Found((), more=False)
        for number, entry in enumerate(found[question.first :], question.first + 1):
            longer = Found((*answer.postings, self.catalogue.posting(entry, wall_ms)), more=number < len(found))
            if len(encode_message(longer)) > MAX_APP_BODY:
                return Found(answer.postings, more=True)
            answer = longer
        return answer

    # --- the command ------------------------------------------------------------------------

    async def find(self, args: dict[str, Any]) -> dict[str, Any]:
        """{"words", "seconds"?} -> {"results": [see findings.listed], "asked": peers}."""
        findings, seconds = Findings(_words(args.get("words"))), _seconds(args.get("seconds"))
        if self._searches >= MAX_SEARCHES:
            raise LimitError(f"{MAX_SEARCHES} searches are under way already; wait for one to end")
        loop = self.ctx.dht.loop
        part_ns = round(seconds * SECOND) // _PARTS
        self._searches += 1
        try:
            self._find_here(findings)
            await self.index.find(findings, (_PARTS - 1) * part_ns)
            with loop.move_on_after(part_ns):
                await self._count_seeds(findings, part_ns // 2)
        finally:
            self._searches -= 1
        return {"results": findings.listed(), "asked": len(findings.asked)}

    def _find_here(self, findings: Findings) -> None:
        endpoint = self.ctx.dht.endpoint
        for entry in self.catalogue.matching(findings.words):
            if self.whole(entry.share):
                raw = self.catalogue.posting(entry, self.ctx.now.wall_ms)
                findings.add(decode_posting(raw, endpoint.network, endpoint.verifier), Where(b"here"))

    async def _count_seeds(self, findings: Findings, lookups_ns: int) -> None:
        """Ask providers of the best results whether they hold all: they may have got it under another name."""
        shares = findings.best(MAX_SEED_LOOKUPS)
        asked: dict[Contact, list[bytes]] = {}
        lookups = (self._sources(share, lookups_ns) for share in shares)
        for share, contacts in zip(shares, await together(self.ctx.dht.loop, *lookups), strict=True):
            for contact in contacts:
                if not findings.is_seed(share, contact.id) and len(about := asked.setdefault(contact, [])) < MAX_HOLDS:
                    about.append(share)
        peers = [contact for contact, about in asked.items() if about][:MAX_HOLDERS_ASKED]

        async def ask(contact: Contact) -> None:
            findings.asked.add(contact.id)
            about = asked[contact]
            answer = await self.ctx.call(contact, Holds(tuple(about)), Holding)
            if len(answer.whole) != len(about):
                raise BadMessage("an answer to another question")
            for share, whole in zip(about, answer.whole, strict=True):
                if whole:
                    findings.add_seed(share, contact.id, self.asker.where(contact))

        await self.asker.ask(peers, ask)

    async def _sources(self, share: bytes, within_ns: int) -> list[Contact]:
        try:
            return await self.asker.providers(provider_key(share), MAX_SEEDS_LOOKED_UP, within_ns)
        except LimitError:
            return []


def _words(given: object) -> tuple[str, ...]:
    if not isinstance(given, str) or len(given) > MAX_QUERY_CHARS:
        raise LocalError(f'"words" is a text of at most {MAX_QUERY_CHARS} characters')
    words = terms(given)
    if not words:
        raise LocalError(f"there is no word in {given!r}: a word has letters or numbers")
    if len(words) > MAX_ASKED_TERMS:
        raise LocalError(f"{len(words)} words (scripts without spaces: pairs of letters), at most {MAX_ASKED_TERMS}")
    return words


def _seconds(given: object) -> float:
    if given is None:
        return DEFAULT_SEARCH_S
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given <= MAX_SEARCH_S:
        raise LocalError(f'"seconds" is a number above 0, at most {MAX_SEARCH_S}, not {given!r}')
    return given
