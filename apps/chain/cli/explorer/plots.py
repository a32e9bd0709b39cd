"""Plots in the terminal, by plotext: 55 ms to import, so only when one is asked for."""

from __future__ import annotations

import shutil
from math import fsum
from typing import Final

import plotext

from apps.chain.cli.explorer.texts import People
from apps.chain.core.explorer.stats import Series, Stats, values
from p2pnode.ui.render import PLAIN_WIDTH, is_fancy

ROWS: Final = 14
TITLES: Final = {
    Series.INTERVAL: "seconds between blocks",
    Series.DIFFICULTY: "difficulty, hashes a block",
    Series.HASHRATE: "hashes a second, over 20 blocks",
    Series.TXS: "transactions a block",
    Series.FEES: "fees a block, credits",
    Series.MINERS: "blocks by miner",
}
#: Bars that are drawn; the rest is one more.
MINERS: Final = 8


def drawn(found: Stats, series: Series, people: People) -> str:
    """As wide as the terminal, without colour."""
    width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns if is_fancy() else PLAIN_WIDTH
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.title(TITLES[series])
    if series is Series.MINERS:
        names, counts = miners(found, people)
        plotext.plot_size(width, 2 * len(names) + 4)
        plotext.bar(names[::-1], counts[::-1], orientation="horizontal", width=0.4)
    else:
        points = thinned(values(found, series), 2 * width)
        plotext.plot_size(width, ROWS)
        plotext.plot([at for at, _ in points], [value for _, value in points], marker="braille")
        plotext.ylim(0, max((value for _, value in points), default=1) or 1)
        plotext.xlabel("height")
    return "\n".join(line.rstrip() for line in plotext.uncolorize(plotext.build()).splitlines())


def miners(found: Stats, people: People) -> tuple[list[str], list[int]]:
    """Name or address, and blocks, most first; many small ones together."""
    first, rest = found.miners[:MINERS], found.miners[MINERS:]
    names, counts = [people.brief(key) for key, _ in first], [count for _, count in first]
    if rest:
        names.append(f"{len(rest)} others")
        counts.append(sum(count for _, count in rest))
    return names, counts


def thinned(points: list[tuple[int, float]], most: int) -> list[tuple[float, float]]:
    """At most so many: means of as many neighbours as it takes, so that a peak of one block may not be seen."""
    step = -(-len(points) // most)
    if step <= 1:
        return list(points)
    groups = [points[start : start + step] for start in range(0, len(points), step)]
    return [(_mean([at for at, _ in group]), _mean([value for _, value in group])) for group in groups]


def _mean(numbers: list[float]) -> float:
    # Not of the module statistics: that takes 8 ms to load.
    return fsum(numbers) / len(numbers)
