"""All plots of a run as one PNG: for a message, a slide, a wall.

Drawn by p2pnode.ui.picture from the same values as the page (simulations.report.plots), so no browser is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pnode.ui.picture import COLOURS, dress, measured, sheet
from simulations.report import ring
from simulations.report.plots import Form, Plot, plots_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STATES: Final = {"honest": "#59636e", "adversary": "#c5221f", "off": "#c9ced4"}


def write(data: Mapping[str, Any], path: Path) -> None:
    """The picture of a run (simulations.report.data.collect). OSError if the file cannot be written."""
    plots, drawings = plots_of(data), ring.drawings_of(data)
    page = sheet(len(plots) + len(drawings), _heading(data), str(data["command"]))
    axes = page.axes
    for plot, ax in zip(plots, axes, strict=False):
        _draw(plot, ax)
    for drawing, ax in zip(drawings, axes[len(plots) :], strict=True):
        _draw_ring(drawing, ax)
    page.save(path)


def _heading(data: Mapping[str, Any]) -> str:
    run = data["run"]
    word = "stopped" if run["interrupted"] else "ok" if run["ok"] else "failed"
    virtual_s = float(run["virtual_s"])
    return f"{run['scenario']}: {word}   {int(run['nodes']):,} nodes, seed {run['seed']}, {virtual_s:,.0f} virtual s"


def _draw(plot: Plot, ax: Axes) -> None:
    match plot.form:
        case Form.LINES:
            for i, line in enumerate(plot.lines):
                y = [float("nan") if value is None else value for value in line.y]
                colour = COLOURS[i % len(COLOURS)]
                width = 1.4 + 1.1 * (len(plot.lines) - 1 - i)  # lines that lie upon each other
                ax.plot(line.x, y, label=line.name, color=colour, linewidth=width, marker=".", markersize=width)
                if line.high:
                    high = [float("nan") if value is None else value for value in line.high]
                    ax.fill_between(line.x, y, high, color=colour, alpha=0.2, linewidth=0)
        case Form.STACK:
            values = [[value or 0.0 for value in line.y] for line in plot.lines]
            colours = [COLOURS[i % len(COLOURS)] for i in range(len(values))]
            ax.stackplot(plot.lines[0].x, values, labels=[line.name for line in plot.lines], colors=colours)
        case Form.BARS:
            [line] = plot.lines
            ax.bar(line.x, [value or 0.0 for value in line.y], color=COLOURS[0])
            ax.set_xticks(line.x)
    ax.set_ylim(bottom=0)
    if not any(y for line in plot.lines for y in line.y):
        ax.set_ylim(top=1)
    if plot.y_least:
        ax.set_ylim(top=plot.y_least * 1.04)
    if plot.x_end:
        ax.set_xlim(0, plot.x_end)
    for number, (at_s, _) in enumerate(plot.marks, 1):
        ax.axvline(at_s, color="#c5221f", linewidth=0.8, linestyle="--")
        ax.text(at_s, 1.01, str(number), transform=ax.get_xaxis_transform(), ha="center", color="#c5221f", fontsize=7)
    if len(plot.lines) > 1 or plot.lines[0].high:
        ax.legend(fontsize=7, loc="best", framealpha=0.7)
    measured(ax, plot.title, plot.x_unit, plot.unit)


def _draw_ring(drawing: ring.Drawing, ax: Axes) -> None:
    for i, trail in enumerate(drawing.trails):
        colour = COLOURS[i % len(COLOURS)]
        for path in trail.paths:
            width = 0.5 if trail.target is None else 1.0
            ax.plot([x for x, _ in path], [-y for _, y in path], color=colour, linewidth=width, alpha=0.6)
        ax.plot(trail.origin[0], -trail.origin[1], "o", color=colour, markersize=7, zorder=3)
        if trail.target is not None:
            x, y = (ring.TARGETS * part for part in trail.target)
            ax.plot(x, -y, "^", color=colour, markersize=7, zorder=3)
    size = 1.2 if sum(map(len, drawing.nodes.values())) > ring.MANY else 2.2
    for state, points in drawing.nodes.items():
        if points:
            ax.plot([x for x, _ in points], [-y for _, y in points], "o", color=_STATES[state], markersize=size,
                    label="switched off" if state == "off" else state, zorder=2)  # fmt: skip
    ax.set_aspect("equal")
    ax.axis("off")
    ax.legend(fontsize=7, loc="lower left", bbox_to_anchor=(-0.5, 0.0), frameon=False)
    dress(ax, drawing.title)
