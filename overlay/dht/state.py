"""What all procedures of the DHT share: the table, the store, the endpoint, and who may enter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from overlay.dht.diversity import Diversity
from overlay.dht.routing_table import RoutingTable
from overlay.dht.size import SizeEstimate
from overlay.dht.store import RecordStore
from overlay.events import Event
from overlay.limits import MIN_FOREIGN_PORT, PROBES_PER_GROUP, PROBES_PER_S
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Endpoint
from overlay.runtime.address import Address, Scope
from overlay.runtime.chance import Rng
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.wire.messages import PACKED_V4, Nodes, split_packed

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
        # Twenty contacts an answer: a tenth of the time of a lookup, so names are looked up once.
        there = referrer.address
        passes = _PASSES[there.scope]
        unpacked, own, known = self.endpoint.book.unpacked, self.endpoint.signer.key, self.endpoint.peers.get
        families, puzzle_bits = self.families, self.endpoint.network.puzzle_bits
        learnt: list[Contact] = []
        strangers: dict[bytes, int] = {}
        for packed in split_packed(nodes.v4, nodes.v6):
            contact = unpacked(packed)
            if contact.key == own:
                continue
            address = contact.address
            scope = address.scope
            if scope is Scope.LINK and there.zone:
                address = attrs.evolve(address, zone=there.zone)
                contact = self.endpoint.book.contact(contact.key, address)
            if (
                address.port >= MIN_FOREIGN_PORT
                and (passes[scope] or may_pass(address, there))
                and families & (V4 if len(packed) == PACKED_V4 else V6)
                and contact.work >= puzzle_bits
                and (known(contact) is not None or self._spread(address, strangers))
            ):
                learnt.append(contact)
            else:
                self.endpoint.count("contacts refused")
        return learnt

    def _spread(self, address: Address, strangers: dict[bytes, int]) -> bool:
        """Not one of many in one place (a global subnet, or one address and port) who never answered us: a single
        answer must not turn us against somebody. Those who do answer do not count the next time."""
        capped = address.scope is Scope.GLOBAL and not self.diversity.attached(address)
        place = self.diversity.group(address) if capped else address.packed
        strangers[place] = strangers.get(place, 0) + 1
        return strangers[place] <= PROBES_PER_GROUP

    def may_probe(self, contact: Contact) -> bool:
        """At most one unasked-for PING a second to an address that never answered us, PROBES_PER_S in all."""
        state = self.endpoint.peers.get(contact)
        if state is not None and state.answered_ns:
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

        v4: list[bytes] = []
        v6: list[bytes] = []
        # Nearly always the closest may all be told, but for the asker itself: the table is not asked to filter.
        contacts = self.table.closest(target, count + 1)
        _sort_out(contacts, count, families, asker, v4, v6)
        if len(v4) + len(v6) < count < len(contacts):
            v4.clear()
            v6.clear()
            fits = self.table.closest(
                target, count, families=families, accept=lambda c: may_pass(c.address, asker.address)
            )
            _sort_out(fits, count, families, asker, v4, v6)
        return b"".join(v4), b"".join(v6)

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


#: By the scope of the one who is told or tells: which scopes always pass. Links need a closer look.
_PASSES = {
    Scope.NONE: (False, False, False, False, False),
    Scope.LOOPBACK: (False, True, False, True, True),
    Scope.LINK: (False, False, False, True, True),
    Scope.PRIVATE: (False, False, False, True, True),
    Scope.GLOBAL: (False, False, False, False, True),
}


def _sort_out(
    contacts: Iterable[Contact], count: int, families: int, asker: Contact, v4: list[bytes], v6: list[bytes]
) -> None:
    """The first `count` that the asker may be told, by family: once for each FIND_*, so in one loop."""
    there = asker.address
    passes = _PASSES[there.scope]
    for contact in contacts:
        if contact.key == asker.key:
            continue
        if not passes[contact.address.scope] and not may_pass(contact.address, there):
            continue
        packed = contact.packed
        if len(packed) == PACKED_V4:
            if families & V4:
                v4.append(packed)
        elif families & V6:
            v6.append(packed)
        if len(v4) + len(v6) == count:
            return


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
