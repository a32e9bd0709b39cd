"""Deterministic CBOR (RFC 8949 4.2.1): one value, one encoding, and nothing else is accepted.

The decoder is our own because a signature covers bytes: two encodings of one value would be two
messages. And because cbor2 acts on tags of hostile input (regular expressions, big floats, MIME,
shared references) and accepts every non-canonical form; here a tag is an error.

Values: int in -2**64..2**64-1, bytes, str, list, dict (keys int, bytes or str), None, bool.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from overlay.errors import BadMessage, LocalError
from overlay.limits import MAX_CBOR_DEPTH, MAX_CBOR_ITEMS

_UINT, _NINT, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 1, 2, 3, 4, 5, 7

_u16 = struct.Struct(">H").unpack_from
_u32 = struct.Struct(">I").unpack_from
_u64 = struct.Struct(">Q").unpack_from
_short_head = struct.Struct(">BB").pack
_u16_head = struct.Struct(">BH").pack
_u32_head = struct.Struct(">BI").pack
_u64_head = struct.Struct(">BQ").pack
_TINY = tuple(bytes([n]) for n in range(256))


# --- encoding ------------------------------------------------------------------------------


def encode(value: object) -> bytes:
    """The one encoding of a value; LocalError for a type or a number that has none here."""
    parts: list[bytes] = []
    if type(value) is list:  # bodies of messages are flat lists of bytes and small numbers: half the time of _write
        parts.append(head(_ARRAY, len(value)))
        for item in value:
            if type(item) is bytes:
                n = len(item)
                parts.append(_TINY[0x40 | n] if n < 24 else head(_BYTES, n))
                parts.append(item)
            elif type(item) is int and 0 <= item < 24:
                parts.append(_TINY[item])
            else:
                _write(item, parts.append)
    else:
        _write(value, parts.append)
    return b"".join(parts)


def head(major: int, n: int) -> bytes:
    """Initial byte and argument, shortest form; `n` below 2**64."""
    if n < 24:
        return _TINY[major << 5 | n]
    if n < 0x100:
        return _short_head(major << 5 | 24, n)
    if n < 0x1_0000:
        return _u16_head(major << 5 | 25, n)
    if n < 0x1_0000_0000:
        return _u32_head(major << 5 | 26, n)
    if n < 0x1_0000_0000_0000_0000:
        return _u64_head(major << 5 | 27, n)
    raise LocalError(f"{n} does not fit into 64 bits")


def bstr(data: bytes) -> bytes:
    """A byte string with its head."""
    n = len(data)
    return (_TINY[0x40 | n] if n < 24 else head(_BYTES, n)) + data


def _write(value: object, emit: Callable[[bytes], None]) -> None:
    kind = type(value)
    if kind is bytes:
        emit(head(_BYTES, len(value)))  # type: ignore[arg-type]
        emit(value)  # type: ignore[arg-type]
    elif kind is list or kind is tuple:
        emit(head(_ARRAY, len(value)))  # type: ignore[arg-type]
        for item in value:  # type: ignore[attr-defined]
            _write(item, emit)
    elif value is None:
        emit(b"\xf6")
    elif kind is bool:
        emit(b"\xf5" if value else b"\xf4")
    elif isinstance(value, int):  # after bool; IntEnum is welcome
        emit(head(_UINT, value) if value >= 0 else head(_NINT, -1 - value))
    elif isinstance(value, str):
        try:
            text = value.encode()
        except UnicodeEncodeError as error:
            raise LocalError(f"text that is not Unicode cannot be sent: {error}") from None
        emit(head(_TEXT, len(text)))
        emit(text)
    elif kind is dict:
        _write_map(value, emit)  # type: ignore[arg-type]
    else:
        raise LocalError(f"{kind.__name__} has no encoding in this protocol")


def _write_map(value: dict[object, object], emit: Callable[[bytes], None]) -> None:
    for key in value:
        if not isinstance(key, int | str | bytes) or isinstance(key, bool):
            raise LocalError(f"{type(key).__name__} cannot be a key of a map in this protocol")
    emit(head(_MAP, len(value)))
    # 4.2.1: bytewise order of the encoded keys (not the length-first order of RFC 7049).
    for encoded, item in sorted(((encode(key), item) for key, item in value.items()), key=lambda pair: pair[0]):
        emit(encoded)
        _write(item, emit)


# --- decoding ------------------------------------------------------------------------------


def decode(data: bytes, *, max_items: int = MAX_CBOR_ITEMS, depth: int = 0) -> Any:
    """The value of which `data` is the one encoding; BadMessage if there is none.

    `depth`: how many arrays and maps are around it already."""
    budget = [max_items]
    try:
        value, end = _item(data, 0, depth, budget)
    except (IndexError, struct.error):
        raise BadMessage("CBOR ends too early") from None
    if end != len(data):
        raise BadMessage("bytes follow the CBOR item")
    return value


def _item(data: bytes, at: int, depth: int, budget: list[int]) -> tuple[Any, int]:
    """The item at `at` and where the next one begins."""
    first = data[at]
    major = first >> 5
    n = first & 31
    if n < 24:
        at += 1
    elif n == 24:
        n = data[at + 1]
        at += 2
        if n < 24 or major == _SIMPLE:
            raise BadMessage("CBOR is not in its shortest form")
    else:
        n, at = _argument(data, at, n, major)
    if major == _BYTES:
        end = at + n
        if end > len(data):
            raise BadMessage("CBOR ends too early")
        return data[at:end], end
    if major == _UINT:
        return n, at
    if major == _ARRAY:
        _enter(n, depth, budget)
        items = []
        for _ in range(n):
            item, at = _item(data, at, depth + 1, budget)
            items.append(item)
        return items, at
    if major == _SIMPLE:
        if n == 22:
            return None, at
        if n == 21 or n == 20:
            return n == 21, at
        raise BadMessage("a simple value that is neither null, true nor false")
    if major == _TEXT:
        end = at + n
        if end > len(data):
            raise BadMessage("CBOR ends too early")
        try:
            return data[at:end].decode(), end
        except UnicodeDecodeError:
            raise BadMessage("text is not UTF-8") from None
    if major == _NINT:
        return -1 - n, at
    if major == _MAP:
        return _map(data, at, n, depth, budget)
    raise BadMessage("tags are not part of this protocol")


def _argument(data: bytes, at: int, info: int, major: int) -> tuple[int, int]:
    """The argument of 2, 4 or 8 bytes, and where it ends."""
    if major == _SIMPLE or info > 27:
        raise BadMessage("floats, indefinite lengths and reserved forms are not part of this protocol")
    if info == 25:
        n: int = _u16(data, at + 1)[0]
        at, least = at + 3, 0x100
    elif info == 26:
        n = _u32(data, at + 1)[0]
        at, least = at + 5, 0x1_0000
    else:
        n = _u64(data, at + 1)[0]
        at, least = at + 9, 0x1_0000_0000
    if n < least:
        raise BadMessage("CBOR is not in its shortest form")
    return n, at


def _enter(items: int, depth: int, budget: list[int]) -> None:
    budget[0] -= items
    if budget[0] < 0:
        raise BadMessage("too many CBOR items")
    if depth >= MAX_CBOR_DEPTH:
        raise BadMessage("CBOR is nested too deeply")


def _map(data: bytes, at: int, pairs: int, depth: int, budget: list[int]) -> tuple[dict[Any, Any], int]:
    _enter(2 * pairs, depth, budget)
    result: dict[Any, Any] = {}
    previous = b""
    for _ in range(pairs):
        key, end = _item(data, at, depth + 1, budget)
        if not isinstance(key, int | str | bytes) or isinstance(key, bool):
            raise BadMessage("a key of a map is neither a number, text nor bytes")
        encoded = data[at:end]
        if encoded <= previous:
            raise BadMessage("keys of a map are not sorted, or not unique")
        previous = encoded
        result[key], at = _item(data, end, depth + 1, budget)
    return result, at
