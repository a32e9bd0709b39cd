"""Pieces of BitTorrent and units of "/files/1": sets of one in sets of the other, and the unit that a block is in.

Where pieces are longer than a unit they hold a power of two of them; a piece is had when all of its units are.
To clients of v1 every piece has its full length: behind a file of a hybrid share there is a pad of zeros. libtorrent
2.0 asks for it in shares of v2 as well, so it is given to whoever asks.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from apps.files.core import bits
from apps.files.core.bittorrent.limits import BLOCK_BYTES, MAX_BLOCK_BYTES, MAX_PAD_BYTES
from apps.files.core.bittorrent.messages import Block, Pieces
from apps.files.core.layout import Layout
from overlay.errors import BadMessage

#: Pieces whose place is remembered: what one peer asks for at a time is in a few of them.
_REMEMBERED = 64


class Within(NamedTuple):
    """A block as a part of one unit: `start` to `end` of it, then as many zeros as the length asks for."""

    unit: int
    start: int
    end: int


@attrs.frozen(slots=True)
class _Piece:
    units: range
    #: Bytes of the file in it.
    length: int


@attrs.define(slots=True, eq=False)
class Grain:
    layout: Layout
    #: Units of a full piece.
    ratio: int = attrs.field(init=False)
    _places: dict[int, _Piece] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.ratio = self.layout.piece_bytes // self.layout.unit_bytes

    # --- sets -------------------------------------------------------------------------------

    def units_in(self, pieces: Pieces) -> int:
        """The set of the units of these pieces; BadMessage if the share has not so many."""
        layout = self.layout
        if type(pieces) is bool:
            return bits.all_of(layout.units) if pieces else 0
        held = bits.decode_bitfield(pieces, layout.pieces)
        if held == bits.all_of(layout.pieces):
            return bits.all_of(layout.units)
        if self.ratio == 1:
            return held
        wide = {48: "0" * self.ratio, 49: "1" * self.ratio}
        digits = _digits(held, layout.pieces)
        parts = [digits[each.start : each.stop].translate(wide)[: len(units)] for each, units in self._files()]
        return _of_digits("".join(parts))

    def pieces_in(self, units: int) -> int:
        """The set of the pieces all of whose units are in a set."""
        if self.ratio == 1:
            return units
        ratio = self.ratio
        every = "1" * ratio
        digits = _digits(units, self.layout.units)
        parts: list[str] = []
        for pieces, numbers in self._files():
            if len(pieces) == 1:
                parts.append("1" if digits.find("0", numbers.start, numbers.stop) < 0 else "0")
                continue
            own = digits[numbers.start : numbers.stop].ljust(len(pieces) * ratio, "1")
            parts += ["1" if own[at : at + ratio] == every else "0" for at in range(0, len(own), ratio)]
        return _of_digits("".join(parts))

    def _files(self) -> list[tuple[range, range]]:
        """(pieces, units) of each file that has any."""
        layout = self.layout
        both = ((layout.pieces_of(file), layout.units_of(file)) for file in range(layout.files))
        return [pair for pair in both if pair[0]]

    # --- blocks -----------------------------------------------------------------------------

    def within(self, block: Block) -> Within | None:
        """None for a block that is nowhere in the share, is too long, or goes across units: no client asks for such
        a one, for their blocks are powers of two."""
        if not 0 < block.length <= MAX_BLOCK_BYTES or block.piece >= self.layout.pieces:
            return None
        piece, end = self._place(block.piece), block.begin + block.length
        if end > self.layout.piece_bytes:
            return None
        size = self.layout.unit_bytes
        index = min(block.begin // size, len(piece.units) - 1)
        start, stop = min(block.begin, piece.length) - index * size, min(end, piece.length) - index * size
        return Within(piece.units[index], start, stop) if stop <= size else None

    def bytes_of(self, unit: int) -> int:
        """What is given of a unit before it is asked for again: its bytes, and of the pad behind it some."""
        place = self.layout.unit(unit)
        piece = self._place(self.layout.piece_of_unit(unit))
        pad = self.layout.piece_bytes - piece.length if unit == piece.units[-1] else 0
        return place.length + min(pad, MAX_PAD_BYTES)

    def blocks_of(self, unit: int) -> list[Block]:
        """The blocks to ask for to get a unit, in order."""
        place = self.layout.unit(unit)
        piece, begin = self.layout.piece_of_unit(unit), place.offset % self.layout.piece_bytes
        return [
            Block(piece, begin + at, min(BLOCK_BYTES, place.length - at)) for at in range(0, place.length, BLOCK_BYTES)
        ]

    def _place(self, number: int) -> _Piece:
        piece = self._places.get(number)
        if piece is None:
            if len(self._places) >= _REMEMBERED:
                self._places.clear()
            units = self.layout.units_of_piece(number)
            length = (len(units) - 1) * self.layout.unit_bytes + self.layout.unit(units[-1]).length
            piece = self._places[number] = _Piece(units, length)
        return piece

    def units_of(self, piece: int) -> range:
        """BadMessage if the share has no such piece."""
        if piece >= self.layout.pieces:
            raise BadMessage("a piece that the share has not")
        return self._place(piece).units


def _digits(numbers: int, count: int) -> str:
    """One character for each, the first one first."""
    return f"{numbers:0{count}b}"[::-1] if count else ""


def _of_digits(digits: str) -> int:
    return int(digits[::-1], 2) if digits else 0
