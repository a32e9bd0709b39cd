"""The state of the chain in a few figures."""

from __future__ import annotations

import attrs

from apps.chain.core.explorer.blocks import between
from apps.chain.core.explorer.chain import Chain
from apps.chain.core.explorer.stats import Intervals, intervals
from apps.chain.core.rows import ActiveRow, HeaderRow

#: Over so many blocks: lately, and for a while.
SHORT, LONG = 20, 100
#: Changes of branch are counted over so many blocks.
REORG_BLOCKS = 1_000


@attrs.frozen(slots=True)
class Facts:
    tip: ActiveRow
    header: HeaderRow
    #: Of most work, whether its body is here or not.
    best: HeaderRow
    short: Intervals | None
    long: Intervals | None
    #: Hashes a second over the last SHORT blocks; 0 while there are none.
    hashrate: float
    #: In the last REORG_BLOCKS: how many, how many blocks the deepest undid, and at which height.
    reorgs: int
    deepest: int
    deepest_at: int
    #: The first height whose blocks were not forgotten; 0: none was.
    kept_from: int

    @property
    def is_synced(self) -> bool:
        """No header is known of more work than the tip has."""
        return self.best.work <= self.header.work


def facts(chain: Chain) -> Facts:
    view = chain.view
    tip = view.tip()
    # Block 1 follows a time that somebody chose: how long it took says nothing.
    recent = between(chain, max(tip.height - LONG + 1, 2), tip.height)
    newest = recent[-SHORT:]
    seconds = sum(row.solve_s for row in newest)
    # Newest first, and forks of one time lie near each other: the rest is older.
    reorgs = [row for row in view.reorgs(limit=1_000) if row.fork > tip.height - REORG_BLOCKS]
    deepest = max(reorgs, key=lambda row: (row.old_height - row.fork, row.fork), default=None)
    return Facts(
        tip, chain.header(tip.id), view.best_header(),
        short=intervals([row.solve_s for row in newest]), long=intervals([row.solve_s for row in recent]),
        hashrate=sum(row.active.difficulty for row in newest) / seconds if seconds else 0.0,
        reorgs=len(reorgs), deepest=0 if deepest is None else deepest.old_height - deepest.fork,
        deepest_at=0 if deepest is None else deepest.fork, kept_from=view.kept_from(),
    )  # fmt: skip
