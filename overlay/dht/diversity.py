"""Which addresses count as one party, so that one network cannot fill a table or a lookup.

Whoever owns a subnet owns all its addresses, so global addresses are grouped by subnet and capped
(Eclipse attacks: Heilman and others 2015 for Bitcoin; geth's netutil.DistinctNetSet). On a LAN
every peer shares one subnet and the same cap would disable the network (measured: 20-72 % of the
peers left in tables), so addresses of attached subnets and of local scopes are a group each and
are not capped: a hostile member of a LAN can mount a Sybil attack there (docs/attacks.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from overlay.runtime.address import GLOBAL, NONE, Address
from overlay.runtime.ports import Interface

#: A shorter on-link prefix (a VPN that routes everything, a typing error) is no LAN: it would
#: switch the caps off for a large part of the internet.
MIN_ATTACHED_V4 = 16
MIN_ATTACHED_V6 = 48


class Grouping(Protocol):
    """What tables, lookups and stores ask; tests and simulations may put another in its place."""

    def group(self, address: Address) -> bytes:
        """Party that `address` belongs to; equal bytes, same party."""
        ...

    def wide_group(self, address: Address) -> bytes:
        """The same, for a larger party (a provider rather than a customer)."""
        ...

    def capped(self, address: Address) -> bool:
        """Whether the number of members of this group is limited at all."""
        ...


class Diversity:
    """Groups global addresses by /24 and /16 (IPv6 /48 and /32), all others by address and port."""

    __slots__ = ("_attached",)

    def __init__(self, interfaces: Iterable[Interface] = ()) -> None:
        #: (bytes of an address, bits to drop, network prefix)
        self._attached: list[tuple[int, int, int]] = []
        self.attach(interfaces)

    def attach(self, interfaces: Iterable[Interface]) -> None:
        """Replace the attached subnets. The table must be told: `RoutingTable.regroup`."""
        self._attached = []
        for interface in interfaces:
            size = len(interface.ip)
            if interface.prefix_len < (MIN_ATTACHED_V4 if size == 4 else MIN_ATTACHED_V6):
                continue
            drop = max(0, size * 8 - interface.prefix_len)
            subnet = (size, drop, int.from_bytes(interface.ip, "big") >> drop)
            if subnet not in self._attached:
                self._attached.append(subnet)

    def capped(self, address: Address) -> bool:
        return (address.scope is GLOBAL or address.scope is NONE) and not self.attached(address)

    def attached(self, address: Address) -> bool:
        """Whether it lies in a subnet of one of our interfaces."""
        size = len(address.ip)
        number = int.from_bytes(address.ip, "big")
        for net_size, drop, net in self._attached:  # noqa: SIM110 - asked of every contact named, any() takes thrice as long
            if size == net_size and number >> drop == net:
                return True
        return False

    def group(self, address: Address) -> bytes:
        if not self.capped(address):
            return b"=" + address.packed + address.zone.to_bytes(4, "big")
        return b"4" + address.ip[:3] if len(address.ip) == 4 else b"6" + address.ip[:6]

    def wide_group(self, address: Address) -> bytes:
        if not self.capped(address):
            return b"=" + address.packed + address.zone.to_bytes(4, "big")
        return b"4" + address.ip[:2] if len(address.ip) == 4 else b"6" + address.ip[:4]
