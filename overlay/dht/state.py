"""What all procedures of the DHT share: the table, the store, the endpoint, and who may enter."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

import attrs

from overlay.dht.diversity import Diversity
from overlay.dht.routing_table import RoutingTable
from overlay.dht.size import SizeEstimate
from overlay.dht.store import RecordStore
from overlay.events import Event
from overlay.limits import MIN_FOREIGN_PORT, PROBES_PER_GROUP, PROBES_PER_S
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Endpoint
from overlay.runtime.address import GLOBAL, Address, Scope
from overlay.runtime.chance import Rng
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.wire.messages import Nodes


def _nobody(address: Address) -> None:
    """Nobody is told."""


#: Families that this node can send to, as in FIND_*: 1 IPv4, 2 IPv6.
V4, V6 = 1, 2


@attrs.define(slots=True, eq=False)
class DhtState:
    """One per peer."""

    loop: Loop
    endpoint: Endpoint
    own_id: bytes
    own_number: int
    table: RoutingTable
    store: RecordStore
    size: SizeEstimate
    diversity: Diversity
    journal: Journal
    rng: Rng
    report: Callable[[Event], None]
    families: int = V4 | V6
    #: Told where others say that this peer is.
    on_own_name: Callable[[Address], object] = _nobody
    next_lookup: int = 0
    lookups_running: int = 0
    #: One probe a second to an address nobody has proven: address -> second of the last one.
    _probed: dict[Address, int] = attrs.Factory(dict)
    _probe_second: int = -1

    def may_enter(self, contact: Contact) -> bool:
        """Full peers only: a key without the puzzle is served as a client."""
        return contact.work >= self.endpoint.network.puzzle_bits

    def learn(self, nodes: Nodes, referrer: Contact) -> list[Contact]:
        """The contacts of a NODES answer that may be asked. Contacts on its own link get our zone for it."""
        # Twenty contacts an answer, most of the work of a lookup: so no call for what is usual.
        there, own, endpoint = referrer.address, self.endpoint.signer.key, self.endpoint
        named = endpoint.book.named(nodes.v4, nodes.v6)
        if there.zone:
            named = [self._on_link(contact, there.zone) for contact in named]
        passes, known = _PASSES[self.families][there.scope], endpoint.peers.known
        puzzle_bits = endpoint.network.puzzle_bits
        strangers: dict[bytes, int] = {}
        learnt = [
            contact
            for contact in named
            if contact.key != own
            and (passes[contact.sort] or (passes[contact.sort] is None and may_pass(contact.address, there)))
            and contact.address.port >= MIN_FOREIGN_PORT
            and contact.work >= puzzle_bits
            and (known(contact) or self._spread(contact.address, strangers))
        ]
        if len(learnt) < len(named):
            ourselves = [contact for contact in named if contact.key == own]
            for contact in ourselves:
                address = contact.address
                if passes[contact.sort] is not False and may_pass(address, there) and address.port >= MIN_FOREIGN_PORT:
                    self.on_own_name(address)
            for _ in range(len(named) - len(learnt) - len(ourselves)):
                endpoint.count("contacts refused")
        return learnt

    def _on_link(self, contact: Contact, zone: int) -> Contact:
        if contact.address.scope is not Scope.LINK:
            return contact
        return self.endpoint.book.contact(contact.key, attrs.evolve(contact.address, zone=zone))

    def _spread(self, address: Address, strangers: dict[bytes, int]) -> bool:
        """Not one of many in one place (a global subnet, or one address and port) who never answered us: a single
        answer must not turn us against somebody. Those who do answer do not count the next time."""
        capped = address.scope is GLOBAL and not self.diversity.attached(address)
        place = self.diversity.group(address) if capped else address.packed
        strangers[place] = strangers.get(place, 0) + 1
        return strangers[place] <= PROBES_PER_GROUP

    def may_probe(self, contact: Contact) -> bool:
        """At most one unasked-for PING a second to an address that never answered us, PROBES_PER_S in all."""
        if self.endpoint.peers.answered_ns(contact):
            return True
        second = self.loop.now.mono_ns // 1_000_000_000
        if second != self._probe_second:
            self._probe_second = second
            self._probed.clear()
        if contact.address in self._probed or len(self._probed) >= PROBES_PER_S:
            return False
        self._probed[contact.address] = second
        return True

    def packed_closest(self, target: int, count: int, families: int, asker: Contact) -> tuple[bytes, bytes]:
        """The v4 and v6 lists of NODES: closest live contacts that the asker may be told of."""

        closest, there = self.table.closest, asker.address
        for wanted in (count, count + 1):  # nearly always all may be told, but for the asker itself
            near = closest(target, wanted)
            fit = _told(near, families, asker)[:count]
            if len(fit) == count or len(near) < wanted:
                break
        else:
            fit = closest(
                target, count, families=families,
                accept=lambda contact: contact is not asker and may_pass(contact.address, there),
            )  # fmt: skip
        v4 = b"".join([contact.packed for contact in fit if not contact.sort & 1])
        v6 = b"".join([contact.packed for contact in fit if contact.sort & 1])
        return v4, v6

    def radius(self, nodes: int) -> int | None:
        """Distance within which `nodes` other nodes are expected around a key; None: not known yet."""
        radius = self.size.radius(nodes)
        if radius is None:
            # Too few samples yet: who never joined anybody, since all joined through it, has none for minutes.
            # Our own neighbours are all known.
            near = self.table.closest(self.own_number, nodes)
            return near[-1].number ^ self.own_number if len(near) == nodes else None
        # An estimate from when the network was small would make it too wide; the table knows better.
        return min(radius, (1 << 256) * nodes // max(nodes, len(self.table)))

    def nearer_than_us(self, contacts: Iterable[Contact], target: int) -> int:
        ours = self.own_number ^ target
        return sum(1 for contact in contacts if contact.number ^ target < ours)


def _passing(scopes: Container[Scope], families: int) -> tuple[bool | None, ...]:
    """By `Contact.sort`: True, it passes; None, that needs a closer look; False, not of these families."""
    return tuple(False if not families & family else scope in scopes or None for scope in Scope for family in (V4, V6))


#: By families, and by the scope of the one who is told or tells. Links need a closer look.
_PASSES = {
    families: tuple(
        _passing(scopes, families)
        for scopes in (
            (),  # NONE
            (Scope.LOOPBACK, Scope.PRIVATE, Scope.GLOBAL),  # LOOPBACK
            (Scope.PRIVATE, Scope.GLOBAL),  # LINK
            (Scope.PRIVATE, Scope.GLOBAL),  # PRIVATE
            (Scope.GLOBAL,),  # GLOBAL
        )
    )
    for families in (V4, V6, V4 | V6)
}


def _told(contacts: list[Contact], families: int, asker: Contact) -> list[Contact]:
    """Those that the asker may be told of. Where else its key is as well: it has moved, or there is a copy of it."""
    there, passes = asker.address, _PASSES[families][asker.address.scope]
    return [
        contact
        for contact in contacts
        if (passes[contact.sort] or (passes[contact.sort] is None and may_pass(contact.address, there)))
        and contact is not asker
    ]


def may_pass(address: Address, other: Address) -> bool:
    """May a contact at `address` be told to, or taken from, a peer at `other`?

    A contact stays within its scope: a loopback address means something on this machine only, a
    private one on this site. The rule is the same in both directions.
    """
    match address.scope:
        case Scope.GLOBAL:
            return True
        case Scope.PRIVATE:
            return other.scope is not Scope.GLOBAL
        case Scope.LINK:
            # An IPv4 link-local address (169.254/16) has no zone.
            return other.scope is Scope.LINK and (address.is_v4 or address.zone in (0, other.zone))
        case Scope.LOOPBACK:
            return other.scope is Scope.LOOPBACK
        case Scope.NONE:
            return False
