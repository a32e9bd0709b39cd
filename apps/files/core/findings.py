"""What a search has found, grouped by share and ranked. Of all that is said of a share only its id can be checked.

Peers are counted by *place*, too: a subnet of the internet, or an address and port of a LAN (overlay.dht.diversity).
Names and ranks go by places, so that a machine with a thousand keys says as much as one with a single key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from apps.files.core.limits import MAX_LINK_HINTS, MAX_POSTINGS_PER_PLACE, MAX_RESULTS, MAX_TAGS
from apps.files.core.links import Hint, make_link
from apps.files.core.names import shown
from apps.files.core.posting import Posting
from apps.files.core.terms import terms
from overlay.runtime.address import Address

#: What is said of a share beside its tags: name, size, number of files.
_Told = tuple[str, int, int]


@attrs.frozen(slots=True)
class Where:
    """Of a peer that answered."""

    place: bytes
    #: For links; None: this peer itself.
    address: Address | None = None


@attrs.define(slots=True, eq=False)
class _Result:
    share: bytes
    #: By the id of who says so: its place, and its posting.
    postings: dict[bytes, tuple[bytes, Posting]] = attrs.Factory(dict)
    #: By the ids of those that answered and say that they have all of it.
    seeds: dict[bytes, Where] = attrs.Factory(dict)

    def told(self) -> _Told:
        """What is said at most places; of as many, by most peers; then the smallest."""
        said: dict[_Told, set[bytes]] = {}
        for place, posting in self.postings.values():
            said.setdefault((posting.name, posting.size, posting.files), set()).add(place)
        peers = Counter((posting.name, posting.size, posting.files) for _, posting in self.postings.values())
        return min(said, key=lambda one: (-len(said[one]), -peers[one], one))

    def tags(self) -> list[str]:
        """Those given at most places first."""
        said: dict[str, set[bytes]] = {}
        for place, posting in self.postings.values():
            for tag in posting.tags:
                said.setdefault(tag, set()).add(place)
        return sorted(said, key=lambda tag: (-len(said[tag]), tag))[:MAX_TAGS]

    def rank(self, words: Sequence[str]) -> tuple[int, int, int, bytes]:
        """The first is the best: two points for a word of the name, one for a word of the tags alone, one more if the
        name has no other words; times one and the number of digits (binary) of the places with seeds."""
        name = terms(self.told()[0])
        match = sum(2 if word in name else 1 for word in words) + (set(name) == set(words))
        places = len({where.place for where in self.seeds.values()})
        return -match * (1 + places.bit_length()), -places, -len(self.postings), self.share


@attrs.define(slots=True, eq=False)
class Findings:
    words: tuple[str, ...]
    #: Ids of the peers that were asked.
    asked: set[bytes] = attrs.Factory(set)
    _results: dict[bytes, _Result] = attrs.Factory(dict)
    _places: Counter[bytes] = attrs.Factory(Counter)

    def __len__(self) -> int:
        return len(self._results)

    def add(self, posting: Posting, where: Where) -> bool:
        """A posting of a peer that answered. False if it says nothing new, lacks one of the words, or
        too many came from that place already."""
        peer, place = posting.author_id, where.place
        result = self._results.get(posting.share)
        if result is not None and peer in result.postings:
            return False
        found = {term for text in (posting.name, *posting.tags) for term in terms(text)}
        if not found.issuperset(self.words) or self._places[place] >= MAX_POSTINGS_PER_PLACE:
            return False
        self._places[place] += 1
        if result is None:
            result = self._results[posting.share] = _Result(posting.share)
        result.postings[peer] = place, posting
        result.seeds[peer] = where
        return True

    def add_seed(self, share: bytes, peer: bytes, where: Where) -> None:
        """A peer that answered has all of a share that was found."""
        self._results[share].seeds[peer] = where

    def is_seed(self, share: bytes, peer: bytes) -> bool:
        return peer in self._results[share].seeds

    def best(self, count: int) -> list[bytes]:
        """Ids of the shares that rank first."""
        return [result.share for result in self._ranked()[:count]]

    def listed(self) -> list[dict[str, Any]]:
        """For people, the best first."""
        return [_listed(result) for result in self._ranked()[:MAX_RESULTS]]

    def _ranked(self) -> list[_Result]:
        return sorted(self._results.values(), key=lambda result: result.rank(self.words))


def _listed(result: _Result) -> dict[str, Any]:
    name, size, files = result.told()
    safe = shown(name.encode())
    hints = [Hint(peer, where.address) for peer, where in result.seeds.items()]
    return {
        "id": result.share.hex(), "link": make_link(result.share, name=safe, hints=hints[:MAX_LINK_HINTS]),
        "name": safe, "size": size, "files": files, "seeds": len(result.seeds), "publishers": len(result.postings),
        "tags": [shown(tag.encode()) for tag in result.tags()],
    }  # fmt: skip
