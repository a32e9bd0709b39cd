"""Units of nothing but zeros need not be sent: their hash says what they are.

A sparse file of 100 GiB is little data. Once the hashes of a range are proved, the disk is told which units of it are
zeros, and leaves holes there; what was asked of somebody already comes as it would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from apps.files.core import bits, disk, merkle
from apps.files.core.layers import Ask
from apps.files.core.merkle import HASH_BYTES
from overlay.runtime.loop import Future

if TYPE_CHECKING:
    from apps.files.core.layout import Layout
    from apps.files.core.picker import Picker
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Zeros:
    """Of one download."""

    share: Share
    layout: Layout
    picker: Picker[Any]
    #: A set of units: they are taken, and not to be asked for; they are here, or (False) the disk took them not.
    on_claimed: Callable[[int], object]
    on_done: Callable[[int, bool], object]
    #: First unit, and how many.
    _runs: deque[tuple[int, int]] = attrs.field(factory=deque, init=False)
    _news: Future[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._news = self.share.around.loop.future()

    def known(self, ask: Ask) -> None:
        """The hashes of a range are."""
        assert self.share.layers is not None
        nodes, zero = self.share.layers.proved_nodes(ask), merkle.ZERO[ask.base]
        first = self.layout.units_of(ask.file).start + ask.index
        found = [nodes[at : at + HASH_BYTES] == zero for at in range(0, len(nodes), HASH_BYTES)]
        # The last unit of a file is seldom full, and then its node is another one.
        units = bits.of_ranges((range(i, i + 1) for i, is_zero in enumerate(found) if is_zero), len(found))
        claimed = self.picker.claim(units << first)
        if claimed:
            self.on_claimed(claimed)
            self._runs += _runs(claimed)
            self._news.set()

    async def run(self) -> None:
        """Until it is cancelled. LocalError."""
        while True:
            while not self._runs:
                self._news = self.share.around.loop.future()
                await self._news
            first, count = self._runs.popleft()
            code = await self.share.around.operate("blank", self.share.id, first, count)
            self.on_done(bits.all_of(count) << first, code == disk.GOOD)


def _runs(units: int) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for unit in bits.first_from(units, 0):
        if runs and unit == sum(runs[-1]):
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((unit, 1))
    return runs
