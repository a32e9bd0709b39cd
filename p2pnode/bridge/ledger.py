"""What a bridge has its node publish, counted; and what is to be withdrawn.

The node's own records are the memory of a bridge: after a restart it reads from them which keys it keeps.
Whatever of it no key needs any more is withdrawn, because the node publishes a bounded number of records and
its owner needs room as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from overlay.errors import BadMessage
from overlay.wire.records import blob_key
from p2pnode.bridge import values
from p2pnode.bridge.limits import MAX_BYTES, MAX_KEYS, MAX_RECORDS, RECORD_TTL_S


@attrs.define(slots=True)
class Kept:
    """A foreign key whose record this node signs."""

    packed: bytes
    #: When a foreign peer stored it last, and when we signed it last.
    stored: float
    published: float
    seq: int = 0
    #: Hex keys of its blobs, if it is long.
    chunks: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        chunks = () if values.is_inline(self.packed) else values.chunks_of(self.packed)
        self.chunks = tuple(blob_key(chunk).hex() for chunk in chunks)

    @property
    def records(self) -> int:
        """Own records of the node that it takes: signed record, provider, chunks."""
        return 2 + len(self.chunks)


@attrs.frozen(slots=True)
class Loose:
    """What the node is to forget: arguments of the command, and the foreign key it belongs to."""

    argument: str
    value: str | bytes
    foreign: bytes | None = None


@attrs.define(slots=True)
class Ledger:
    #: Bytes of all values.
    size: int = attrs.field(init=False, default=0)
    _records: int = attrs.field(init=False, default=0)
    _kept: dict[bytes, Kept] = attrs.field(init=False, factory=dict)
    #: Values of equal content share chunks.
    _uses: Counter[str] = attrs.field(init=False, factory=Counter)
    _loose: dict[Loose, None] = attrs.field(init=False, factory=dict)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[tuple[bytes, Kept]]:
        return iter(tuple(self._kept.items()))

    def get(self, key: bytes) -> Kept | None:
        return self._kept.get(key)

    @property
    def records(self) -> int:
        """Own records of the node, those that are still to be withdrawn included."""
        return self._records + len(self._loose)

    def has_room(self, key: bytes, fresh: Kept) -> bool:
        old = self._kept.get(key)
        keys = len(self._kept) + (old is None)
        size = self.size + len(fresh.packed) - (len(old.packed) if old else 0)
        records = self.records + fresh.records - (old.records if old else 0)
        return keys <= MAX_KEYS and size <= MAX_BYTES and records <= MAX_RECORDS

    def keep(self, key: bytes, fresh: Kept) -> None:
        """In place of what was kept under `key`."""
        self._uses.update(fresh.chunks)  # before the old one goes: they may share some
        self._release(key)
        self._kept[key] = fresh
        self.size += len(fresh.packed)
        self._records += fresh.records

    def drop(self, key: bytes) -> None:
        # The announcement first: if the node ends between the two, the record still tells the next life of it.
        self._loose[Loose("key", values.meeting_key(key), key)] = None
        self._loose[Loose("salt", values.salt_of(key), key)] = None
        self._release(key)

    def loosen(self, chunks: Iterable[str]) -> None:
        """Blobs that were put for a value that is not kept."""
        self._loose.update((Loose("key", chunk), None) for chunk in chunks if chunk not in self._uses)

    def take_loose(self) -> list[Loose]:
        """What is to be withdrawn now; what came into use again is not."""
        loose, self._loose = self._loose, {}
        return [one for one in loose if one.value not in self._uses and one.foreign not in self._kept]

    def put_back(self, loose: Loose) -> None:
        """It could not be withdrawn yet."""
        self._loose[loose] = None

    def recall(self, rows: Iterable[Mapping[str, Any]], now: float) -> None:
        """What an earlier life left in the node's list (rows of the command `own`, with values)."""
        rows = tuple(rows)
        blobs = {row["key"]: row["value"] for row in rows if row["kind"] == "blob" and values.is_chunk(row["value"])}
        provided = {row["key"] for row in rows if row["kind"] == "provider"}
        for row in rows:
            key = values.key_of(row["name"]) if row["kind"] == "signed" else None
            if key is None:
                continue
            try:
                held = values.decode_record(row["value"])
                packed = held if isinstance(held, bytes) else values.join(held, [blobs.get(k, b"") for k in held.keys])
                values.unpack_value(packed)
            except BadMessage:
                self.drop(key)
                continue
            age = RECORD_TTL_S - row["expires_s"] if row["expires_s"] is not None else 0
            fresh = Kept(packed, stored=now, published=now - age, seq=row["seq"])
            if values.meeting_key(key) in provided and self.has_room(key, fresh):
                self.keep(key, fresh)
            else:
                self.drop(key)
        self.loosen(blobs)

    def _release(self, key: bytes) -> None:
        old = self._kept.pop(key, None)
        if old is None:
            return
        self.size -= len(old.packed)
        self._records -= old.records
        self._uses -= Counter(old.chunks)
        self.loosen(old.chunks)
