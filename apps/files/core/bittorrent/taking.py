"""Units that this side wants of one client, asked for in blocks and put together again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

from apps.files.core.bittorrent.grain import Grain
from apps.files.core.bittorrent.limits import BLOCKS_ASKED, MAX_STRAY_BYTES
from apps.files.core.bittorrent.messages import Block, BlockData
from overlay.errors import BadMessage


@attrs.define(slots=True, eq=False)
class _Unit:
    number: int
    data: bytearray
    #: Where its first block begins in its piece.
    begin: int
    #: Blocks that did not come.
    missing: int


@attrs.define(slots=True, eq=False)
class Taking:
    grain: Grain
    #: Blocks to ask for before the first has come.
    window: int = BLOCKS_ASKED
    _units: dict[int, _Unit] = attrs.field(factory=dict, init=False)
    _unsaid: deque[tuple[_Unit, Block]] = attrs.field(factory=deque, init=False)
    #: By (piece, begin): asked for and not come.
    _asked: dict[tuple[int, int], tuple[_Unit, int]] = attrs.field(factory=dict, init=False)
    #: Bytes of blocks that were given up and may be on their way.
    _stray: int = attrs.field(default=0, init=False)

    def want(self, units: Iterable[int]) -> None:
        """What is wanted already is not asked for again."""
        for number in units:
            if number in self._units:
                continue
            blocks = self.grain.blocks_of(number)
            length = sum(block.length for block in blocks)
            unit = _Unit(number, bytearray(length), blocks[0].begin, len(blocks))
            self._units[number] = unit
            self._unsaid.extend((unit, block) for block in blocks)

    def next_blocks(self) -> list[Block]:
        """To be asked for now."""
        blocks: list[Block] = []
        while self._unsaid and len(self._asked) < self.window:
            unit, block = self._unsaid.popleft()
            if self._units.get(unit.number) is not unit:
                continue
            self._asked[block.piece, block.begin] = unit, block.length
            blocks.append(block)
        return blocks

    def came(self, block: BlockData) -> tuple[int, bytearray] | None:
        """The unit that is whole by it. BadMessage for more than was ever asked for."""
        unit, length = self._asked.get((block.piece, block.begin), (None, 0))
        if unit is None or length != len(block.data):
            self._stray -= len(block.data)
            if self._stray < 0:
                raise BadMessage("blocks that nobody asked for")
            return None
        del self._asked[block.piece, block.begin]
        at = block.begin - unit.begin
        unit.data[at : at + length] = block.data
        unit.missing -= 1
        if unit.missing:
            return None
        del self._units[unit.number]
        return unit.number, unit.data

    def cancel(self, units: Iterable[int]) -> list[Block]:
        """These are no longer wanted: blocks to cancel, which may come all the same."""
        given_up: list[Block] = []
        for number in units:
            unit = self._units.pop(number, None)
            if unit is not None:
                given_up += self._forget(unit)
        if not self._units:
            self._unsaid.clear()
        return given_up

    def refused(self, block: Block) -> tuple[int, list[Block]] | None:
        """A block will not come, and so its unit will not: its number, and other blocks to cancel."""
        unit, length = self._asked.get((block.piece, block.begin), (None, 0))
        if unit is None or length != block.length:
            return None
        del self._asked[block.piece, block.begin]
        self._units.pop(unit.number, None)
        return unit.number, self._forget(unit)

    def stop(self) -> None:
        """A choke: nothing that was asked for has to come. What is on its way may still come."""
        self.cancel(tuple(self._units))

    def _forget(self, unit: _Unit) -> list[Block]:
        blocks = []
        for block in self.grain.blocks_of(unit.number):
            owner, length = self._asked.get((block.piece, block.begin), (None, 0))
            if owner is unit:
                del self._asked[block.piece, block.begin]
                self._stray = min(self._stray + length, MAX_STRAY_BYTES)
                blocks.append(block)
        return blocks
