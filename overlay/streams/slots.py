"""Who may have how many streams at once. Whatever is taken here is given back in a `finally`."""

from __future__ import annotations

import attrs

from overlay.errors import LimitError
from overlay.limits import (
    MAX_INCOMING_PLAIN,
    MAX_INCOMING_STREAMS,
    MAX_LARGE_WINDOWS,
    MAX_PLAIN,
    MAX_PLAIN_LARGE_WINDOWS,
    MAX_PLAIN_PER_ADDRESS,
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


@attrs.frozen(slots=True)
class Bounds:
    """How many streams there may be at once."""

    all: int
    #: Of them those that others opened; of these, from one address (IPv6: /64).
    incoming: int
    per_address: int
    #: With one peer, both ways.
    per_peer: int
    #: With the large window.
    large: int


SEALED = Bounds(
    all=MAX_STREAMS, incoming=MAX_INCOMING_STREAMS, per_address=MAX_STREAMS_PER_ADDRESS, per_peer=MAX_STREAMS_PER_PEER,
    large=MAX_LARGE_WINDOWS,
)  # fmt: skip
#: A peer is an address there: nobody has proved to be anybody.
PLAIN = Bounds(
    all=MAX_PLAIN, incoming=MAX_INCOMING_PLAIN, per_address=MAX_PLAIN_PER_ADDRESS, per_peer=MAX_PLAIN_PER_ADDRESS,
    large=MAX_PLAIN_LARGE_WINDOWS,
)  # fmt: skip


@attrs.define(slots=True, eq=False)
class Sessions:
    """Streams after their handshake, and those that this side dials."""

    bounds: Bounds
    total: int = attrs.field(default=0, init=False)
    incoming: int = attrs.field(default=0, init=False)
    large: int = attrs.field(default=0, init=False)
    _by_peer: dict[bytes, int] = attrs.field(factory=dict, init=False)
    _by_place: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def full_for(self, address: Address) -> bool:
        """Whether nobody from there would get one, whoever it is: asked before a handshake costs anything."""
        return (
            self.incoming >= self.bounds.incoming
            or self.total >= self.bounds.all
            or self._by_place.get(place_of(address), 0) >= self.bounds.per_address
        )

    def take(self, peer: bytes, address: Address, *, incoming: bool) -> Lease:
        """LimitError at a bound."""
        bounds = self.bounds
        if self.total >= bounds.all:
            raise LimitError(f"this peer has {bounds.all} streams, no more at once")
        if self._by_peer.get(peer, 0) >= bounds.per_peer:
            raise LimitError(f"there are {bounds.per_peer} streams with that peer, no more at once")
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
        if not lease.large and not lease.over and self.large < self.bounds.large:
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
