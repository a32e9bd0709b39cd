"""No unsigned and no foreign state: what a node holds is what somebody signed, and those it knows have answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from overlay import limits
from overlay.dht.get import BLOB, SIGNED
from overlay.dht.own import PROVIDER
from overlay.errors import BadMessage
from overlay.identity.node_id import node_id_of
from overlay.peer import Peer
from overlay.runtime.address import Scope, unpack_address
from overlay.wire.records import blob_key, decode_provider, decode_record, signed_key
from simulations.invariants.base import Broken, Rotation

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Nodes looked at in one sample, and records of each; the next sample looks at the next ones.
_AT_ONCE = 50
_RECORDS = 4
#: Rows of providers: this and the key, then the order.
_PROVIDERS = b"prv/"
_PROVIDER_KEY = len(_PROVIDERS) + 32
#: Signed objects that were verified already: a record has twenty holders.
_VERIFIED = 4096


class NothingForeign:
    """Every record held is signed by its author and lies under its key, and of a provider with no address of another
    node; every own record is by the node itself; every
    contact of a routing table has the id of its key and has answered, and without adversaries it is a node of this
    swarm."""

    name: ClassVar[str] = "nothing-foreign"

    def __init__(self, swarm: Swarm) -> None:
        self._turn = Rotation(_AT_ONCE)
        #: Node -> key of the record it was last asked for.
        self._after: dict[int, bytes] = {}
        #: The same of provider records, in the storage.
        self._after_provider: dict[int, bytes] = {}
        self._owners: dict[bytes, int] = {}
        self._owners_ns = self._owners_of = -1
        self._verified: dict[bytes, None] = {}
        self._ids: dict[bytes, bytes] = {}
        #: Keys of the first nodes, so many.
        self._members: dict[bytes, None] = {}
        self._counted = 0

    def sample(self, swarm: Swarm) -> list[Broken]:
        return [
            Broken(self.name, node, swarm.now_s, what)
            for node, peer in self._turn.peers(swarm)
            for what in self._wrong(swarm, node, peer, _RECORDS)
        ]

    def at_end(self, swarm: Swarm) -> list[Broken]:
        self._after.clear()
        self._after_provider.clear()
        return self.sample(swarm)

    def _wrong(self, swarm: Swarm, node: int, peer: Peer, records: int) -> Iterator[str]:
        yield from self._contacts(swarm, peer)
        yield from self._records(swarm, node, peer, records)
        yield from self._providers(swarm, node, peer)
        for own in peer.own:
            if own.type == SIGNED and own.key != signed_key(peer.id, own.salt):
                yield f"the own record {own.key.hex()[:8]} is not of this node"
            elif own.type == BLOB and own.key != blob_key(own.value):
                yield f"the own blob {own.key.hex()[:8]} has another hash"
            elif own.type not in (SIGNED, BLOB, PROVIDER):
                yield f"the own record {own.key.hex()[:8]} is of no known type"

    def _contacts(self, swarm: Swarm, peer: Peer) -> Iterator[str]:
        book = peer.endpoint.peers
        for entry in peer.table.entries():
            contact = entry.contact
            known = self._ids.get(contact.key)
            if known is None:
                known = self._ids[contact.key] = node_id_of(contact.key)
                if len(self._ids) > 4 * len(swarm) + 4096:
                    self._ids.clear()
            if known != contact.id:
                yield f"the id of the contact at {contact.address} is not that of its key"
            state = book.get(contact)
            if (state is None or not state.answered_ns) and len(book) < limits.MAX_PEERS_REMEMBERED // 2:
                yield f"the contact at {contact.address} never answered"
            if not swarm.adversaries and not self._is_member(swarm, contact.key):
                yield f"the contact at {contact.address} is nobody of this swarm"

    def _is_member(self, swarm: Swarm, key: bytes) -> bool:
        if key not in self._members:
            while self._counted < len(swarm):
                self._members[swarm.population.keys(self._counted).key] = None
                self._counted += 1
        return key in self._members

    def _records(self, swarm: Swarm, node: int, peer: Peer, count: int) -> Iterator[str]:
        store, wall_ms = peer.dht.store, peer.loop.now.wall_ms
        keys = store.keys_near(bytes(32), 0, after=self._after.get(node), limit=count)
        self._after[node] = keys[-1] if len(keys) == count else b""
        for key in keys:
            held = store.get(key, wall_ms)
            if held is None:
                continue  # over
            try:
                right = blob_key(held.inner) if held.type == BLOB else self._record_key(swarm, held.inner)
            except BadMessage as error:
                yield f"it holds a record at {key.hex()[:8]} that is not valid: {error.reason}"
            else:
                if right != key:
                    yield f"it holds a record of {right.hex()[:8]} at {key.hex()[:8]}"

    def _record_key(self, swarm: Swarm, raw: bytes) -> bytes:
        population = swarm.population
        if raw in self._verified:
            return decode_record(raw, population.realm, lambda key, data, signature: True).key
        record = decode_record(raw, population.realm, population.verifier)
        self._note(raw)
        return record.key

    def _providers(self, swarm: Swarm, node: int, peer: Peer) -> Iterator[str]:
        population = swarm.population
        store, wall_ms = peer.dht.store, peer.loop.now.wall_ms
        after = self._after_provider.get(node, b"")
        at = next((at for at, _ in peer.journal.storage.scan(_PROVIDERS, after=after)), None)
        # The keys in turn, from the first again.
        self._after_provider[node] = b"" if at is None else at[:_PROVIDER_KEY] + b"\xff" * 32
        if at is None:
            return
        key = at[len(_PROVIDERS) : _PROVIDER_KEY]
        for raw, packed in store.providers(key, None, limits.MAX_PROVIDERS_PER_KEY, wall_ms)[0]:
            owner = self._owner(swarm, packed)
            if owner and decode_provider(raw, population.realm, lambda *_: True).provider != owner:
                yield f"it holds a provider record with the address of somebody else, {unpack_address(packed)}"
            if raw in self._verified:
                continue
            try:
                if decode_provider(raw, population.realm, population.verifier).key != key:
                    yield "it holds a provider record under another key"
            except BadMessage as error:
                yield f"it holds a provider record that is not valid: {error.reason}"
            self._note(raw)

    def _owner(self, swarm: Swarm, packed: bytes) -> bytes:
        """Key of the node that has this global address, b"" if none has: a box that translates, who moved away."""
        if self._owners_ns != swarm.engine.changed_ns or self._owners_of != len(swarm):
            self._owners_ns, self._owners_of = swarm.engine.changed_ns, len(swarm)
            self._owners = {
                address.packed: node
                for node in range(len(swarm))
                for address in swarm.network.addresses(node)
                if address.scope is Scope.GLOBAL
            }
        node = self._owners.get(packed)
        return b"" if node is None else swarm.population.keys(node).key

    def _note(self, raw: bytes) -> None:
        if len(self._verified) >= _VERIFIED:
            self._verified.clear()
        self._verified[raw] = None
