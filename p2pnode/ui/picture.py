"""Plots as a PNG, by matplotlib (extra `plots`): it draws without a screen. Imported when a picture is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Plots side by side.
_COLUMNS: Final = 3
#: Inches of one plot; at 110 dots an inch three of them are 1,650 pixels wide.
_CELL: Final = (5.0, 3.4)
_DPI: Final = 110
#: Of the dashboard's and the reports' light side.
COLOURS: Final = ("#0068b5", "#d1490a", "#007a5c", "#a3457f", "#a07400", "#2aa3d9", "#7b828b")


def available() -> bool:
    """Whether matplotlib is installed; costs no import."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


@attrs.frozen(slots=True)
class Sheet:
    """A picture that is being drawn: one Axes for each plot."""

    figure: Figure
    axes: list[Axes]
    _heading: str

    def save(self, path: Path) -> None:
        """OSError if the file cannot be written."""
        self.figure.savefig(path, format="png", metadata={"Software": None, "Title": self._heading})


def sheet(places: int, heading: str, note: str) -> Sheet:
    """With room for so many plots below a heading and a smaller line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(max(places, 1), _COLUMNS)
    rows = -(-places // columns) or 1
    height = _CELL[1] * rows + 0.9
    figure = Figure(figsize=(_CELL[0] * columns, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - 0.8 / height), w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr,call-arg]
    figure.text(0.012, 1 - 0.32 / height, heading, fontsize=15, weight="bold")
    figure.text(0.012, 1 - 0.62 / height, note, fontsize=9, family="monospace")
    return Sheet(figure, [figure.add_subplot(rows, columns, place + 1) for place in range(places)], heading)


def dress(ax: Axes, title: str) -> None:
    """Title and frame as all plots have them."""
    ax.set_title(title, fontsize=10, loc="left", pad=12)
    ax.tick_params(labelsize=7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def measured(ax: Axes, title: str, x_unit: str, y_unit: str) -> None:
    """`dress`, for a plot of values: what its axes say, and lines to read them by."""
    dress(ax, title)
    ax.set_xlabel(x_unit, fontsize=8)
    ax.set_ylabel(y_unit, fontsize=8)
    ax.grid(axis="y", color="#d5dae0", linewidth=0.6)
    ax.set_axisbelow(True)
