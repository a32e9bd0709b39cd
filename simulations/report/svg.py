"""Plots as SVG: static, a few kilobytes each, sharp at any size; colours come from the page (light and dark).

No library: uPlot (50 kB inlined) draws on a canvas, which no test can read and no printer sharpens, and knows neither
rings nor bars without plugins; plotly brings 4 MB. Pointing at a plot shows the figures at that time (`title`, which
the page's script also writes below the plot, for fingers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from simulations.report.axis import short, ticks
from simulations.report.plots import Form, Line, Plot

#: Units of the drawing; about one pixel, as a figure is 350 to 400 pixels wide on any screen.
WIDTH: Final = 400
HEIGHT: Final = 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 16, 34
_INNER_W, _INNER_H = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
#: Colours of the page: c0 .. c6.
COLOURS: Final = 7


def draw(plot: Plot) -> str:
    """One `<svg>`."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(plot.title)}">'
        + "".join(_Frame(plot).parts()) + "</svg>"
    )  # fmt: skip


class _Frame:
    """Where values lie on the drawing."""

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        bars = plot.form is Form.BARS
        xs = [x for line in plot.lines for x in line.x]
        self.x_low = -0.5 if bars else 0.0
        self.x_high = max(xs) + 0.5 if bars else max(plot.x_end or 0.0, *xs, 0.001)
        self.y_ticks = ticks(max(plot.y_least, _top(plot)), whole=bars)
        self.y_high = self.y_ticks[-1]

    def x(self, value: float) -> float:
        return round(_LEFT + _INNER_W * (value - self.x_low) / (self.x_high - self.x_low), 1)

    def y(self, value: float) -> float:
        return round(_TOP + _INNER_H * (1 - value / self.y_high), 1)

    def parts(self) -> Iterator[str]:
        yield from self._axes()
        match self.plot.form:
            case Form.LINES:
                for i, line in enumerate(self.plot.lines):
                    yield from self._line(i, line)
            case Form.STACK:
                yield from self._stack()
            case Form.BARS:
                yield from self._bars()
        yield from self._marks()
        yield from self._hover()

    def _axes(self) -> Iterator[str]:
        right, bottom = WIDTH - _RIGHT, _TOP + _INNER_H
        for tick in self.y_ticks:
            yield f'<line class="grid" x1="{_LEFT}" y1="{self.y(tick)}" x2="{right}" y2="{self.y(tick)}"/>'
            yield f'<text x="{_LEFT - 5}" y="{self.y(tick) + 4}" text-anchor="end">{short(tick)}</text>'
        bars = self.plot.form is Form.BARS
        for tick in ticks(self.x_high, about=6, whole=bars):
            if tick <= self.x_high:
                yield f'<text x="{self.x(tick)}" y="{bottom + 14}" text-anchor="middle">{short(tick)}</text>'
        yield f'<text class="unit" x="{right}" y="{bottom + 29}" text-anchor="end">{escape(self.plot.x_unit)}</text>'
        yield f'<text class="unit" x="{_LEFT}" y="{bottom + 29}">↑ {escape(self.plot.unit)}</text>'

    def _line(self, colour: int, line: Line) -> Iterator[str]:
        for low, high in _unbroken(line):
            x, y = line.x[low:high], line.y[low:high]
            points = [(self.x(a), self.y(b)) for a, b in zip(x, y, strict=True) if b is not None]
            if line.high:
                tops = [(self.x(a), self.y(b)) for a, b in zip(x, line.high[low:high], strict=True) if b is not None]
                yield f'<path class="band f{colour % COLOURS}" d="{_path([*points, *reversed(tops)])}Z"/>'
            # Lines often lie upon each other: each later one is thinner, so that all are seen.
            width = 1.7 + 1.2 * (len(self.plot.lines) - 1 - colour)
            yield f'<path class="line s{colour % COLOURS}" stroke-width="{width:g}" d="{_path(points)}"/>'
            if high - low == 1:
                yield from (f'<circle class="f{colour % COLOURS}" cx="{a}" cy="{b}" r="{width}"/>' for a, b in points)

    def _stack(self) -> Iterator[str]:
        x = self.plot.lines[0].x
        below = [0.0] * len(x)
        for i, line in enumerate(self.plot.lines):
            above = [a + (b or 0.0) for a, b in zip(below, line.y, strict=True)]
            top = [(self.x(a), self.y(b)) for a, b in zip(x, above, strict=True)]
            bottom = [(self.x(a), self.y(b)) for a, b in zip(x, below, strict=True)]
            yield f'<path class="area f{i % COLOURS}" d="{_path([*top, *reversed(bottom)])}Z"/>'
            below = above

    def _bars(self) -> Iterator[str]:
        [line] = self.plot.lines
        for x, y in zip(line.x, line.y, strict=True):
            left, right, top = self.x(x - 0.4), self.x(x + 0.4), self.y(y or 0.0)
            size = f'width="{right - left:.1f}" height="{_TOP + _INNER_H - top:.1f}"'
            yield f'<rect class="f0" x="{left}" y="{top}" {size}/>'

    def _marks(self) -> Iterator[str]:
        free = 0.0
        for number, (at, text) in enumerate(self.plot.marks, 1):
            x = self.x(at)
            yield f'<g class="mark"><title>{escape(f"{at:g} s: {text}")}</title>'
            yield f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{_TOP + _INNER_H}"/>'
            if x >= free:  # numbers upon each other are none; the list above the plots has them all
                yield f'<text x="{x}" y="{_TOP - 5}" text-anchor="middle">{number}</text>'
                free = x + 7 * len(str(number)) + 4
            yield "</g>"

    def _hover(self) -> Iterator[str]:
        """A column for each x that tells what lies there."""
        found: dict[float, list[str]] = {}
        for line in self.plot.lines:
            for i, x in enumerate(line.x):
                if (y := line.y[i]) is not None:
                    high = line.high[i] if line.high else None
                    top = f" to {high:,.4g}" if high is not None else ""
                    found.setdefault(x, []).append(f"{line.name} {y:,.4g}{top}")
        xs = sorted(found)
        for i, x in enumerate(xs):
            left = self.x((xs[i - 1] + x) / 2) if i else self.x(self.x_low)
            right = self.x((x + xs[i + 1]) / 2) if i + 1 < len(xs) else self.x(self.x_high)
            text = f"{x:,.6g} {self.plot.x_unit}: {', '.join(found[x])} {self.plot.unit}"
            yield f'<rect class="hit" x="{left}" y="{_TOP}" width="{max(0.0, right - left):.1f}" height="{_INNER_H}">'
            yield f"<title>{escape(text)}</title></rect>"


def _top(plot: Plot) -> float:
    if plot.form is Form.STACK:
        return max(sum(y or 0.0 for y in column) for column in zip(*(line.y for line in plot.lines), strict=True))
    return max((y for line in plot.lines for y in (*line.y, *line.high) if y is not None), default=1.0)


def _unbroken(line: Line) -> Iterator[tuple[int, int]]:
    """Stretches of a line without a gap, as slices."""
    begin: int | None = None
    for i, y in enumerate((*line.y, None)):
        if y is None and begin is not None:
            yield begin, i
            begin = None
        elif y is not None and begin is None:
            begin = i


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in points)
