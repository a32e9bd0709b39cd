"""GET: the newest valid record of a key, and how many holders agree on it."""

from __future__ import annotations

import attrs

from overlay.dht.lookup import Collector, LookupResult, start_lookup
from overlay.dht.state import DhtState
from overlay.errors import BadMessage, NotFound, TimedOut
from overlay.events import Equivocation
from overlay.limits import AGREEING_HOLDERS, MAX_SEQ, MAX_SEQ_AHEAD_MS, PATHS
from overlay.rpc.contact import Contact
from overlay.wire.messages import FindNode, FindValue, Message, Value
from overlay.wire.records import SignedRecord, blob_key, decode_record, newer, signed_key

BLOB, SIGNED = 1, 2


class Expired(BadMessage):
    """A signed record whose life is over by our clock, and may not be by that of its holder."""


@attrs.frozen(slots=True)
class Blob:
    value: bytes


Record = Blob | SignedRecord


@attrs.frozen(slots=True, kw_only=True)
class Got:
    record: Record
    #: Distinct peers (ourselves included) that hold exactly this.
    holders: int
    rpcs: int


def read_record(dht: DhtState, key: bytes, kind: int, inner: bytes) -> Record:
    """The record if it belongs at `key` and is not expired. Raises BadMessage; Expired is nobody's fault yet."""
    if kind == BLOB:
        if blob_key(inner) != key:
            raise BadMessage("blob does not hash to its key")
        return Blob(inner)
    record = decode_record(inner, dht.endpoint.network, dht.endpoint.verifier)
    if signed_key(record.author_id, record.salt) != key:
        raise BadMessage("signed record belongs to another key", blame=record.author)
    if record.seq > MAX_SEQ:
        raise BadMessage("signed record leaves no seq for the next one", blame=record.author)
    over_ms = dht.loop.now.wall_ms - record.expires_ms
    if over_ms >= 0:
        raise (Expired if over_ms <= MAX_SEQ_AHEAD_MS else BadMessage)("signed record is expired")
    return record


@attrs.define(slots=True, eq=False)
class RecordCollector(Collector):
    dht: DhtState
    key: bytes
    agree: int
    best: Record | None = None
    holders: dict[bytes, None] = attrs.Factory(dict)
    equivocal: bool = False

    def take(self, contact: Contact, message: Message) -> bool:
        if not isinstance(message, Value):
            return False
        try:
            record = read_record(self.dht, self.key, message.type, message.inner)
        except Expired:  # no value, and no lie: clocks may differ as far as for a seq
            self.dht.endpoint.count("expired records passed over")
            return False
        self.offer(contact.key, record)
        return True

    def offer(self, holder: bytes, record: Record) -> None:
        best = self.best
        if best is None or not _same(best, record):
            if isinstance(best, SignedRecord) and isinstance(record, SignedRecord):
                if best.seq == record.seq and not self.equivocal:
                    self.equivocal = True
                    self.dht.report(Equivocation(self.key, record.author_id, record.seq))
                if not newer(record, best):
                    return
            self.best = record
            self.holders.clear()
        elif isinstance(best, SignedRecord) and isinstance(record, SignedRecord) and newer(record, best):
            self.best = record  # the same, republished
        self.holders[holder] = None

    @property
    def satisfied(self) -> bool:
        # A blob proves itself; a signed record may be an old one, so several must agree.
        return self.best is not None and (isinstance(self.best, Blob) or len(self.holders) >= self.agree)


def _same(a: Record, b: Record) -> bool:
    if isinstance(a, SignedRecord) and isinstance(b, SignedRecord):
        return a.seq == b.seq and a.value == b.value
    return type(a) is type(b) and a.value == b.value


async def get(
    dht: DhtState,
    key: bytes,
    *,
    paths: int = PATHS,
    agree: int = AGREEING_HOLDERS,
    avoid: tuple[Contact, ...] = (),
    local: bool = True,
) -> Got:
    """Ask up to `paths` disjoint ways; one retry over contacts that were not asked or did not answer.

    `local` False: what we hold ourselves does not count. Raises NotFound, LimitError."""
    collector = RecordCollector(dht, key, agree)
    own = dht.store.get(key, dht.loop.now.wall_ms) if local else None
    if own is not None:
        try:
            collector.offer(dht.endpoint.signer.key, read_record(dht, key, own.type, own.inner))
        except BadMessage:
            dht.store.remove(key)  # it was stored when this home belonged to another network
    rpcs = 0
    answered: set[bytes] = set()
    if not collector.satisfied:
        target = int.from_bytes(key, "big")
        question = FindValue(key=key, families=dht.families)
        hedged = paths == 1
        result = await start_lookup(
            dht, target, question, collector=collector, paths=paths, avoid=avoid, hedged=hedged
        ).run()  # fmt: skip
        rpcs += result.rpcs
        answered.update(contact.key for contact in result.answered)
        if collector.best is None:
            retry = start_lookup(dht, target, question, collector=collector, paths=paths, avoid=result.answered)
            if retry.shortlist.paths and not retry.shortlist.finished():
                again = await retry.run()
                rpcs += again.rpcs
                answered.update(contact.key for contact in again.answered)
    if collector.best is None:
        if rpcs and not answered:
            raise TimedOut(f"no peer answered ({rpcs} requests), so nobody could say whether {key.hex()} is there")
        match len(answered):
            case 0:
                raise NotFound(f"this node is alone and does not hold {key.hex()}")
            case 1:
                raise NotFound(f"the only peer that answered does not hold {key.hex()}")
        raise NotFound(f"none of the {len(answered)} peers that answered holds {key.hex()}")
    return Got(record=collector.best, holders=len(collector.holders), rpcs=rpcs)


async def find_node(
    dht: DhtState,
    target: int,
    *,
    paths: int = 1,
    radius: int | None = None,
    avoid: tuple[Contact, ...] = (),
    sample: bool = False,
) -> LookupResult:
    """The k closest live peers to `target`. With `sample` a measure of the network's size: only for
    targets that this node drew itself."""
    dht.table.touch(target, dht.loop.now.mono_ns)
    question = FindNode(target=target.to_bytes(32, "big"), families=dht.families)
    result = await start_lookup(dht, target, question, paths=paths, radius=radius, avoid=avoid).run()
    if sample and result.complete:
        dht.size.add_lookup(target, result.closest, own=dht.own_number)
    return result
