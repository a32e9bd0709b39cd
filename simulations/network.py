"""What lies between simulated peers: addresses, delays, loss, partitions, unplugged cables.

Integers only, for libm may differ between machines; probabilities in parts per million.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from overlay.errors import LocalError
from overlay.runtime.address import Address, Scope
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS

MILLION = 1_000_000
#: Ethernet's 1,500 bytes less 40 (IPv6) and 8 (UDP).
ETHERNET_PAYLOAD = 1452


def _share(link: Link, attribute: attrs.Attribute[int], value: int) -> None:
    if not 0 <= value <= MILLION:
        raise LocalError(f"{attribute.name} is {value}: expected parts per million, 0 to {MILLION}")


def _span(link: Link, attribute: attrs.Attribute[tuple[int, int]], value: tuple[int, int]) -> None:
    if not 0 <= value[0] <= value[1]:
        raise LocalError(f"{attribute.name} is {value}: expected two times in ns, the lesser one first")


@attrs.frozen(slots=True, kw_only=True)
class Link:
    """How datagrams fare between two nodes, in either direction."""

    #: Delay in ns, uniform between the two. Each datagram draws its own, so a wide range reorders.
    latency_ns: tuple[int, int] = attrs.field(default=(20 * MS, 120 * MS), validator=_span)
    loss_ppm: int = attrs.field(default=0, validator=_share)
    #: Datagrams that arrive twice, each with a delay of its own.
    duplicate_ppm: int = attrs.field(default=0, validator=_share)
    #: Datagrams held back by `reorder_ns` more, so that later ones overtake them.
    reorder_ppm: int = attrs.field(default=0, validator=_share)
    reorder_ns: tuple[int, int] = attrs.field(default=(50 * MS, 500 * MS), validator=_span)
    #: Longer payloads are lost without notice: IPv6 routers do not fragment, and the "too big" is often filtered.
    mtu: int = ETHERNET_PAYLOAD


INTERNET: Final = Link()
#: A switched LAN: a fifth of a millisecond to one, hardly any loss.
LAN: Final = Link(latency_ns=(200_000, MS))


@attrs.frozen(slots=True)
class Arrival:
    """One datagram on its way to one node."""

    delay_ns: int
    node: int
    #: Address from which the receiver sees it coming.
    source: Address


@attrs.define(slots=True)
class _Node:
    site: int
    addresses: tuple[Address, ...] = ()
    unplugged: bool = False
    group: int = 0
    #: None: takes datagrams from anybody. Else the addresses it sent to.
    contacted: dict[Address, None] | None = None


@attrs.define(slots=True)
class Network:
    """Knows who has which address, and what becomes of a datagram.

    Global addresses are reached from everywhere; all others only within a site (a LAN), loopback only
    by the node itself. No address is translated: a node sends to a global address only from one of its
    own. `filter_inbound` does what a NAT does to strangers.
    """

    link: Link = INTERNET
    #: Datagrams that were sent, and their bytes.
    sent: int = attrs.field(default=0, init=False)
    sent_bytes: int = attrs.field(default=0, init=False)
    #: Datagrams that did not arrive, by reason.
    lost: dict[str, int] = attrs.field(factory=dict, init=False)
    _nodes: dict[int, _Node] = attrs.field(factory=dict, init=False)
    #: (site or -1 for everywhere, ip, port) -> node.
    _owners: dict[tuple[int, bytes, int], int] = attrs.field(factory=dict, init=False)
    _links: dict[tuple[int, int], Link] = attrs.field(factory=dict, init=False)

    def attach(self, node: int, addresses: Sequence[Address], *, site: int = 0) -> None:
        """Give `node` these addresses and no others."""
        old = self._nodes.get(node)
        taken = {self._place(site, address): node for address in addresses if address.scope is not Scope.LOOPBACK}
        for place in taken:
            if self._owners.get(place, node) != node:
                raise LocalError(f"node {self._owners[place]} has an address of node {node} already")
        if old is not None:
            for address in old.addresses:
                self._owners.pop(self._place(old.site, address), None)
        self._owners.update(taken)
        new = self._nodes.setdefault(node, _Node(site))
        new.site, new.addresses = site, tuple(addresses)

    def addresses(self, node: int) -> tuple[Address, ...]:
        return self._nodes[node].addresses

    def set_link(self, one: int, other: int, link: Link) -> None:
        """An exception from the common link for this pair."""
        self._links[min(one, other), max(one, other)] = link

    def filter_inbound(self, node: int) -> None:
        """From now on only those reach the node that it sent to: address and port-dependent filtering (RFC 4787,
        section 5), with a mapping that never ends."""
        self._nodes[node].contacted = {}

    def unplug(self, node: int) -> None:
        """The node runs on, but nothing comes or goes."""
        self._nodes[node].unplugged = True

    def plug(self, node: int) -> None:
        self._nodes[node].unplugged = False

    def partition(self, *groups: Iterable[int]) -> None:
        """Only nodes of one group reach each other; those in no group form one more. Replaces an earlier partition."""
        self.heal()
        for number, group in enumerate(groups, 1):
            for node in group:
                self._nodes[node].group = number

    def heal(self) -> None:
        for node in self._nodes.values():
            node.group = 0

    def send(self, sender: int, to: Address, size: int, rng: Rng) -> tuple[Arrival, ...]:
        """When and where a datagram of `size` bytes arrives: nowhere, once or twice. All chance from `rng`."""
        self.sent += 1
        self.sent_bytes += size
        here = self._nodes[sender]
        if here.contacted is not None:
            here.contacted[to] = None
        receiver = sender if to.scope is Scope.LOOPBACK else self._owners.get(self._place(here.site, to))
        source = self._source(here, to)
        if receiver is None or source is None or (to.scope is Scope.LOOPBACK and to not in here.addresses):
            return self._lose("unreachable")
        there = self._nodes[receiver]
        if here.unplugged or there.unplugged:
            return self._lose("unplugged")
        if here.group != there.group:
            return self._lose("partition")
        if there.contacted is not None and source not in there.contacted:
            return self._lose("filtered")
        link = self._links.get((min(sender, receiver), max(sender, receiver)), self.link) if self._links else self.link
        if size > link.mtu:
            return self._lose("mtu")
        if link.loss_ppm and rng.below(MILLION) < link.loss_ppm:
            return self._lose("loss")
        first = Arrival(_delay(link, rng), receiver, source)
        if link.duplicate_ppm and rng.below(MILLION) < link.duplicate_ppm:
            return first, Arrival(_delay(link, rng), receiver, source)
        return (first,)

    def _place(self, site: int, address: Address) -> tuple[int, bytes, int]:
        return (-1 if address.scope is Scope.GLOBAL else site, address.ip, address.port)

    def _source(self, node: _Node, to: Address) -> Address | None:
        """The own address from which `to` is reached: of its family and scope."""
        for address in node.addresses:
            if address.scope is to.scope and address.is_v4 == to.is_v4:
                return address
        if to.scope in (Scope.LOOPBACK, Scope.LINK):
            return None
        for address in node.addresses:  # within a site, global and private addresses reach each other
            if address.is_v4 == to.is_v4 and address.scope is (
                Scope.GLOBAL if to.scope is Scope.PRIVATE else to.scope
            ):
                return address
        return None

    def _lose(self, reason: str) -> tuple[Arrival, ...]:
        self.lost[reason] = self.lost.get(reason, 0) + 1
        return ()


def _delay(link: Link, rng: Rng) -> int:
    low, high = link.latency_ns
    delay = low if low == high else rng.between(low, high)
    if link.reorder_ppm and rng.below(MILLION) < link.reorder_ppm:
        delay += rng.between(*link.reorder_ns)
    return delay
