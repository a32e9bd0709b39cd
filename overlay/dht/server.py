"""Serving others: FIND_*, STORE, PROVIDE. Every answer is bounded; a STORED follows the commit."""

from __future__ import annotations

from collections.abc import Callable

from overlay.dht.hold import accept_record
from overlay.dht.state import DhtState
from overlay.dht.store import PutOutcome
from overlay.errors import BadMessage
from overlay.limits import KEYS_PER_PAGE, MAX_RECORD_TTL_MS, PROVIDERS_PER_PAGE, K
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.ports import Failed, Outcome
from overlay.trust.policy import Observation
from overlay.wire.messages import (
    FindKeys,
    FindNode,
    FindProviders,
    FindValue,
    Keys,
    Message,
    Nodes,
    Provide,
    Providers,
    Store,
    Stored,
    StoreStatus,
    Value,
)
from overlay.wire.records import decode_provider
from overlay.wire.registry import Kind

_STATUS = {
    PutOutcome.STORED: StoreStatus.STORED,
    PutOutcome.OLDER: StoreStatus.OLDER,
    PutOutcome.QUOTA: StoreStatus.QUOTA,
    PutOutcome.INVALID: StoreStatus.INVALID,
    PutOutcome.CAS_MISMATCH: StoreStatus.CAS_MISMATCH,
}


class Server:
    """Registers one handler per kind at the endpoint."""

    __slots__ = ("_dht", "_serves")

    def __init__(self, dht: DhtState, serves: Callable[[Contact], bool]) -> None:
        self._dht = dht
        #: False for peers to whom we are a client: they are told so and hold no hope.
        self._serves = serves
        endpoint = dht.endpoint
        endpoint.serve(Kind.FIND_NODE, self._find_node)
        endpoint.serve(Kind.FIND_VALUE, self._find_value)
        endpoint.serve(Kind.STORE, self._store)
        endpoint.serve(Kind.PROVIDE, self._provide)
        endpoint.serve(Kind.FIND_PROVIDERS, self._find_providers)
        endpoint.serve(Kind.FIND_KEYS, self._find_keys)

    def _nodes(self, inbound: Inbound, target: bytes, families: int) -> Message:
        dht, asker = self._dht, inbound.contact
        v4 = v6 = b""
        role = 0
        if self._serves(asker):
            role = dht.endpoint.role(asker.address)
            v4, v6 = dht.packed_closest(int.from_bytes(target, "big"), K, families, asker)
        return Nodes(token=dht.endpoint.token_for(asker), role=role, v4=v4, v6=v6)

    def _find_node(self, inbound: Inbound) -> None:
        message = inbound.message
        assert isinstance(message, FindNode)
        self._dht.endpoint.reply(inbound, self._nodes(inbound, message.target, message.families))

    def _find_value(self, inbound: Inbound) -> None:
        message, dht = inbound.message, self._dht
        assert isinstance(message, FindValue)
        held = dht.store.get(message.key, dht.loop.now.wall_ms)
        if held is None or not self._serves(inbound.contact):
            return dht.endpoint.reply(inbound, self._nodes(inbound, message.key, message.families))
        token = dht.endpoint.token_for(inbound.contact)
        # Right after our clock was set back a life may be longer than a message can say.
        ttl_s = min(max(0, held.expires_ms - dht.loop.now.wall_ms), MAX_RECORD_TTL_MS) // 1000
        return dht.endpoint.reply(inbound, Value(token=token, type=held.type, inner=held.inner, ttl_s=ttl_s))

    def _store(self, inbound: Inbound) -> None:
        message, dht = inbound.message, self._dht
        assert isinstance(message, Store)
        if not self._serves(inbound.contact):
            return dht.endpoint.reply(inbound, Stored(status=StoreStatus.QUOTA, seq=None))
        try:
            accepted = accept_record(
                dht, message.type, message.inner, message.ttl_s, cas=message.cas, storer=inbound.contact
            )
        except BadMessage:
            self._blame(inbound)
            return dht.endpoint.reply(inbound, Stored(status=StoreStatus.INVALID, seq=None))
        return self._stored(inbound, accepted.outcome, accepted.seq)

    def _provide(self, inbound: Inbound) -> None:
        message, dht = inbound.message, self._dht
        assert isinstance(message, Provide)
        contact = inbound.contact
        try:
            record = decode_provider(message.inner, dht.endpoint.network, dht.endpoint.verifier)
            if record.provider != contact.key or record.key != message.key:
                raise BadMessage("provider record of another peer or key")
        except BadMessage:
            self._blame(inbound)
            return dht.endpoint.reply(inbound, Stored(status=StoreStatus.INVALID, seq=None))
        if not self._serves(contact):
            return dht.endpoint.reply(inbound, Stored(status=StoreStatus.QUOTA, seq=None))
        outcome = dht.store.put_provider(record, contact.address, wall_ms=dht.loop.now.wall_ms, groups=dht.diversity)
        return self._stored(inbound, outcome, None)

    def _stored(self, inbound: Inbound, outcome: PutOutcome, seq: int | None) -> None:
        dht = self._dht
        reply = Stored(status=_STATUS[outcome], seq=seq)
        if outcome is not PutOutcome.STORED:
            return dht.endpoint.reply(inbound, reply)

        def committed(result: Outcome) -> None:
            if isinstance(result, Failed):
                dht.endpoint.count("store failures")  # silence: the other side will not count on us
            else:
                dht.endpoint.reply(inbound, reply)

        return dht.journal.after_commit(committed)

    def _find_providers(self, inbound: Inbound) -> None:
        message, dht = inbound.message, self._dht
        assert isinstance(message, FindProviders)
        wall_ms = dht.loop.now.wall_ms
        page, cursor = dht.store.providers(message.key, message.after, PROVIDERS_PER_PAGE, wall_ms)
        # Who holds none says who is nearer, also if it was asked from a point on: else it would look like a holder.
        holds = page or (message.after is not None and dht.store.providers(message.key, None, 1, wall_ms)[0])
        if not holds or not self._serves(inbound.contact):
            families = 1 if inbound.contact.address.is_v4 else 2
            return dht.endpoint.reply(inbound, self._nodes(inbound, message.key, families))
        token = dht.endpoint.token_for(inbound.contact)
        return dht.endpoint.reply(inbound, Providers(token=token, providers=tuple(page), next=cursor))

    def _find_keys(self, inbound: Inbound) -> None:
        message, dht = inbound.message, self._dht
        assert isinstance(message, FindKeys)
        keys = dht.store.keys_near(message.near, message.prefix_bits, after=message.after, limit=KEYS_PER_PAGE)
        dht.endpoint.reply(inbound, Keys(token=dht.endpoint.token_for(inbound.contact), keys=b"".join(keys)))

    def _blame(self, inbound: Inbound) -> None:
        dht = self._dht
        dht.endpoint.count("invalid records refused")
        dht.endpoint.policy.observe(inbound.contact.key, Observation.INVALID_DATA, dht.loop.now.mono_ns)
