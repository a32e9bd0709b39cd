"""A foreign value as bytes of our records, so that an int comes back as an int.

    record value = 0x00 value in msgpack                          up to 831 bytes of msgpack
                 | 0x01 length (2 bytes) chunk keys (n x 32)      longer: the chunks are blobs
    blob value   = 0xff "kad1" piece of the msgpack

msgpack is what the foreign wire carries, so every value that can be set there survives exactly.
Blobs name themselves by their hash; the length guards against a manifest that expands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import attrs
import umsgpack  # type: ignore[import-untyped]

from overlay.errors import BadMessage
from overlay.limits import MAX_VALUE
from p2pnode.bridge.limits import FOREIGN_KEY, MAX_FOREIGN_VALUE

#: What `kademlia.network.check_dht_value_type` allows (exactly these types).
Value = int | float | bool | str | bytes
VALUE_TYPES = (int, float, bool, str, bytes)

_INLINE = b"\x00"
_MANIFEST = b"\x01"
_HASH = 32
#: 0xff begins no UTF-8 text, so no foreign key can name a record that a user named; and chunks have it so that
#: no foreign value is a blob of the user's.
_MARK = b"\xffkad1"
_PIECE = MAX_VALUE - len(_MARK)


@attrs.frozen(slots=True)
class Manifest:
    """Where the pieces of a long value are. `keys` are hex keys of blobs, in order."""

    length: int
    keys: tuple[str, ...]


def salt_of(key: bytes) -> bytes:
    """Salt (25 bytes) of the signed record for a foreign 20-byte key."""
    return _MARK + key


def key_of(salt: bytes) -> bytes | None:
    """The inverse; None if the record is not of a bridge."""
    return salt[len(_MARK) :] if salt.startswith(_MARK) and len(salt) == len(_MARK) + FOREIGN_KEY else None


def meeting_key(key: bytes) -> str:
    """Hex key at which every bridge that holds the foreign `key` is a provider."""
    return hashlib.sha256(b"p2pnode/bridge/1" + key).hexdigest()


def foreign_id(node: str) -> bytes:
    """20-byte id of this bridge in the foreign network; the same after a restart."""
    return hashlib.sha256(b"p2pnode/bridge/id/1" + node.encode()).digest()[:FOREIGN_KEY]


def is_value(value: Any) -> bool:
    return type(value) in VALUE_TYPES


def pack_value(value: Value) -> bytes | None:
    """msgpack of `value`; None if it is longer than the bridge carries."""
    packed: bytes = umsgpack.packb(value)
    return packed if len(packed) <= MAX_FOREIGN_VALUE else None


def unpack_value(packed: bytes) -> Value:
    """Raises BadMessage unless `packed` is the msgpack of one allowed value and nothing else."""
    if len(packed) > MAX_FOREIGN_VALUE:
        raise BadMessage(f"a bridged value of {len(packed)} bytes")
    value = decode_msgpack(packed)
    if not is_value(value) or umsgpack.packb(value) != packed:
        raise BadMessage("not a value of a kademlia network")
    return value  # type: ignore[no-any-return]


def decode_msgpack(data: bytes) -> Any:
    """Any msgpack object; raises BadMessage and nothing else."""
    try:
        return umsgpack.unpackb(data)
    except Exception as error:
        # Its own exceptions, but also RecursionError (nesting), OverflowError and ValueError
        # (timestamps), TypeError (keys of maps): what comes out of it is not documented.
        raise BadMessage(f"not msgpack: {type(error).__name__}") from None


def is_inline(packed: bytes) -> bool:
    return len(packed) < MAX_VALUE


def inline_record(packed: bytes) -> bytes:
    return _INLINE + packed


def chunks_of(packed: bytes) -> list[bytes]:
    """The blobs of a long value: 10 for 8 kB."""
    return [_MARK + packed[i : i + _PIECE] for i in range(0, len(packed), _PIECE)]


def is_chunk(blob: bytes) -> bool:
    return blob.startswith(_MARK)


def join(manifest: Manifest, chunks: Sequence[bytes]) -> bytes:
    """Raises BadMessage if they are not the blobs of this value."""
    packed = b"".join(chunk[len(_MARK) :] for chunk in chunks if is_chunk(chunk))
    if len(packed) != manifest.length:
        raise BadMessage(f"a value of {len(packed)} bytes that was said to have {manifest.length}")
    return packed


def manifest_record(manifest: Manifest) -> bytes:
    return _MANIFEST + manifest.length.to_bytes(2, "big") + b"".join(map(bytes.fromhex, manifest.keys))


def decode_record(value: bytes) -> bytes | Manifest:
    """What another bridge's record holds: packed value or manifest. Raises BadMessage."""
    kind, rest = value[:1], value[1:]
    if kind == _INLINE:
        return rest
    if kind != _MANIFEST or len(rest) < 2:
        raise BadMessage("not a record of a bridge")
    length, names = int.from_bytes(rest[:2], "big"), rest[2:]
    if length > MAX_FOREIGN_VALUE or len(names) != -(-length // _PIECE) * _HASH:
        raise BadMessage(f"a manifest of {length} bytes in {len(names)} bytes of names")
    return Manifest(length, tuple(names[i : i + _HASH].hex() for i in range(0, len(names), _HASH)))
