"""Places for connections that nobody vouches for: so many, and so many of one address. A newcomer always gets in: at a
bound somebody of its own address goes, or where all places are taken, of the address that has most."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.runtime.address import Address, Scope


def place_of(address: Address) -> bytes:
    """Whoever has one address of a global IPv6 /64 mostly has all of them (RFC 6177); else an address is a place of
    its own."""
    if len(address.ip) == 16 and address.scope is Scope.GLOBAL:
        return address.ip[:8]
    return address.ip + address.zone.to_bytes(4, "big")


@attrs.define(slots=True, eq=False)
class Slot:
    """Of one connection. `evict` is called, once, if another takes its place."""

    place: bytes
    evict: Callable[[], object]
    #: It has sent a whole message: it is not a socket that somebody only opened.
    spoke: bool = False


@attrs.define(slots=True, eq=False)
class Crowd:
    """`enter`, and `leave` in the end: also when asked to go."""

    places: int
    per_place: int
    #: The oldest first.
    _by_place: dict[bytes, list[Slot]] = attrs.field(factory=dict, init=False)
    _total: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return self._total

    def enter(self, address: Address, evict: Callable[[], object]) -> Slot:
        place = place_of(address)
        here = self._by_place.get(place, [])
        if len(here) >= self.per_place:
            self._evict(here)
        elif self._total >= self.places:
            self.send_one_away()
        slot = Slot(place, evict)
        self._by_place.setdefault(place, []).append(slot)
        self._total += 1
        return slot

    def leave(self, slot: Slot) -> None:
        """Any number of times."""
        here = self._by_place.get(slot.place, [])
        if slot in here:
            here.remove(slot)
            self._total -= 1
            if not here:
                del self._by_place[slot.place]

    def send_one_away(self) -> bool:
        """Of the address that has most; False if nobody is here."""
        if not self._by_place:
            return False
        self._evict(max(self._by_place.values(), key=len))
        return True

    def _evict(self, slots: list[Slot]) -> None:
        """The oldest that has said nothing; the oldest, if all have."""
        slot = next((slot for slot in slots if not slot.spoke), slots[0])
        self.leave(slot)
        slot.evict()
