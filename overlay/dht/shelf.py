"""Providers of keys, kept for others: many per key, in an order that nobody can predict.

The order of a provider under its key is a hash keyed with a secret of this node. It is the cursor of
the pages, and it decides who stays when a key has more than MAX_PROVIDERS_PER_KEY: the smallest ones,
a fair sample that cannot be crowded out by making more keys (keyed random eviction).
"""

from __future__ import annotations

import hashlib
import heapq

import attrs

from overlay.dht.distance import number_of
from overlay.dht.quota import Owner, Quota
from overlay.errors import LimitError
from overlay.limits import MAX_PROVIDERS, MAX_PROVIDERS_PER_KEY, MAX_RECORDS_PER_AUTHOR, MAX_RECORDS_PER_GROUP
from overlay.runtime.ports import Storage
from overlay.wire.records import ProviderRecord

_PREFIX = b"prv/"
#: Bytes of order (also the cursor of FIND_PROVIDERS).
ORDER = 8
_KEY_AT = len(_PREFIX)
_ORDER_AT = _KEY_AT + 32


@attrs.define(slots=True, eq=False)
class _Row:
    """One provider record as it lies in the storage."""

    expires_ms: int
    seq: int
    provider: bytes
    group: bytes
    packed: bytes
    raw: bytes

    def encode(self) -> bytes:
        return (
            self.expires_ms.to_bytes(8, "big")
            + self.seq.to_bytes(8, "big")
            + self.provider
            + bytes((len(self.group), len(self.packed)))
            + self.group
            + self.packed
            + self.raw
        )


def _decode(row: bytes) -> _Row | None:
    """None for bytes that this version did not write."""
    if len(row) < 50 or len(row) < 50 + row[48] + row[49]:
        return None
    group_end = 50 + row[48]
    packed_end = group_end + row[49]
    return _Row(
        int.from_bytes(row[:8], "big"), int.from_bytes(row[8:16], "big"), row[16:48],
        row[50:group_end], row[group_end:packed_end], row[packed_end:],
    )  # fmt: skip


class ProviderShelf:
    """Rows `prv/` + key + order in the storage; the index keeps one number an entry."""

    __slots__ = ("_expiry", "_own", "_per_key", "_quota", "_secret", "_storage")

    def __init__(self, storage: Storage, own_number: int, secret: bytes) -> None:
        self._storage = storage
        self._own = own_number
        self._secret = secret
        self._quota = Quota(total=MAX_PROVIDERS, per_author=MAX_RECORDS_PER_AUTHOR, per_group=MAX_RECORDS_PER_GROUP)
        self._per_key: dict[bytes, int] = {}
        #: (wall ms, storage key); a row that was renewed has a later item as well.
        self._expiry: list[tuple[int, bytes]] = []
        for at, value in list(storage.scan(_PREFIX)):
            row = _decode(value)
            if row is None or self._quota.admit(self._item(at), Owner(row.provider, row.group)) != []:
                storage.delete(at)
                continue
            self._count(at, 1)
            self._expiry.append((row.expires_ms, at))
        heapq.heapify(self._expiry)

    def __len__(self) -> int:
        return len(self._quota)

    @property
    def keys(self) -> int:
        return len(self._per_key)

    def put(self, record: ProviderRecord, packed: bytes, *, group: bytes, expires_ms: int, wall_ms: int) -> bool | None:
        """True: kept. False: a newer one is here. None: no room for it."""
        at = _PREFIX + record.key + self._order(record.key, record.provider)
        row = _Row(expires_ms, record.seq, record.provider, group, packed, record.raw)
        held = self._row(at)
        if held is not None:
            if held.seq > record.seq and held.expires_ms > wall_ms:
                return False
            row.group = held.group  # charged to whom it was charged
        else:
            last = b""
            if self._per_key.get(record.key, 0) >= MAX_PROVIDERS_PER_KEY:
                last = [other for other, _ in self._storage.scan(_PREFIX + record.key)][-1]
                if last < at:
                    return None
            evicted = self._quota.admit(self._item(at), Owner(record.provider, group))
            if evicted is None:
                return None
            try:
                self._storage.put(at, row.encode())
            except LimitError:  # the disk is behind: as if it had not been asked
                self._quota.release(self._item(at))
                raise
            for item in evicted:
                self._erase(self._at(item))
            if last and self._item(last) not in evicted:
                self._delete(last)
            self._count(at, 1)
        if held is not None:
            self._storage.put(at, row.encode())
        heapq.heappush(self._expiry, (expires_ms, at))
        if len(self._expiry) > 2 * len(self._quota) + 64:
            self._rebuild()
        return True

    def page(
        self, key: bytes, after: bytes | None, limit: int, wall_ms: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        """Up to `limit` pairs (signed object, packed address) and the cursor of the next page, None at the end."""
        prefix = _PREFIX + key
        found: list[tuple[bytes, bytes]] = []
        cursor = b""
        if not self._per_key.get(key):
            return found, None
        for at, value in self._storage.scan(prefix, after=prefix + after if after else b""):
            row = _decode(value)
            if row is None or row.expires_ms <= wall_ms:
                continue
            if len(found) == limit:
                return found, cursor
            found.append((row.raw, row.packed))
            cursor = at[_ORDER_AT:]
        return found, None

    def expire(self, wall_ms: int, limit: int) -> int:
        """Forget at most `limit` rows that are over; how many were."""
        gone = 0
        while self._expiry and self._expiry[0][0] <= wall_ms and gone < limit:
            at = self._expiry[0][1]
            row = self._row(at)
            if row is not None and row.expires_ms <= wall_ms:
                self._delete(at)
                gone += 1
            heapq.heappop(self._expiry)
        return gone

    def clamp(self, latest_ms: int) -> None:
        """The clock went back: nothing may outlive `latest_ms`."""
        if all(expires_ms <= latest_ms for expires_ms, _ in self._expiry):
            return
        for at, value in list(self._storage.scan(_PREFIX)):
            row = _decode(value)
            if row is not None and row.expires_ms > latest_ms:
                row.expires_ms = latest_ms
                self._storage.put(at, row.encode())
        self._rebuild()

    def _rebuild(self) -> None:
        rows = ((at, _decode(value)) for at, value in self._storage.scan(_PREFIX))
        self._expiry = [(row.expires_ms, at) for at, row in rows if row is not None]
        heapq.heapify(self._expiry)

    def _row(self, at: bytes) -> _Row | None:
        value = self._storage.get(at)
        return None if value is None else _decode(value)

    def _order(self, key: bytes, provider: bytes) -> bytes:
        return hashlib.blake2b(key + provider, key=self._secret, digest_size=ORDER).digest()

    def _item(self, at: bytes) -> int:
        """Number for the quota: distance of the key, then the order."""
        return (number_of(at[_KEY_AT:_ORDER_AT]) ^ self._own) << 8 * ORDER | number_of(at[_ORDER_AT:])

    def _at(self, item: int) -> bytes:
        key = ((item >> 8 * ORDER) ^ self._own).to_bytes(32, "big")
        return _PREFIX + key + (item & ((1 << 8 * ORDER) - 1)).to_bytes(ORDER, "big")

    def _delete(self, at: bytes) -> None:
        self._erase(at)
        self._quota.release(self._item(at))

    def _erase(self, at: bytes) -> None:
        self._storage.delete(at)
        self._count(at, -1)

    def _count(self, at: bytes, change: int) -> None:
        key = at[_KEY_AT:_ORDER_AT]
        self._per_key[key] = self._per_key.get(key, 0) + change
        if not self._per_key[key]:
            del self._per_key[key]
