"""The chain of a node that keeps headers alone: the way to the best header stands for the chain that counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.chain.core.rows import ActiveRow, HeaderRow
from apps.chain.core.store import Index


class HeaderLine:
    """An Index in which the best header is the tip. What depends on bodies (operations, sizes, fees) is 0 in its rows,
    and is not to be shown; accounts, names and all other tables are not those of this tip."""

    def __init__(self, view: Index) -> None:
        self._view = view
        #: Downwards from the best header, as far as anybody asked.
        self._rows: list[HeaderRow] = [view.best_header()]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)

    def tip(self) -> ActiveRow:
        return _active(self._rows[0])

    def active(self, height: int) -> ActiveRow | None:
        row = self._row(height)
        return None if row is None else _active(row)

    def actives(self, first: int, last: int) -> Sequence[ActiveRow]:
        heights = range(max(first, 0), min(last, self._rows[0].height) + 1)
        return [_active(row) for height in heights if (row := self._row(height)) is not None]

    def _row(self, height: int) -> HeaderRow | None:
        if not 0 <= height <= self._rows[0].height:
            return None
        while self._rows[-1].height > height:
            parent = self._view.header(self._rows[-1].parent)
            if parent is None:
                return None
            self._rows.append(parent)
        return self._rows[self._rows[0].height - height]


def _active(row: HeaderRow) -> ActiveRow:
    return ActiveRow(row.height, row.id, row.time, row.difficulty, row.miner, row.txs, 0, 0, 0)
