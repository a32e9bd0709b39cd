"""What this node holds for others: blobs, signed records, providers.

Rows lie in the ordered key-value port; an index in memory (a few numbers a record) knows when they
expire and whom to evict, and is rebuilt by a scan at start. Signatures and keys were checked before
(hold.py); what is decided here is which record wins, how long it stays and how much of it there may be.
Life is counted in wall milliseconds. The wall clock may jump; `expire` notices when it went back.
"""

from __future__ import annotations

import enum
import hashlib
import heapq

import attrs

from overlay.dht.distance import number_of
from overlay.dht.diversity import Grouping
from overlay.dht.held import NO_DIGEST, Held, decode_held
from overlay.dht.quota import Owner, Quota
from overlay.dht.shelf import ProviderShelf
from overlay.errors import LimitError
from overlay.limits import (
    MAX_RECORD_TTL_MS,
    MAX_RECORDS,
    MAX_RECORDS_PER_AUTHOR,
    MAX_RECORDS_PER_GROUP,
    MAX_SEQ_AHEAD_MS,
)
from overlay.runtime.address import Address
from overlay.runtime.ports import Storage
from overlay.wire.records import ProviderRecord, SignedRecord
from overlay.wire.registry import RecordType

_RECORD = b"rec/"
_OTHER = b"eqv/"
_SECRET = b"shelf-secret"
#: Rows that one call of `expire` forgets at most: about 10 ms.
EXPIRED_PER_CALL = 1024
#: A wall clock that goes back by less is being slewed, not set.
_CLOCK_JUMP_MS = 60_000


class PutOutcome(enum.Enum):
    #: Held from now on, or its life was extended.
    STORED = "stored"
    #: The one that is held wins.
    OLDER = "older"
    #: No room: its author or storing group has its share, or it is farther from us than all others.
    QUOTA = "quota"
    #: Expired already, or its seq is too far ahead.
    INVALID = "invalid"
    #: Compare-and-swap: another seq is held.
    CAS_MISMATCH = "cas mismatch"
    #: A second value for one seq, seen for the first time: one wins, both are kept.
    EQUIVOCAL = "equivocal"


@attrs.define(slots=True)
class StoreCounters:
    stored: int = 0
    refused: int = 0
    evicted: int = 0
    expired: int = 0
    equivocal: int = 0


