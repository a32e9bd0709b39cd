"""Who has which address, and what becomes of a datagram: translated, cut off, queued, lost, late or twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from overlay.errors import LocalError
from overlay.runtime.address import GLOBAL, LINK, LOOPBACK, PRIVATE, Address
from overlay.runtime.chance import Rng
from simulations.links import INTERNET, LAN, MILLION, Link
from simulations.nat import Gateway, Nat
from simulations.pipe import Pipe

__all__ = ["INTERNET", "LAN", "MILLION", "Arrival", "Link", "Network"]


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
    region: int = 0
    unplugged: bool = False
    group: int = 0
    #: Its line is in the bad state (simulations.links.Bursts).
    bad: bool = False
    up: Pipe | None = None
    #: None: takes datagrams from anybody. Else the addresses it sent to.
    contacted: dict[Address, None] | None = None
    #: Its last datagram: when it was sent, to whom, and how long it takes.
    last: tuple[int, int, int] = (-1, -1, 0)


@attrs.define(slots=True)
class Network:
    """Global addresses are reached from everywhere; all others only within a site (a LAN), loopback only by the
    node itself. A site may have a gateway, which translates what its private addresses send to global ones;
    without one they reach none. `filter_inbound` does what a firewall does to strangers.
    """

    link: Link = INTERNET
    #: Datagrams that were sent, and their bytes.
    sent: int = attrs.field(default=0, init=False)
    sent_bytes: int = attrs.field(default=0, init=False)
    #: Datagrams that did not arrive, by reason.
    lost: dict[str, int] = attrs.field(factory=dict, init=False)
    #: What lies before the nodes that do not take all at once: asked when something arrives there, since only
    #: then is known what came before it.
    downs: dict[int, Pipe] = attrs.field(factory=dict, init=False)
    _nodes: dict[int, _Node] = attrs.field(factory=dict, init=False)
    #: (site or -1 for everywhere, ip, port) -> node.
    _owners: dict[tuple[int, bytes, int], int] = attrs.field(factory=dict, init=False)
    #: By site, and by external address.
    _sites: dict[int, Gateway] = attrs.field(factory=dict, init=False)
    _gateways: dict[bytes, Gateway] = attrs.field(factory=dict, init=False)
    #: (senders, receivers) of one-way cuts.
    _cuts: list[tuple[frozenset[int], frozenset[int]]] = attrs.field(factory=list, init=False)

    # --- who is where -----------------------------------------------------------------------

    def attach(self, node: int, addresses: Sequence[Address], *, site: int = 0) -> None:
        """Give `node` these addresses and no others."""
        old = self._nodes.get(node)
        taken = {self._place(site, address): node for address in addresses if address.scope is not LOOPBACK}
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

    def gateway(self, site: int, gateway: Gateway) -> None:
        """Put a NAT between the private IPv4 addresses of a site and the rest of the world."""
        if gateway.ip in self._gateways:
            raise LocalError("two gateways with one external address")
        self._sites[site] = self._gateways[gateway.ip] = gateway

    def has_gateway(self, site: int) -> bool:
        return site in self._sites

    def nat_of(self, node: int) -> Nat | None:
        """What it is behind, if it has no global address of its own."""
        here = self._nodes[node]
        gateway = self._sites.get(here.site)
        behind = gateway is not None and all(address.scope is not GLOBAL for address in here.addresses)
        return gateway.nat if gateway is not None and behind else None

    def is_at(self, node: int, address: Address) -> bool:
        """Whether others see the node there: at an own address, or at that of the box before it."""
        here = self._nodes[node]
        gateway = self._sites.get(here.site)
        return address in here.addresses or (gateway is not None and address.ip == gateway.ip)

    def set_region(self, node: int, region: int) -> None:
        """Its row and column in the tables of links."""
        self._nodes[node].region = region

    def set_pipes(self, node: int, *, up: Pipe | None, down: Pipe | None) -> None:
        """The two directions of its access line; None: as fast as anybody can send."""
        self._nodes[node].up = up
        self.downs.pop(node, None)
        if down is not None:
            self.downs[node] = down

    def has_pipe(self, node: int) -> bool:
        return node in self.downs

    def filter_inbound(self, node: int) -> None:
        """From now on only those reach the node that it sent to: address and port-dependent filtering (RFC 4787,
        section 5) by a firewall that translates nothing and never forgets."""
        self._nodes[node].contacted = {}

    # --- what is broken ---------------------------------------------------------------------

    def unplug(self, node: int) -> None:
        """The node runs on, but nothing comes or goes."""
        self._nodes[node].unplugged = True

    def plug(self, node: int) -> None:
        self._nodes[node].unplugged = False

    def partition(self, *groups: Iterable[int]) -> None:
        """Only nodes of one group reach each other; those in no group form one more. Replaces an earlier partition."""
        self._part(*groups)

    def cut(self, senders: Iterable[int], receivers: Iterable[int]) -> None:
        """Nothing of `senders` reaches `receivers`; the other direction works. One more cut beside those that are."""
        self._cuts.append((frozenset(senders), frozenset(receivers)))

    def heal(self) -> None:
        """No partition and no cut any more."""
        self._part()
        self._cuts.clear()

    # --- what becomes of a datagram ---------------------------------------------------------

    def send(self, sender: int, to: Address, size: int, rng: Rng, *, now_ns: int = 0) -> tuple[Arrival, ...]:
        """When and where a datagram of `size` bytes arrives: nowhere, once or twice. All chance from `rng`."""
        self.sent += 1
        self.sent_bytes += size
        here = self._nodes[sender]
        route = self.route(sender, to, now_ns)
        if isinstance(route, str):
            return self.lose(route)
        receiver, source = route
        there = self._nodes[receiver]
        barrier = self.barrier(sender, receiver)
        if barrier is not None:
            return self.lose(barrier)
        if there.contacted is not None and source not in there.contacted:
            return self.lose("filtered")
        link = self.link
        if size > link.mtu:
            return self.lose("mtu")
        wait_ns = 0
        if here.up is not None:
            queued_ns = here.up.take(size, now_ns)
            if queued_ns is None:
                return self.lose("queue")
            wait_ns = queued_ns
        if (link.loss_ppm or link.bursts is not None) and (loss := self.lost_on_line(sender, rng)) is not None:
            return self.lose(loss)
        delay_ns = wait_ns + link.transit(here.region, there.region, rng)
        last_ns, last_to, last_delay_ns = here.last
        if last_ns == now_ns and last_to == receiver:  # back to back on one way: a queue, nothing overtakes there
            delay_ns = max(delay_ns, last_delay_ns)
        here.last = (now_ns, receiver, delay_ns)
        first = Arrival(delay_ns + link.held_back(rng), receiver, source)
        if link.duplicate_ppm and rng.below(MILLION) < link.duplicate_ppm:
            return first, Arrival(wait_ns + link.delay(here.region, there.region, rng), receiver, source)
        return (first,)

    def route(self, sender: int, to: Address, now_ns: int) -> tuple[int, Address] | str:
        """(receiver, address from which it sees it coming), or why nobody is reached there. Opens what sending opens
        at gateways."""
        here = self._nodes[sender]
        if here.contacted is not None:
            here.contacted[to] = None
        if to.scope is LOOPBACK:
            return (sender, to) if to in here.addresses else "unreachable"
        receiver = self._owners.get(self._place(here.site, to))
        source = self._source(here, to)
        if self._gateways and to.scope is GLOBAL:
            if source is None and here.site in self._sites:
                gateway, inside = self._sites[here.site], self._translated(here, to)
                if to.ip == gateway.ip:
                    return "hairpin"
                source = gateway.outbound(sender, inside, to, now_ns) if inside is not None else None
            if receiver is None and source is not None and to.ip in self._gateways:
                receiver = self._gateways[to.ip].inbound(to.port, source, now_ns)
                if receiver is None:
                    return "filtered"
        return "unreachable" if receiver is None or source is None else (receiver, source)

    def dial(self, sender: int, to: Address) -> tuple[int, Address] | str:
        """The same for a stream. What datagrams opened is not open for it, and it opens nothing for them: it goes out
        through a gateway by a port of its own, and gets in through none, nor through a filter (RFC 5382)."""
        here = self._nodes[sender]
        if to.scope is LOOPBACK:
            return (sender, to) if to in here.addresses else "unreachable"
        receiver, source = self._owners.get(self._place(here.site, to)), self._source(here, to)
        if receiver is None:
            return "unreachable"
        if self._nodes[receiver].contacted is not None:
            return "filtered"
        if source is None and to.scope is GLOBAL and here.site in self._sites and self._translated(here, to):
            source = self._sites[here.site].dialled()
        return "unreachable" if source is None else (receiver, source)

    def barrier(self, sender: int, receiver: int) -> str | None:
        """What lies between the two now, whatever their addresses."""
        here, there = self._nodes[sender], self._nodes[receiver]
        if here.unplugged or there.unplugged:
            return "unplugged"
        if here.group != there.group:
            return "partition"
        if self._cuts and any(sender in senders and receiver in receivers for senders, receivers in self._cuts):
            return "cut"
        return None

    def lost_on_line(self, sender: int, rng: Rng) -> str | None:
        """Whether the line loses one that it sends, and to what."""
        link, here = self.link, self._nodes[sender]
        if link.loss_ppm and rng.below(MILLION) < link.loss_ppm:
            return "loss"
        bursts = link.bursts
        if bursts is None:
            return None
        if rng.below(MILLION) < (bursts.end_ppm if here.bad else bursts.begin_ppm):
            here.bad = not here.bad
        return "burst" if here.bad and rng.below(MILLION) < bursts.loss_ppm else None

    def delay(self, sender: int, receiver: int, rng: Rng) -> int:
        """Of something that is not lost, in ns."""
        here, there = self._nodes[sender], self._nodes[receiver]
        return self.link.delay(here.region, there.region, rng)

    def up(self, node: int) -> Pipe | None:
        return self._nodes[node].up

    def lose(self, reason: str) -> tuple[Arrival, ...]:
        """Count a datagram that does not arrive."""
        self.lost[reason] = self.lost.get(reason, 0) + 1
        return ()

    # --- inside -----------------------------------------------------------------------------

    def _part(self, *groups: Iterable[int]) -> None:
        for node in self._nodes.values():
            node.group = 0
        for number, group in enumerate(groups, 1):
            for index in group:
                self._nodes[index].group = number

    def _place(self, site: int, address: Address) -> tuple[int, bytes, int]:
        return (-1 if address.scope is GLOBAL else site, address.ip, address.port)

    def _source(self, node: _Node, to: Address) -> Address | None:
        """The own address from which `to` is reached: of its family and scope."""
        for address in node.addresses:
            if address.scope is to.scope and len(address.ip) == len(to.ip):
                return address
        if to.scope is LINK:
            return None
        for address in node.addresses:  # within a site, global and private addresses reach each other
            if address.is_v4 == to.is_v4 and address.scope is (GLOBAL if to.scope is PRIVATE else to.scope):
                return address
        return None

    def _translated(self, node: _Node, to: Address) -> Address | None:
        """The own address that a gateway would translate for `to`."""
        fit = (address for address in node.addresses if address.scope is PRIVATE and address.is_v4 and to.is_v4)
        return next(fit, None)
