"""Who may have how many streams at once. Whatever is taken here is given back in a `finally`."""

from __future__ import annotations

import attrs

from overlay.errors import LimitError
from overlay.limits import (
    MAX_INCOMING_STREAMS,
    MAX_LARGE_WINDOWS,
    MAX_STREAMS,
    MAX_STREAMS_PER_ADDRESS,
    MAX_STREAMS_PER_PEER,
)
from overlay.runtime.address import Address
from overlay.streams.crowd import place_of


@attrs.define(slots=True, eq=False)
class Lease:
    """Of one stream: who has it. Given back once."""

    peer: bytes
    #: None: this side opened it.
    place: bytes | None
    large: bool = False
    over: bool = False


@attrs.define(slots=True, eq=False)
class Sessions:
    """Streams after their handshake, and those that this side dials."""

    total: int = 0
    incoming: int = 0
    large: int = 0
    _by_peer: dict[bytes, int] = attrs.Factory(dict)
    _by_place: dict[bytes, int] = attrs.Factory(dict)

    def full_for(self, address: Address) -> bool:
        """Whether nobody from there would get one, whoever it is: asked before a handshake costs anything."""
        return (
            self.incoming >= MAX_INCOMING_STREAMS
            or self.total >= MAX_STREAMS
            or self._by_place.get(place_of(address), 0) >= MAX_STREAMS_PER_ADDRESS
        )

    def take(self, peer: bytes, address: Address, *, incoming: bool) -> Lease:
        """LimitError at a bound."""
        if self.total >= MAX_STREAMS:
            raise LimitError(f"this peer has {MAX_STREAMS} streams, no more at once")
        if self._by_peer.get(peer, 0) >= MAX_STREAMS_PER_PEER:
            raise LimitError(f"there are {MAX_STREAMS_PER_PEER} streams with that peer, no more at once")
        if incoming and self.full_for(address):
            raise LimitError("others have opened as many streams as this peer takes")
        lease = Lease(peer, place_of(address) if incoming else None)
        self.total += 1
        _add(self._by_peer, peer, 1)
        if lease.place is not None:
            self.incoming += 1
            _add(self._by_place, lease.place, 1)
        return lease

    def enlarge(self, lease: Lease) -> bool:
        """Whether this stream may have a large window."""
        if not lease.large and not lease.over and self.large < MAX_LARGE_WINDOWS:
            lease.large = True
            self.large += 1
        return lease.large

    def release(self, lease: Lease) -> None:
        """Any number of times."""
        if lease.over:
            return
        lease.over = True
        self.total -= 1
        _add(self._by_peer, lease.peer, -1)
        if lease.place is not None:
            self.incoming -= 1
            _add(self._by_place, lease.place, -1)
        if lease.large:
            self.large -= 1


def _add(counts: dict[bytes, int], key: bytes, n: int) -> None:
    counts[key] = counts.get(key, 0) + n
    if not counts[key]:
        del counts[key]
