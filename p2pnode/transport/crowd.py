"""Places for connections that nobody vouches for: so many, and so many of one address. A newer one takes the place of
the oldest of its address; where all places are taken, of the oldest of the address that has most."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import attrs

from overlay.runtime.address import Address, Scope

Group = bytes


def group_of(address: Address) -> Group:
    """Whoever has one global IPv6 address mostly has its /64 (RFC 6177); elsewhere an address is one machine."""
    return address.ip if address.is_v4 or address.scope is not Scope.GLOBAL else address.ip[:8]


@attrs.define(slots=True, eq=False)
class Crowd:
    """`enter`, and `leave` in the end: also when asked to go."""

    places: int
    per_group: int
    #: Of each group who goes when asked, the oldest first.
    _groups: dict[Group, dict[int, Callable[[], None]]] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)
    _tickets: Iterator[int] = attrs.field(factory=itertools.count, init=False)

    def __len__(self) -> int:
        return self._count

    def enter(self, group: Group, go: Callable[[], None]) -> int:
        """`go` is called, once, if a newer one needs the place. Returns the ticket for `leave`."""
        if len(self._groups.get(group, ())) >= self.per_group:
            self._send_away(group)
        elif self._count >= self.places:
            self.send_one_away()
        ticket = next(self._tickets)
        self._groups.setdefault(group, {})[ticket] = go
        self._count += 1
        return ticket

    def leave(self, group: Group, ticket: int) -> None:
        """Void if it was sent away."""
        members = self._groups.get(group)
        if members is not None and members.pop(ticket, None) is not None:
            self._count -= 1
            if not members:
                del self._groups[group]

    def send_one_away(self) -> bool:
        """The oldest of the largest group; False if nobody is here."""
        if not self._groups:
            return False
        self._send_away(max(self._groups, key=lambda group: len(self._groups[group])))
        return True

    def _send_away(self, group: Group) -> None:
        ticket, go = next(iter(self._groups[group].items()))
        self.leave(group, ticket)
        go()
