"""Holding a record for the network: checked here wherever it comes from (STORE, pull, ourselves)."""

from __future__ import annotations

import attrs

from overlay.dht.get import BLOB
from overlay.dht.state import DhtState
from overlay.dht.store import PutOutcome
from overlay.events import Equivocation, RecordStored
from overlay.rpc.contact import Contact
from overlay.wire.records import blob_key, decode_record


@attrs.frozen(slots=True)
class Accepted:
    outcome: PutOutcome
    key: bytes
    #: Seq that we hold now, of a signed record.
    seq: int | None


def accept_record(
    dht: DhtState, kind: int, inner: bytes, ttl_s: int, *, cas: int | None, storer: Contact | None
) -> Accepted:
    """Put a record from anywhere (STORE, pull, ourselves) into the store if it is valid. Raises BadMessage."""
    wall_ms = dht.loop.now.wall_ms
    group = dht.diversity.group(storer.address) if storer is not None else b""
    if kind == BLOB:
        key = blob_key(inner)
        author = storer.id if storer is not None else dht.own_id
        outcome = dht.store.put_blob(key, inner, wall_ms=wall_ms, ttl_s=ttl_s, author=author, group=group)
        seq = None
    else:
        record = decode_record(inner, dht.endpoint.network, dht.endpoint.verifier)
        key = record.key
        outcome = dht.store.put_signed(record, wall_ms=wall_ms, ttl_s=ttl_s, group=group, cas=cas)
        held = dht.store.signed(key, wall_ms)
        seq = held.seq if held is not None else None
        if outcome is PutOutcome.EQUIVOCAL:
            dht.report(Equivocation(key, record.author_id, record.seq))
            outcome = PutOutcome.STORED
    if outcome is PutOutcome.STORED:
        dht.report(RecordStored(key, "blob" if kind == BLOB else "signed"))
    return Accepted(outcome, key, seq)
