"""The plots of `chain-explorer stats` as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apps.chain.cli.explorer.plots import TITLES, miners
from apps.chain.cli.explorer.texts import People, when
from apps.chain.core.explorer.stats import Series, Stats, values
from p2pnode.ui.picture import COLOURS, measured, sheet


def write(found: Stats, series: Sequence[Series], people: People, path: Path) -> None:
    """OSError if the file cannot be written."""
    heading = f"{len(found.lines):,} blocks, {found.first:,} to {found.last:,}"
    note = f"up to {when(found.lines[-1].active.time)}" if found.lines else "no block yet"
    page = sheet(len(series), heading, note)
    for one, ax in zip(series, page.axes, strict=True):
        title, _, unit = TITLES[one].partition(", ")
        if one is Series.MINERS:
            names, counts = miners(found, people)
            ax.barh(names[::-1], counts[::-1], color=COLOURS[0])
            measured(ax, title, "blocks", "")
            continue
        points = values(found, one)
        ax.plot([at for at, _ in points], [value for _, value in points], color=COLOURS[0], linewidth=0.9)
        ax.set_ylim(bottom=0)
        measured(ax, title, "height", unit)
    page.save(path)
