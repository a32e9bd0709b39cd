"""Blocks that one client asked for, cut out of units: each unit is asked of this side once for all of its blocks.

A unit is kept until as many bytes were given as it has, so that clients which ask for a few blocks at a time cost no
second reading. Whoever asks for more than is left of it has it asked for again, which waits for the limit of upload
like every unit. The pad behind a file is paid for when it is given: most clients do not ask for it.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from apps.files.core.bittorrent.grain import Grain, Within
from apps.files.core.bittorrent.limits import MAX_BLOCKS_ASKED, MAX_KEPT_UNITS
from apps.files.core.bittorrent.messages import Block, block_head

#: Bytes to send, one after another.
Parts = tuple[bytes | memoryview, ...]


@attrs.define(slots=True, eq=False)
class _Kept:
    data: memoryview
    #: Bytes that may still be given out of it, and those of them that were paid for with the unit.
    left: int
    paid: int


@attrs.define(slots=True, eq=False)
class Giving:
    grain: Grain
    #: Counts bytes that are given beside those of the units themselves.
    pay: Callable[[int], object]
    #: By unit: blocks that wait for it.
    _waiting: dict[int, list[tuple[Block, Within]]] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)
    #: The unit that was used last at the end.
    _kept: dict[int, _Kept] = attrs.field(factory=dict, init=False)

    def ask(self, block: Block) -> Parts | int | None:
        """The block, if its unit is here; the unit to ask for first, -1 if that was done; None: it cannot be given."""
        within = self.grain.within(block)
        if within is None or block.length > self.grain.bytes_of(within.unit) or self._count >= MAX_BLOCKS_ASKED:
            return None
        kept = self._kept.get(within.unit)
        if kept is not None and block.length <= kept.left:
            return self._cut(within, block, kept)
        self._kept.pop(within.unit, None)
        waiting = self._waiting.setdefault(within.unit, [])
        waiting.append((block, within))
        self._count += 1
        return within.unit if len(waiting) == 1 else -1

    def came(self, unit: int, data: memoryview) -> tuple[Parts, bool]:
        """What to send now that a unit is here, and whether to ask for it again: for blocks beyond what it gives."""
        kept = _Kept(data, self.grain.bytes_of(unit), len(data))
        self._kept.pop(unit, None)
        self._kept[unit] = kept
        if len(self._kept) > MAX_KEPT_UNITS:
            del self._kept[next(iter(self._kept))]
        parts: list[bytes | memoryview] = []
        later: list[tuple[Block, Within]] = []
        for block, within in self._pop(unit):
            if block.length > kept.left:
                later.append((block, within))
            else:
                parts += self._cut(within, block, kept)
        if later:
            self._waiting[unit] = later
            self._count += len(later)
        return tuple(parts), bool(later)

    def cancel(self, block: Block) -> int | None:
        """The unit if nothing of it is asked for any more, -1 if something is; None if nobody waits for this block."""
        within = self.grain.within(block)
        waiting = self._waiting.get(within.unit) if within is not None else None
        if within is None or waiting is None or (block, within) not in waiting:
            return None
        waiting.remove((block, within))
        self._count -= 1
        if waiting:
            return -1
        del self._waiting[within.unit]
        return within.unit

    def refuse(self, unit: int) -> list[Block]:
        """It will not come: who waits for it."""
        return [block for block, _ in self._pop(unit)]

    def stop(self) -> list[Block]:
        """Nothing is given any more; who waits for anything."""
        self._kept.clear()
        return [block for unit in tuple(self._waiting) for block, _ in self._pop(unit)]

    def _pop(self, unit: int) -> list[tuple[Block, Within]]:
        blocks = self._waiting.pop(unit, [])
        self._count -= len(blocks)
        return blocks

    def _cut(self, within: Within, block: Block, kept: _Kept) -> Parts:
        kept.left -= block.length
        if kept.left <= 0:
            self._kept.pop(within.unit, None)
        data = kept.data[within.start : within.end]
        head = block_head(block.piece, block.begin, block.length)
        gap, paid = block.length - len(data), min(len(data), kept.paid)
        kept.paid -= paid
        if block.length > paid:
            self.pay(block.length - paid)
        return (head, data, bytes(gap)) if gap else (head, data)
