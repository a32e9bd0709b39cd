"""Sets of units as integers: unit u is in the set if bit u is set.

Python works on 100,000 bits at once in about a microsecond, so sets of units are combined whole and hardly ever
walked through. On the wire and on disk they are bytes with the first unit in the highest bit (BEP 3, `bitfield`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from overlay.errors import BadMessage

#: Bits that are looked at together: one digit of Python is 30 bits, a shift of the whole costs as much as 100 of these.
_WINDOW = 1024
_WINDOW_MASK = (1 << _WINDOW) - 1
#: Each byte with its bits in the other order.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def all_of(count: int) -> int:
    """The set of the first `count` units."""
    return (1 << count) - 1


def of_ranges(ranges: Iterable[range], count: int) -> int:
    """The set of the units of ranges (step 1) below `count`; 100,000 of them take 20 ms."""
    digits = bytearray(b"0" * (count or 1))
    for each in ranges:
        digits[each.start : each.stop] = b"1" * len(each)
    digits.reverse()
    return int(digits, 2)


def to_bitfield(units: int, count: int) -> bytes:
    """ceil(count / 8) bytes, spare bits zero."""
    return units.to_bytes((count + 7) // 8, "little").translate(_REVERSED)


def decode_bitfield(data: bytes, count: int) -> int:
    """The inverse of `to_bitfield`; BadMessage unless it is of exactly `count` units."""
    if len(data) != (count + 7) // 8:
        raise BadMessage(f"{len(data)} bytes are no bit field of {count} units")
    units = int.from_bytes(data.translate(_REVERSED), "little")
    if units >> count:
        raise BadMessage("a bit field with units behind the last one")
    return units


def first_from(units: int, start: int) -> Iterator[int]:
    """The members from `start` on in ascending order, then those before it."""
    yield from _ascending(units >> start, start)
    yield from _ascending(units & all_of(start), 0)


def _ascending(units: int, base: int) -> Iterator[int]:
    while units:
        skip = (units & -units).bit_length() - 1
        units >>= skip
        base += skip
        window = units & _WINDOW_MASK
        while window:
            low = window & -window
            yield base + low.bit_length() - 1
            window ^= low
        units >>= _WINDOW
        base += _WINDOW
