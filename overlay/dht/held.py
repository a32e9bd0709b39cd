"""A record as it lies in the storage: a fixed head, then the bytes that are sent.

Not CBOR: these bytes are our own, and the head is read for every FIND_VALUE.
"""

from __future__ import annotations

import attrs

from overlay.wire.registry import RecordType


@attrs.frozen(slots=True)
class Held:
    """One record as it lies in the storage; `inner` is the blob or the signed object."""

    type: RecordType
    expires_ms: int
    #: 0 for a blob.
    seq: int
    #: SHA-256 of the value; 32 zero bytes for a blob, whose key says as much.
    digest: bytes
    #: NodeId to whom it is charged: of the author of a signed record, of who stored a blob.
    author: bytes
    #: Address group that stored it first; empty for ourselves.
    group: bytes
    inner: bytes

    def encode(self) -> bytes:
        return (
            bytes((self.type,))
            + self.expires_ms.to_bytes(8, "big")
            + self.seq.to_bytes(8, "big")
            + self.digest
            + self.author
            + bytes((len(self.group),))
            + self.group
            + self.inner
        )


_HEAD = 1 + 8 + 8 + 32 + 32 + 1
NO_DIGEST = bytes(32)


def decode_held(row: bytes | None) -> Held | None:
    """None for bytes that this version did not write."""
    if row is None or len(row) < _HEAD or row[0] not in (RecordType.BLOB, RecordType.SIGNED):
        return None
    end = _HEAD + row[_HEAD - 1]
    return Held(
        RecordType(row[0]), int.from_bytes(row[1:9], "big"), int.from_bytes(row[9:17], "big"),
        row[17:49], row[49:81], row[_HEAD:end], row[end:],
    )  # fmt: skip
