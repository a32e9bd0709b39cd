"""What a bridge has its node publish, counted; and what is to be withdrawn.

The node's own records are the memory of a bridge: after a restart it reads from them which keys it keeps.
Whatever of it no key needs any more is withdrawn, because the node publishes a bounded number of records and
its owner needs room as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from overlay.errors import BadMessage
from overlay.wire.records import blob_key
from p2pnode.bridge import values
from p2pnode.bridge.limits import KEEP_S, MAX_BYTES, MAX_KEYS, MAX_RECORDS, RECORD_TTL_S, RENEW_S

#: Before any moment of the clock.
NEVER = -math.inf


@attrs.define(slots=True)
class Kept:
    """A foreign key whose record this node signs."""

    packed: bytes
    #: When a foreign peer stored it last, when it was signed and announced last, when a renewal was tried last.
    stored: float
    published: float = NEVER
    tried: float = NEVER
    #: 0: in doubt. It is not known whether the network has this value, because a put did not end well.
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

    def is_due(self, now: float) -> bool:
        """Whether it is to be renewed."""
        return now - self.published > RENEW_S


#: An own record of the node as its command `forget` names it: hex key, or salt.
Name = str | bytes


@attrs.define(slots=True)
class Ledger:
    """Room is taken before the first record of a value is published, so nothing that is out is ever uncounted."""

    _kept: dict[bytes, Kept] = attrs.field(init=False, factory=dict)
    #: Bytes and records of what is kept and of what is being published.
    _size: int = attrs.field(init=False, default=0)
    _records: int = attrs.field(init=False, default=0)
    #: Keys being published that are not kept yet.
    _coming: dict[bytes, None] = attrs.field(init=False, factory=dict)
    #: Of these as well. Values of equal content share chunks.
    _uses: Counter[Name] = attrs.field(init=False, factory=Counter)
    #: What no key uses and the node still publishes, in the order in which it is to be withdrawn.
    _loose: dict[Name, None] = attrs.field(init=False, factory=dict)

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Kept | None:
        return self._kept.get(key)

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return self._size

    @property
    def records(self) -> int:
        """Own records of the node, those that are still to be withdrawn included."""
        return self._records + len(self._loose)

    def reserve(self, key: bytes, fresh: Kept) -> bool:
        """Take the room of `fresh`, to be published under `key`; False if there is none.

        `keep` or `give_back` follows, before the next one for this key. What it replaces counts until then, but
        does not keep it out.
        """
        old = self._kept.get(key)
        keys = len(self._kept) + len(self._coming) + (old is None)
        size = self._size + len(fresh.packed) - (len(old.packed) if old else 0)
        records = self.records + fresh.records - (old.records if old else 0)
        if keys > MAX_KEYS or size > MAX_BYTES or records > MAX_RECORDS:
            return False
        if old is None:
            self._coming[key] = None
        self._size += len(fresh.packed)
        self._records += fresh.records
        for name in _names(key, fresh):
            self._uses[name] += 1
            self._loose.pop(name, None)
        return True

    def keep(self, key: bytes, fresh: Kept) -> None:
        """What was reserved is out, in place of what was kept under `key`."""
        self._coming.pop(key, None)
        old = self._kept.pop(key, None)
        self._kept[key] = fresh
        if old is not None:
            self._release(key, old)

    def give_back(self, key: bytes, fresh: Kept) -> None:
        """What was reserved did not get out, or not all of it."""
        self._coming.pop(key, None)
        self._release(key, fresh)

    def doubt(self, key: bytes) -> None:
        """A new record for `key` is about to be signed: until that has ended well, what is kept may not be
        what the network has. It is due for renewal at once."""
        kept = self._kept.get(key)
        if kept is not None:
            kept.seq, kept.published = 0, NEVER

    def drop(self, key: bytes) -> None:
        self._release(key, self._kept.pop(key))

    def drop_old(self, now: float) -> None:
        """What nobody stored for a week."""
        for key in [key for key, kept in self._kept.items() if now - kept.stored > KEEP_S]:
            self.drop(key)

    def due(self, now: float) -> list[bytes]:
        """Keys to renew; what was tried last is last, so that what cannot be renewed holds nobody up."""
        return sorted((k for k, kept in self._kept.items() if kept.is_due(now)), key=lambda k: self._kept[k].tried)

    def loosen(self, names: Iterable[Name]) -> None:
        """The node is to forget them, unless they are used."""
        self._loose.update((name, None) for name in names if name not in self._uses)

    def loose(self) -> tuple[Name, ...]:
        return tuple(self._loose)

    def take_loose(self, name: Name) -> bool:
        """Before it is withdrawn; `loosen` it again if it could not be. False: it is used again."""
        return name in self._loose and self._loose.pop(name) is None

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
                self.loosen(_names(key))
                continue
            age = RECORD_TTL_S - row["expires_s"] if row["expires_s"] is not None else 0
            fresh = Kept(packed, stored=now, published=now - age, seq=row["seq"])
            if values.meeting_key(key) in provided and self.reserve(key, fresh):
                self.keep(key, fresh)
            else:
                self.loosen(_names(key))
        self.loosen(blobs)

    def _release(self, key: bytes, old: Kept) -> None:
        names = _names(key, old)
        self._size -= len(old.packed)
        self._records -= old.records
        self._uses -= Counter(names)
        self.loosen(names)


def _names(key: bytes, kept: Kept | None = None, /) -> tuple[Name, ...]:
    """All records behind a foreign key, in the order in which they are withdrawn: the announcement first, since as
    long as the signed record is there it tells the next life of the others."""
    return values.meeting_key(key), values.salt_of(key), *(kept.chunks if kept else ())
