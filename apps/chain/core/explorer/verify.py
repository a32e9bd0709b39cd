"""Checks a chain from its bytes, as if nobody had checked it before, level by level.

    0  headers: encoding, work, order, times, difficulties, and the sums and marks that are kept beside them
    1  and bodies: they are there, and those of their headers
    2  and transactions: each by itself, and its signature
    3  and all of it once more into a store in memory: what undoes each block is there, and as it was kept, and undoing
       all of them leads back to the first one
    4  and that store holds what this one does

Levels 3 and 4 need memory for all accounts and indexes. Where old blocks were forgotten (`--prune`), of those below
the first that is kept headers alone are checked; levels 3 and 4 take the kept ones back from a copy of the state, and
do them again: what the forgotten ones made is believed.
"""

from __future__ import annotations

from apps.chain.core.explorer.chain import Chain
from apps.chain.core.explorer.faults import UNDO, Faulty, Report, Told
from apps.chain.core.explorer.heights import check_heights
from apps.chain.core.judge import Judge
from overlay.identity.keys import Verifier


def verify(
    chain: Chain, level: int, *, first: int = 0, judge: Judge, verifier: Verifier,
    told: Told = lambda what, done, total: None,
) -> Report:  # fmt: skip
    """The report ends at the first fault."""
    report = Report(level, first, chain.height, kept_from=chain.view.kept_from())
    try:
        check_heights(chain, report, verifier, told)
        if level >= UNDO:
            from apps.chain.core.explorer import replay  # a ledger and a store, for these levels alone

            again = replay.replay_kept if report.kept_from else replay.replay
            again(chain, report, judge, told)
    except Faulty as faulty:
        report.fault = faulty.fault
    return report
