"""Values of commands and outcomes as deterministic CBOR, which has neither floats nor tuples nor an order of keys.

None, bool, int of 64 bits, bytes and text stand for themselves. All else is an array that begins with a code.
Exactly the value comes back: a core may do other things with a tuple than with a list, and in the order of a dict.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from overlay.errors import BadMessage, LocalError
from overlay.limits import MAX_CBOR_DEPTH
from overlay.wire import cbor

_LIST, _TUPLE, _DICT, _FLOAT, _BIG, _TEXT = range(6)
_float = struct.Struct(">d")
_WIDE = 1 << 64
#: Items of one decoded value; an item of a file is bounded by its bytes.
MAX_ITEMS = 1 << 20
#: Arrays that an item of the tape may put around a value.
_AROUND = 2


class Unrecordable(LocalError):
    """A value that is no plain data, so that no replay could be given it."""


def pack(value: object, *, depth: int = MAX_CBOR_DEPTH - _AROUND) -> Any:
    """What cbor.encode takes. Unrecordable if it is no plain data, or nested too deeply to be read again."""
    kind = type(value)
    if value is None or kind is bool or kind is bytes:
        return value
    if isinstance(value, str):  # an enum of text is its text, as one of numbers is its number
        return _text(str.__str__(value))
    if isinstance(value, int):
        return int(value) if -_WIDE <= value < _WIDE else _big(value)
    if depth == 0:
        raise Unrecordable("a value is nested too deeply")
    if kind is list or kind is tuple:
        return [_LIST if kind is list else _TUPLE, *(pack(item, depth=depth - 1) for item in value)]  # type: ignore[attr-defined]
    if kind is float:
        return [_FLOAT, _float.pack(value)]
    if isinstance(value, Mapping):
        pairs: list[Any] = [_DICT]
        for key, item in value.items():
            pairs += pack(key, depth=depth - 1), pack(item, depth=depth - 1)
        return pairs
    raise Unrecordable(f"a {kind.__name__} is no plain data")


def _text(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, as of a command line that was no UTF-8
        return [_TEXT, value.encode(errors="surrogatepass")]
    return value


def _big(value: int) -> Any:
    return [_BIG, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)]


def unpack(packed: Any) -> Any:
    """The inverse of `pack`. BadMessage if `packed` is none of its values."""
    if not isinstance(packed, list):
        return packed
    try:
        match packed:
            case [0, *items]:
                return [unpack(item) for item in items]
            case [1, *items]:
                return tuple(unpack(item) for item in items)
            case [2, *pairs]:
                keys = [unpack(key) for key in pairs[::2]]
                return dict(zip(keys, map(unpack, pairs[1::2]), strict=True))
            case [3, bytes(raw)]:
                return _float.unpack(raw)[0]
            case [4, bytes(raw)]:
                return int.from_bytes(raw, "big", signed=True)
            case [5, bytes(raw)]:
                return raw.decode(errors="surrogatepass")
    except (ValueError, TypeError, struct.error):
        pass
    raise BadMessage("a value that no recorder writes")


def decode(data: bytes) -> Any:
    """One item of a tape. BadMessage."""
    return cbor.decode(data, max_items=MAX_ITEMS)
