"""How many tasks of one application work for others, and for each of them: no peer takes the places of all."""

from __future__ import annotations

import attrs


@attrs.define(slots=True, eq=False)
class Busy:
    _most: int
    _per_peer: int
    _all: int = attrs.field(default=0, init=False)
    #: By peer, or by address where the peer is not known; who has none is not in it.
    _by_peer: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return self._all

    @property
    def peers(self) -> int:
        """For how many it works."""
        return len(self._by_peer)

    def begin(self, peer: bytes) -> bool:
        """False: there are enough. Else `end` follows when the task is over."""
        here = self._by_peer.get(peer, 0)
        if here >= self._per_peer or self._all >= self._most:
            return False
        self._all += 1
        self._by_peer[peer] = here + 1
        return True

    def end(self, peer: bytes) -> None:
        self._all -= 1
        self._by_peer[peer] -= 1
        if not self._by_peer[peer]:
            del self._by_peer[peer]