class RecordStore:
    """`secret`: 16 bytes that nobody can guess; the first one given is kept in the storage."""

    __slots__ = ("_expires", "_expiry", "_own", "_quota", "_shelf", "_storage", "_wall_ms", "counters")

    def __init__(
        self,
        storage: Storage,
        own_number: int,
        *,
        secret: bytes,
        total: int = MAX_RECORDS,
        per_author: int = MAX_RECORDS_PER_AUTHOR,
        per_group: int = MAX_RECORDS_PER_GROUP,
    ) -> None:
        self._storage = storage
        self._own = own_number
        self._quota = Quota(total=total, per_author=per_author, per_group=per_group)
        #: Distance of the key -> wall ms at which its record is over; and the same as a heap, in which a
        #: record whose life was extended has a later item as well.
        self._expires: dict[int, int] = {}
        self._expiry: list[tuple[int, int]] = []
        #: Latest wall clock that `expire` was given.
        self._wall_ms = -1
        self.counters = StoreCounters()
        if storage.get(_SECRET) is None:
            storage.put(_SECRET, secret)
        self._shelf = ProviderShelf(storage, own_number, storage.get(_SECRET) or secret)
        self._scan()

    def _scan(self) -> None:
        for at, row in list(self._storage.scan(_RECORD)):
            held = decode_held(row)
            item = number_of(at[len(_RECORD) :]) ^ self._own
            # Not [] if the limits were lowered: then the nearest stay.
            evicted = None if held is None else self._quota.admit(item, Owner(held.author, held.group))
            if held is None or evicted is None:
                self._storage.delete(at)
                continue
            for gone in evicted:
                self._erase(gone)
            self._expires[item] = held.expires_ms
        self._rebuild()

    # --- records ---------------------------------------------------------------------------

    def put_blob(
        self, key: bytes, inner: bytes, *, wall_ms: int, ttl_s: int, author: bytes, group: bytes
    ) -> PutOutcome:
        """Hold a blob that hashes to `key` for `ttl_s` seconds; `author` (an id) and `group` are charged."""
        expires_ms = wall_ms + min(ttl_s * 1000, MAX_RECORD_TTL_MS)
        if expires_ms <= wall_ms:
            return self._refuse(PutOutcome.INVALID)
        held = self.get(key, wall_ms)
        if held is not None:
            if expires_ms > held.expires_ms:
                self._write(key, attrs.evolve(held, expires_ms=expires_ms))
            return PutOutcome.STORED
        return self._insert(key, Held(RecordType.BLOB, expires_ms, 0, NO_DIGEST, author, group, inner))

    def put_signed(
        self, record: SignedRecord, *, wall_ms: int, ttl_s: int, group: bytes, cas: int | None = None
    ) -> PutOutcome:
        """Hold an authentic record until it expires, at most `ttl_s` seconds, if it beats the one held.

        `cas`: only if the record held has this seq. A node that holds none takes it: it cannot know.
        """
        expires_ms = min(record.expires_ms, wall_ms + min(ttl_s * 1000, MAX_RECORD_TTL_MS))
        if expires_ms <= wall_ms or record.seq > wall_ms + MAX_SEQ_AHEAD_MS:
            return self._refuse(PutOutcome.INVALID)
        digest = hashlib.sha256(record.value).digest()
        key = record.key
        new = Held(RecordType.SIGNED, expires_ms, record.seq, digest, record.author_id, group, record.raw)
        held = self.get(key, wall_ms)
        if held is None:
            return self._insert(key, new)
        new = attrs.evolve(new, group=held.group)  # charged to whom it was charged
        if record.seq == held.seq and digest == held.digest:
            if expires_ms > held.expires_ms:  # republished, or offered with a longer life
                self._write(key, new)
            return PutOutcome.STORED  # also to a retry of the compare-and-swap that stored it
        if cas is not None and held.seq != cas:
            return PutOutcome.CAS_MISMATCH
        if record.seq < held.seq:
            return PutOutcome.OLDER
        if record.seq == held.seq:
            return self._equivocal(key, held, new)
        self._write(key, new)
        self._storage.delete(_OTHER + key)
        self.counters.stored += 1
        return PutOutcome.STORED

    def get(self, key: bytes, wall_ms: int) -> Held | None:
        """The record at `key` unless it is over."""
        expires_ms = self._expires.get(number_of(key) ^ self._own)
        if expires_ms is None or expires_ms <= wall_ms:
            return None
        return decode_held(self._storage.get(_RECORD + key))

    def signed(self, key: bytes, wall_ms: int) -> Held | None:
        """The same if it is a signed record."""
        held = self.get(key, wall_ms)
        return held if held is not None and held.type is RecordType.SIGNED else None

    def other(self, key: bytes, wall_ms: int) -> Held | None:
        """The record of equal seq that lost against the one at `key`: proof that its author signed both."""
        return decode_held(self._storage.get(_OTHER + key)) if self.get(key, wall_ms) is not None else None

    def remove(self, key: bytes) -> None:
        """Forget the record at `key`."""
        item = number_of(key) ^ self._own
        self._quota.release(item)
        self._erase(item)

    def __len__(self) -> int:
        """Records held, providers not counted."""
        return len(self._expires)

    def keys_near(self, near: bytes, prefix_bits: int, *, after: bytes | None = None, limit: int) -> list[bytes]:
        """Keys that share `prefix_bits` leading bits with `near`, in order, those above `after`."""
        whole, rest = divmod(min(max(prefix_bits, 0), 256), 8)
        begin = after or b""
        if rest and (first := near[whole] >> (8 - rest) << (8 - rest)):
            # Begin right below the first key that can fit: whoever asks must not have us walk the whole store.
            begin = max(begin, near[:whole] + bytes((first - 1,)) + b"\xff" * 32)
        found: list[bytes] = []
        for at, _ in self._storage.scan(_RECORD + near[:whole], after=_RECORD + begin):
            key = at[len(_RECORD) :]
            if rest and (key[whole] ^ near[whole]) >> (8 - rest):
                if key[whole] > near[whole]:
                    break  # keys come in order: none below follows
                continue
            found.append(key)
            if len(found) == limit:
                break
        return found

    # --- providers --------------------------------------------------------------------------

    def put_provider(
        self, record: ProviderRecord, address: Address, *, wall_ms: int, groups: Grouping | None = None
    ) -> PutOutcome:
        """Hold that `record.provider` has `record.key`; `address` proved itself by a token and is served."""
        expires_ms = min(record.expires_ms, wall_ms + MAX_RECORD_TTL_MS)
        if expires_ms <= wall_ms or record.seq > wall_ms + MAX_SEQ_AHEAD_MS:
            return self._refuse(PutOutcome.INVALID)
        group = b"" if groups is None else groups.group(address)
        kept = self._shelf.put(record, address.packed, group=group, expires_ms=expires_ms, wall_ms=wall_ms)
        if kept is None:
            return self._refuse(PutOutcome.QUOTA)
        return PutOutcome.STORED if kept else PutOutcome.OLDER

    def providers(
        self, key: bytes, after: bytes | None, limit: int, wall_ms: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """One page: pairs (signed object, packed address), and the cursor of the next page or None."""
        return self._shelf.page(key, after, limit, wall_ms)

    @property
    def provider_count(self) -> int:
        return len(self._shelf)

    # --- time -------------------------------------------------------------------------------

    def expire(self, wall_ms: int, *, limit: int = EXPIRED_PER_CALL) -> int:
        """Forget at most `limit` rows that are over; how many were. Call it about once a minute."""
        gone = 0
        try:
            if wall_ms < self._wall_ms - _CLOCK_JUMP_MS or self._wall_ms < 0:
                self._clamp(wall_ms + MAX_RECORD_TTL_MS)
            self._wall_ms = wall_ms
            while self._expiry and self._expiry[0][0] <= wall_ms and gone < limit:
                expires_ms, item = self._expiry[0]
                if self._expires.get(item) == expires_ms:
                    self._erase(item)
                    self._quota.release(item)
                    gone += 1
                heapq.heappop(self._expiry)
            gone += self._shelf.expire(wall_ms, limit - gone)
        except LimitError:
            pass  # the disk is behind or full: nobody is given what is over, and the rows go next time
        self.counters.expired += gone
        return gone

    def _clamp(self, latest_ms: int) -> None:
        """The clock went back (or this is the first time): what was stored under a clock that was ahead
        would stay for as long as that was wrong. Nothing lives longer than a day from now."""
        for item, expires_ms in self._expires.items():
            if expires_ms > latest_ms:
                self._expires[item] = latest_ms
                key = self._key(item)
                held = decode_held(self._storage.get(_RECORD + key))
                if held is not None:
                    self._storage.put(_RECORD + key, attrs.evolve(held, expires_ms=latest_ms).encode())
        self._rebuild()
        self._shelf.clamp(latest_ms)

    # --- how --------------------------------------------------------------------------------

    def _key(self, item: int) -> bytes:
        return (item ^ self._own).to_bytes(32, "big")

    def _insert(self, key: bytes, held: Held) -> PutOutcome:
        item = number_of(key) ^ self._own
        if item in self._expires:
            self.remove(key)  # over, not swept yet
        evicted = self._quota.admit(item, Owner(held.author, held.group))
        if evicted is None:
            return self._refuse(PutOutcome.QUOTA)
        try:
            for gone in evicted:
                self._erase(gone)
                self.counters.evicted += 1
            self._write(key, held)
        except LimitError:  # the disk is behind or full
            self._quota.release(item)
            raise
        self.counters.stored += 1
        return PutOutcome.STORED

    def _equivocal(self, key: bytes, held: Held, new: Held) -> PutOutcome:
        """Two values for one seq: the smaller hash wins, so that all holders end with the same one."""
        first = self._storage.get(_OTHER + key) is None
        wins = new.digest < held.digest
        if wins:
            self._write(key, new)
        if first or wins:
            self._storage.put(_OTHER + key, (held if wins else new).encode())
        if first:
            self.counters.equivocal += 1
            return PutOutcome.EQUIVOCAL
        return PutOutcome.STORED if wins else PutOutcome.OLDER

    def _write(self, key: bytes, held: Held) -> None:
        item = number_of(key) ^ self._own
        self._storage.put(_RECORD + key, held.encode())
        self._expires[item] = held.expires_ms
        heapq.heappush(self._expiry, (held.expires_ms, item))
        if len(self._expiry) > 2 * len(self._expires) + 64:
            self._rebuild()

    def _rebuild(self) -> None:
        self._expiry = [(expires_ms, item) for item, expires_ms in self._expires.items()]
        heapq.heapify(self._expiry)

    def _erase(self, item: int) -> None:
        key = self._key(item)
        self._storage.delete(_RECORD + key)
        self._storage.delete(_OTHER + key)
        self._expires.pop(item, None)

    def _refuse(self, outcome: PutOutcome) -> PutOutcome:
        self.counters.refused += 1
        return outcome
