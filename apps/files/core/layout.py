"""Which unit, piece and byte belong to which file.

A unit never goes across files (BEP 52: every file begins a piece). Units are numbered through all files of a share
in the order of the info dictionary, and so are pieces; empty files have neither. A unit is 256 KiB, or a piece where
pieces are shorter; the last one of a file is what is left.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence

import attrs

from apps.files.core import bits
from apps.files.core.info import Info
from apps.files.core.limits import LEAF_BYTES, MAX_UNITS, UNIT_BYTES
from apps.files.core.merkle import unit_height
from overlay.errors import LimitError


@attrs.frozen(slots=True)
class Unit:
    """Where a unit is, and how it is checked (`merkle.unit_is_good`)."""

    #: Number of the file in `Info.files`.
    file: int
    #: Within the file.
    index: int
    offset: int
    length: int
    #: Height of its node in the tree of the file.
    height: int


@attrs.frozen(slots=True, eq=False)
class Layout:
    unit_bytes: int
    piece_bytes: int
    #: Units and pieces of all files.
    units: int
    pieces: int
    _lengths: array[int] = attrs.field(repr=False)
    #: For each file the number of its first unit and piece, and at the end that of all.
    _first_unit: array[int] = attrs.field(repr=False)
    _first_piece: array[int] = attrs.field(repr=False)
    #: The set of units that are not full.
    _short: int = attrs.field(repr=False)

    @property
    def files(self) -> int:
        return len(self._lengths)

    # --- units -----------------------------------------------------------------------------

    def unit(self, number: int) -> Unit:
        """IndexError if the share has no such unit."""
        if not 0 <= number < self.units:
            raise IndexError(number)
        # The last file that begins here: those before it that do are empty.
        file = bisect_right(self._first_unit, number) - 1
        index = number - self._first_unit[file]
        length = self._lengths[file]
        offset = index * self.unit_bytes
        return Unit(
            file, index, offset, min(self.unit_bytes, length - offset), unit_height(length, unit_bytes=self.unit_bytes)
        )

    def length(self, number: int) -> int:
        """Bytes of a unit that the share has, without the rest of where it is."""
        file = bisect_right(self._first_unit, number) - 1
        return min(self.unit_bytes, self._lengths[file] - (number - self._first_unit[file]) * self.unit_bytes)

    def units_of(self, file: int) -> range:
        """Those of a file; none if it is empty."""
        return range(self._first_unit[file], self._first_unit[file + 1])

    def units_at(self, file: int, offset: int, length: int) -> range:
        """Those that hold these bytes of a file, as far as it has them."""
        first, end = self._first_unit[file], min(offset + length, self._lengths[file])
        if offset >= end:
            return range(first, first)
        return range(first + offset // self.unit_bytes, first + -(-end // self.unit_bytes))

    def set_of(self, files: Iterable[int]) -> int:
        """The units of these files, as a set of apps.files.core.bits."""
        return bits.of_ranges(map(self.units_of, files), self.units)

    def bytes_of(self, units: int) -> int:
        """How many bytes a set of units has. Looks at each one that is not full, the last ones of files: what comes
        one by one is better counted as it comes."""
        count = units.bit_count()
        if count == self.units:
            return sum(self._lengths)
        return count * self.unit_bytes - sum(
            self.unit_bytes - self.length(number) for number in bits.first_from(units & self._short, 0)
        )

    # --- pieces of BitTorrent --------------------------------------------------------------

    def pieces_of(self, file: int) -> range:
        return range(self._first_piece[file], self._first_piece[file + 1])

    def units_of_piece(self, piece: int) -> range:
        """IndexError if the share has no such piece."""
        if not 0 <= piece < self.pieces:
            raise IndexError(piece)
        file = bisect_right(self._first_piece, piece) - 1
        return self.units_at(file, (piece - self._first_piece[file]) * self.piece_bytes, self.piece_bytes)

    def piece_of_unit(self, number: int) -> int:
        unit = self.unit(number)
        return self._first_piece[unit.file] + unit.offset // self.piece_bytes


def layout_of(info: Info) -> Layout:
    """LimitError if the share has more units than one download may take."""
    unit_bytes = min(UNIT_BYTES, info.piece_length)
    if info.length // unit_bytes > MAX_UNITS:  # before anything is counted out
        raise LimitError(_too_large(info.length, unit_bytes))
    lengths = array("Q", (file.length for file in info.files))
    units = _ends(lengths, unit_bytes)
    if units[-1] > MAX_UNITS:
        raise LimitError(_too_large(info.length, unit_bytes))
    pieces = _ends(lengths, info.piece_length)
    last = (end - 1 for end, length in zip(units[1:], lengths, strict=True) if length % unit_bytes)
    short = bits.of_ranges((range(number, number + 1) for number in last), units[-1])
    return Layout(unit_bytes, info.piece_length, units[-1], pieces[-1], lengths, units, pieces, short)


def _ends(lengths: Sequence[int], size: int) -> array[int]:
    ends = array("Q", [0])
    total = 0
    for length in lengths:
        total += -(-length // size)
        ends.append(total)
    return ends


def _too_large(length: int, unit_bytes: int) -> str:
    return (
        f"the share has {length} bytes in units of {unit_bytes // LEAF_BYTES * 16} KiB; at most {MAX_UNITS} are taken"
    )
