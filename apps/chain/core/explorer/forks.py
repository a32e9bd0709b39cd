"""Branches beside the chain that counts: where they leave it, how long they are, what became of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from apps.chain.core.explorer.chain import Chain, Page, page_of
from apps.chain.core.rows import HeaderRow

#: Heights that are read at once.
_AT_ONCE = 256


@attrs.frozen(slots=True)
class Branch:
    """From a block of the chain, or of another branch, up to one without children."""

    #: Upwards; the parent of the first is of the chain, or of a longer branch.
    rows: Sequence[HeaderRow]
    #: Height of the last block that it shares with the chain that counts.
    fork: int
    #: Work of the tip of the chain less that of the branch, which it would need to count; below zero for headers that
    #: were not followed yet.
    behind: int
    #: Milliseconds between the first of it, and the block of the chain at that height; None if nobody knows.
    later_ms: int | None

    @property
    def tip(self) -> HeaderRow:
        return self.rows[-1]


def forks(chain: Chain, *, before: int | None = None, limit: int) -> Page[Branch]:
    """Newest first: by the height of their ends, of equal ones by their ids. Only ends below the height `before`."""
    end = _highest(chain) + 1 if before is None else before
    found: list[Branch] = []
    for rows in _side_heights(chain, end):
        ends = [row for row in rows if not any(_is_beside(chain, child) for child in chain.view.children(row.id))]
        found += [_branch(chain, row) for row in sorted(ends, key=lambda row: row.id)]
        if len(found) > limit:
            break
    return page_of(found, limit)


def _highest(chain: Chain) -> int:
    """Headers may go on above the tip."""
    height = chain.height
    while chain.view.at_height(height + 1):
        height += 1
    return height


def _side_heights(chain: Chain, end: int) -> Iterator[list[HeaderRow]]:
    """Rows beside the chain, height by height, downwards."""
    tip = chain.height
    for height in range(end - 1, tip, -1):
        yield list(chain.view.at_height(height))
    before = min(end, tip + 1)
    while heights := chain.view.contested(before=before, limit=_AT_ONCE):
        for height in heights:
            yield [row for row in chain.view.at_height(height) if _is_beside(chain, row)]
        before = heights[-1]


def _is_beside(chain: Chain, row: HeaderRow) -> bool:
    active = chain.view.active(row.height)
    return active is None or active.id != row.id


def _branch(chain: Chain, end: HeaderRow) -> Branch:
    rows = [end]
    while _is_beside(chain, rows[-1]):
        rows.append(chain.header(rows[-1].parent))
    fork, *rows = reversed(rows)
    work = chain.active_header(chain.height).work
    first = chain.view.active(rows[0].height)
    seen = None if first is None else chain.header(first.id).seen_ms
    later = rows[0].seen_ms - seen if seen and rows[0].seen_ms else None
    return Branch(rows, fork.height, work - end.work, later)
