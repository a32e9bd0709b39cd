"""All plots of a run as one PNG: for a message, a slide, a wall.

matplotlib (extra `plots`): it draws without a screen, from the same values as the page (simulations.report.plots), so
no browser is needed. Imported here alone, when a picture is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulations.report import ring
from simulations.report.plots import Form, Plot, plots_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS: Final = 3
#: Inches of one plot; at 110 dots an inch three of them are 1,650 pixels wide.
_CELL: Final = (5.0, 3.4)
_DPI: Final = 110
#: The colours of the page's light side.
_COLOURS: Final = ("#0068b5", "#d1490a", "#007a5c", "#a3457f", "#a07400", "#2aa3d9", "#7b828b")
_STATES: Final = {"honest": "#59636e", "adversary": "#c5221f", "off": "#c9ced4"}


def available() -> bool:
    """Whether matplotlib is installed; costs no import."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def write(data: Mapping[str, Any], path: Path) -> None:
    """The picture of a run (simulations.report.data.collect). OSError if the file cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    plots, drawings = plots_of(data), ring.drawings_of(data)
    rows = -(-(len(plots) + len(drawings)) // _COLUMNS) or 1
    height = _CELL[1] * rows + 0.9
    figure = Figure(figsize=(_CELL[0] * _COLUMNS, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.8 / height), w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr,call-arg]
    figure.text(0.012, 1 - 0.32 / height, _heading(data), fontsize=15, weight="bold")
    figure.text(0.012, 1 - 0.62 / height, str(data["command"]), fontsize=9, family="monospace")
    axes = [figure.add_subplot(rows, _COLUMNS, place + 1) for place in range(len(plots) + len(drawings))]
    for plot, ax in zip(plots, axes, strict=False):
        _draw(plot, ax)
    for drawing, ax in zip(drawings, axes[len(plots) :], strict=True):
        _draw_ring(drawing, ax)
    figure.savefig(path, format="png", metadata={"Software": None, "Title": _heading(data)})


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
                colour = _COLOURS[i % len(_COLOURS)]
                width = 1.4 + 1.1 * (len(plot.lines) - 1 - i)  # lines that lie upon each other
                ax.plot(line.x, y, label=line.name, color=colour, linewidth=width, marker=".", markersize=width)
                if line.high:
                    high = [float("nan") if value is None else value for value in line.high]
                    ax.fill_between(line.x, y, high, color=colour, alpha=0.2, linewidth=0)
        case Form.STACK:
            values = [[value or 0.0 for value in line.y] for line in plot.lines]
            colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(values))]
            ax.stackplot(plot.lines[0].x, values, labels=[line.name for line in plot.lines], colors=colours)
        case Form.BARS:
            [line] = plot.lines
            ax.bar(line.x, [value or 0.0 for value in line.y], color=_COLOURS[0])
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
    _dress(ax, plot.title)
    ax.set_xlabel(plot.x_unit, fontsize=8)
    ax.set_ylabel(plot.unit, fontsize=8)
    ax.grid(axis="y", color="#d5dae0", linewidth=0.6)
    ax.set_axisbelow(True)


def _draw_ring(drawing: ring.Drawing, ax: Axes) -> None:
    for i, trail in enumerate(drawing.trails):
        colour = _COLOURS[i % len(_COLOURS)]
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
    _dress(ax, drawing.title)


def _dress(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=10, loc="left", pad=12)
    ax.tick_params(labelsize=7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
