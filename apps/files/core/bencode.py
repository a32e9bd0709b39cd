"""Bencoding (BEP 3), strict: one value, one encoding, and nothing else is accepted.

An info-hash covers bytes, so a second encoding of one value would be a second share. Because there is only one,
`encode(decode(data)) == data` gives back the info dictionary inside a .torrent as it was hashed.

Values: int in -2**63..2**64-1, bytes, list, dict with keys of bytes in ascending order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from apps.files.core.limits import MAX_BENCODE_BYTES, MAX_BENCODE_DEPTH, MAX_BENCODE_ITEMS
from overlay.errors import BadMessage, LocalError

Value = int | bytes | list[Any] | dict[bytes, Any]


@attrs.frozen(slots=True)
class Encoded:
    """A value that is encoded already: it goes in as it is."""

    data: bytes


_MIN, _MAX = -(2**63), 2**64 - 1
#: "-9223372036854775808" and "18446744073709551615".
_MAX_DIGITS = 20
_DICT, _LIST, _INT, _END, _COLON, _ZERO, _NINE, _MINUS = b"dlie:09-"


# --- encoding ------------------------------------------------------------------------------


def encode(value: object) -> bytes:
    """The one encoding of a value. Tuples pass for lists. LocalError for what has none."""
    out = bytearray()
    _write(value, out.extend)
    return bytes(out)


def _write(value: object, emit: Callable[[bytes], None]) -> None:
    kind = type(value)
    if kind is bytes:
        emit(b"%d:" % len(value))  # type: ignore[arg-type]
        emit(value)  # type: ignore[arg-type]
    elif kind is int:
        if not _MIN <= value <= _MAX:  # type: ignore[operator]
            raise LocalError(f"{value} does not fit into 64 bits")
        emit(b"i%de" % value)  # type: ignore[str-format]
    elif kind is dict:
        emit(b"d")
        keys: list[bytes] = list(value)  # type: ignore[call-overload]
        if not all(type(key) is bytes for key in keys):
            raise LocalError("keys of bencoded dictionaries are bytes")
        for key in sorted(keys):
            emit(b"%d:" % len(key))
            emit(key)
            _write(value[key], emit)  # type: ignore[index]
        emit(b"e")
    elif kind is list or kind is tuple:
        emit(b"l")
        for item in value:  # type: ignore[attr-defined]
            _write(item, emit)
        emit(b"e")
    elif kind is Encoded:
        emit(value.data)  # type: ignore[attr-defined]
    else:
        raise LocalError(f"{kind.__name__} has no bencoding")


# --- decoding ------------------------------------------------------------------------------


def decode(
    data: bytes,
    *,
    max_bytes: int = MAX_BENCODE_BYTES,
    max_items: int = MAX_BENCODE_ITEMS,
    max_depth: int = MAX_BENCODE_DEPTH,
) -> Any:
    """The value of which `data` is the one encoding; BadMessage if there is none, or past a bound.

    `max_items` counts every value, keys too. `max_depth`: lists and dictionaries in one another."""
    value, end = decode_prefix(data, max_bytes=max_bytes, max_items=max_items, max_depth=max_depth)
    if end != len(data):
        raise BadMessage("bytes follow the bencoded value")
    return value


def decode_prefix(
    data: bytes,
    *,
    max_bytes: int = MAX_BENCODE_BYTES,
    max_items: int = MAX_BENCODE_ITEMS,
    max_depth: int = MAX_BENCODE_DEPTH,
) -> tuple[Any, int]:
    """As `decode`, and where the value ends: a message of BEP 9 has raw bytes behind it."""
    if len(data) > max_bytes:
        raise BadMessage(f"{len(data)} bytes of bencode, more than {max_bytes}")
    try:
        return _Reader(data, max_items, max_depth).value(0, 0)
    except IndexError:
        raise BadMessage("bencode ends too early") from None


#: Keys that stand in each of 100,000 files: one object for all of them.
_COMMON = {key: key for key in (b"", b"attr", b"length", b"path", b"pieces root")}


class _Reader:
    __slots__ = ("_data", "_depth", "_items")

    def __init__(self, data: bytes, items: int, depth: int) -> None:
        self._data = data
        self._items = items
        self._depth = depth

    def value(self, at: int, depth: int) -> tuple[Any, int]:
        """The value at `at` and where the next one begins."""
        data = self._data
        self._items -= 1
        if self._items < 0:
            raise BadMessage("too many bencoded values")
        first = data[at]
        if _ZERO <= first <= _NINE:
            return self._bytes(at)
        if first == _INT:
            end = data.find(b"e", at + 1, at + _MAX_DIGITS + 2)
            return _number(data[at + 1 : end] if end > 0 else b""), end + 1
        if first not in (_LIST, _DICT):
            raise BadMessage("not bencode")
        if depth >= self._depth:
            raise BadMessage(f"bencode nested deeper than {self._depth}")
        return self._list(at + 1, depth + 1) if first == _LIST else self._dict(at + 1, depth + 1)

    def _bytes(self, at: int) -> tuple[bytes, int]:
        data = self._data
        colon = data.find(b":", at, at + _MAX_DIGITS)
        digits = data[at:colon] if colon > 0 else b""
        # bytes.isdigit is ASCII only; a leading zero would be a second encoding.
        if not digits.isdigit() or (digits[0] == _ZERO and len(digits) > 1):
            raise BadMessage("length of a bencoded string is no number")
        end = colon + 1 + int(digits)
        if end > len(data):
            raise BadMessage("bencode ends too early")
        return data[colon + 1 : end], end

    def _list(self, at: int, depth: int) -> tuple[list[Any], int]:
        out: list[Any] = []
        while self._data[at] != _END:
            item, at = self.value(at, depth)
            out.append(item)
        return out, at + 1

    def _dict(self, at: int, depth: int) -> tuple[dict[bytes, Any], int]:
        data = self._data
        out: dict[bytes, Any] = {}
        last: bytes | None = None
        while data[at] != _END:
            self._items -= 1
            if not _ZERO <= data[at] <= _NINE:
                raise BadMessage("a key of a bencoded dictionary is no string")
            key, at = self._bytes(at)
            if last is not None and key <= last:
                raise BadMessage("keys of a bencoded dictionary are not in ascending order")
            last = key
            key = _COMMON.get(key, key)
            out[key], at = self.value(at, depth)
        return out, at + 1


def _number(text: bytes) -> int:
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or (digits[0] == _ZERO and text != b"0"):
        raise BadMessage("not a bencoded number")
    number = int(text)
    if not _MIN <= number <= _MAX:
        raise BadMessage("a bencoded number of more than 64 bits")
    return number
