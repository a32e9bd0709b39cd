"""Figures over the newest blocks: how long they took, how much they hold, who mined them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence

import attrs

from apps.chain.core.explorer.blocks import Line, between
from apps.chain.core.explorer.chain import Chain


class Series(enum.StrEnum):
    """What can be plotted, a value a block."""

    INTERVAL = "interval"
    DIFFICULTY = "difficulty"
    HASHRATE = "hashrate"
    TXS = "txs"
    FEES = "fees"
    #: Not a value a block but a number of blocks for each miner.
    MINERS = "miners"


@attrs.frozen(slots=True)
class Intervals:
    """Seconds between blocks."""

    mean: float
    median: float
    p95: float
    longest: int


@attrs.frozen(slots=True)
class Stats:
    #: Of heights `first` and above; the first block of all is not counted, nobody mined it.
    lines: Sequence[Line] = attrs.field(repr=False)
    first: int
    last: int
    #: Seconds from the parent of the first to the last.
    seconds: int
    intervals: Intervals | None
    #: Blocks beside the chain at these heights.
    stale: int
    txs: int
    operations: int
    size: int
    fees: int
    #: Hashes a second, from the work and the time that it took.
    hashrate: float
    #: Miner and number of blocks, most first; of equal ones the lower key.
    miners: Sequence[tuple[bytes, int]]


def stats(chain: Chain, *, last: int) -> Stats:
    """Of the newest `last` blocks."""
    tip = chain.height
    first = max(tip - last + 1, 1)
    lines = between(chain, first, tip)
    actives = [line.active for line in lines]
    # Block 1 follows a time that somebody chose (params.GENESIS_TIME): how long it took says nothing.
    timed = [line for line in lines if line.active.height > 1]
    seconds = sum(line.solve_s for line in timed)
    work = sum(line.active.difficulty for line in timed)
    miners = Counter(line.active.miner for line in lines)
    return Stats(
        lines, first, tip, seconds, intervals([line.solve_s for line in timed]),
        stale=stale(chain, first), txs=sum(row.txs for row in actives),
        operations=sum(row.operations for row in actives), size=sum(row.size for row in actives),
        fees=sum(row.fees for row in actives),
        hashrate=work / seconds if seconds else 0.0,
        miners=sorted(miners.items(), key=lambda found: (-found[1], found[0])),
    )  # fmt: skip


def intervals(seconds: Sequence[int]) -> Intervals | None:
    """None of no interval. Percentiles are values that occur: of n sorted ones that at n * p, counted from 0."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    count = len(ordered)
    middle = (ordered[count // 2] + ordered[(count - 1) // 2]) / 2
    return Intervals(sum(ordered) / count, middle, ordered[min(count * 95 // 100, count - 1)], ordered[-1])


def stale(chain: Chain, first: int) -> int:
    """Blocks of heights from `first` to the tip that are not of the chain that counts, invalid ones apart."""
    count, before = 0, chain.height + 1
    while heights := [height for height in chain.view.contested(before=before, limit=256) if height >= first]:
        for height in heights:
            count += sum(row.status >= 0 for row in chain.view.at_height(height)) - 1
        before = heights[-1]
    return count


def values(found: Stats, series: Series) -> list[tuple[int, float]]:
    """(height, value) upwards; fees in credits, the hash rate over the 20 blocks before each."""
    match series:
        case Series.INTERVAL:
            return [(line.active.height, line.solve_s) for line in found.lines if line.active.height > 1]
        case Series.DIFFICULTY:
            return [(line.active.height, line.active.difficulty) for line in found.lines]
        case Series.TXS:
            return [(line.active.height, line.active.txs) for line in found.lines]
        case Series.FEES:
            return [(line.active.height, line.active.fees / 1_000_000) for line in found.lines]
        case Series.HASHRATE:
            return _hashrates([line for line in found.lines if line.active.height > 1])
        case Series.MINERS:
            return [(rank, count) for rank, (_, count) in enumerate(found.miners, 1)]


def _hashrates(lines: Sequence[Line], *, window: int = 20) -> list[tuple[int, float]]:
    rates, work, seconds = [], 0, 0
    for n, line in enumerate(lines):
        work += line.active.difficulty
        seconds += line.solve_s
        if n >= window:
            work -= lines[n - window].active.difficulty
            seconds -= lines[n - window].solve_s
        rates.append((line.active.height, work / seconds))
    return rates
