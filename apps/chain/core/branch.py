"""Headers of a branch that is not worth keeping yet, of whatever length it is.

A branch is kept once it has about as much work as the best one; a peer gives its headers 500 at a time, and those of a
long fork are here until then. Of one with more headers than are gathered only a mark is left for so many: the id of the
last one, which commits to all before it. If the branch turns out to be worth it, its headers are asked for once more
and kept from mark to mark: what has to be here at once is bounded, how far back two chains part is not. (Bitcoin Core
asks twice as well, and remembers a bit of some headers: src/headerssync.h.)
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import attrs

from apps.chain.core.headers import check_work
from apps.chain.core.limits import MAX_BRANCH
from apps.chain.core.params import Params
from apps.chain.core.rows import HeaderRow
from apps.chain.core.rules import Invalid


class Stage(enum.Enum):
    #: All headers so far are here.
    GATHERED = enum.auto()
    #: Of some only marks are left.
    COUNTED = enum.auto()
    #: It is worth it; they come again.
    AGAIN = enum.auto()


@attrs.define(slots=True, eq=False)
class Branch:
    """Headers one after another that are good so far and that nobody keeps yet. One for a peer that is asked.

    Up to the block that is assumed valid the proof of work waits as well: once that block is reached, all before it are
    what it descends from, and need none."""

    rows: list[HeaderRow] = attrs.Factory(list)
    #: How many of them, from the last back, have their work proved.
    unproved: int = 0
    #: The last one of which only a mark is left; None unless they are being counted.
    counted: HeaderRow | None = None
    #: (height, id), upwards.
    marks: list[tuple[int, bytes]] = attrs.Factory(list)

    @property
    def stage(self) -> Stage:
        if self.counted is not None:
            return Stage.COUNTED
        return Stage.AGAIN if self.marks else Stage.GATHERED

    @property
    def end(self) -> HeaderRow | None:
        """The last one of all."""
        return self.rows[-1] if self.rows else self.counted

    @property
    def full(self) -> bool:
        return len(self.rows) >= MAX_BRANCH

    @property
    def is_due(self) -> bool:
        """It has to be decided what becomes of those that are here before another one is added."""
        marked = self.stage is Stage.AGAIN and self.rows and self.rows[-1].height >= self.marks[0][0]
        return self.full or bool(marked)

    def add(self, row: HeaderRow, *, proved: bool) -> None:
        self.rows.append(row)
        if not proved:
            self.unproved = len(self.rows)

    def prove(self, params: Params) -> None:
        """Checks the work that was not; Invalid H3, and then the bad one and all behind it are gone."""
        for at, row in enumerate(self.rows[: self.unproved]):
            try:
                check_work(row.difficulty, row.raw, params)
            except Invalid:
                del self.rows[at:]
                self.unproved = 0
                raise
        self.unproved = 0

    def trust(self) -> None:
        """The last one that is not proved yet is the block that is assumed valid."""
        for at in range(self.unproved):
            self.rows[at] = attrs.evolve(self.rows[at], trusted=True)
        self.unproved = 0

    def take(self) -> Sequence[HeaderRow]:
        rows, self.rows, self.unproved = self.rows, [], 0
        return rows

    # --- of more than are gathered ---

    def count(self) -> None:
        """Leaves a mark of those that are here."""
        last = self.take()[-1]
        self.marks.append((last.height, last.id))
        self.counted = last

    def ask_again(self) -> None:
        """It is worth keeping, up to its end."""
        if self.rows:
            self.count()
        self.counted = None

    def marked(self) -> bool:
        """Whether those that came again end with the next mark: then each of them was counted. The mark is gone."""
        last = self.rows[-1]
        if (last.height, last.id) != self.marks[0]:
            return False
        del self.marks[0]
        return True

    def part(self) -> None:
        """What comes next stands on something else. What is to come again still is."""
        self.take()
        if self.counted is not None:
            self.counted, self.marks = None, []

    def forget(self) -> None:
        self.part()
        self.marks = []
