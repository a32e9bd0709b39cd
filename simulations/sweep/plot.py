"""A sweep as one SVG: lines over the first varied key, one for each combination of the others, with intervals.

Written by hand because it is forty shapes: a plotting library would be the largest dependency of the project.
"""

from __future__ import annotations

from html import escape

from simulations.sweep.figures import Figure, Grid

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 48, 56
#: Okabe and Ito's palette: told apart by the colour-blind.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_INK, _GREY = "#222", "#ddd"


def plot(grid: Grid, *, title: str) -> str:
    """The SVG text."""
    keys = (*grid.row_keys, grid.column_key)
    x_values = list(dict.fromkeys(row[0] for row in grid.rows)) if grid.row_keys else list(grid.columns)
    others = [*(row[1:] for row in grid.rows)] if grid.row_keys else [()]
    lines = list(dict.fromkeys((*other, *((column,) if grid.row_keys else ())) for other in others
                               for column in (grid.columns if grid.row_keys else ("",))))  # fmt: skip
    low, high = _span(grid)
    across = _places(x_values)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="13" fill="{_INK}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_WIDTH / 2, 22, title, anchor="middle", size=15),
    ]
    for i in range(6):
        value = low + (high - low) * i / 5
        y = _y(value, low, high)
        out.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="{_GREY}"/>')
        out.append(_text(_LEFT - 8, y + 4, f"{value:.0%}" if grid.is_share else f"{value:g}", anchor="end"))
    for text, x in zip(x_values, across, strict=True):
        out.append(_text(x, _HEIGHT - _BOTTOM + 20, text, anchor="middle"))
    out.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, keys[0], anchor="middle"))
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        found = [(x, grid.cells[(value, *line)]) for value, x in zip(x_values, across, strict=True)
                 if (value, *line) in grid.cells]  # fmt: skip
        out += _line(found, colour, low, high, shift=2.0 * (number - (len(lines) - 1) / 2))
        if line:
            label = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in zip(keys[1:], line, strict=True))
            y = _HEIGHT - _BOTTOM - 14 - 18 * (len(lines) - 1 - number)
            out.append(f'<path d="M{_LEFT + 12} {y - 4}h22" stroke="{colour}" stroke-width="2.5"/>')
            out.append(_text(_LEFT + 40, y, label))
    return "\n".join([*out, "</svg>", ""])


def _line(points: list[tuple[float, Figure]], colour: str, low: float, high: float, *, shift: float) -> list[str]:
    """`shift` moves the intervals of lines apart."""
    if not points:
        return []
    path = "L".join(f"{x + shift:.1f} {_y(figure.value, low, high):.1f}" for x, figure in points)
    out = [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for x, figure in points:
        top, bottom, y = (_y(value, low, high) for value in (figure.high, figure.low, figure.value))
        out.append(f'<path d="M{x + shift:.1f} {top:.1f}V{bottom:.1f}" stroke="{colour}" stroke-width="1.2"/>')
        out.append(f'<circle cx="{x + shift:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}">'
                   f"<title>{figure.value:g} [{figure.low:g}, {figure.high:g}]</title></circle>")  # fmt: skip
    return out


def _span(grid: Grid) -> tuple[float, float]:
    """Shares from 0 to 1; others with 0, so that no difference looks larger than it is."""
    if grid.is_share:
        return 0.0, 1.0
    low = min([0.0, *(figure.low for figure in grid.cells.values())])
    high = max([0.0, *(figure.high for figure in grid.cells.values())])
    return low, high if high > low else low + 1


def _places(values: list[str]) -> list[float]:
    """To scale if they are numbers, else evenly."""
    try:
        numbers = [float(value) for value in values]
    except ValueError:
        numbers = list(map(float, range(len(values))))
    first, last = min(numbers), max(numbers)
    width = _WIDTH - _LEFT - _RIGHT - 60
    if first == last:
        return [_LEFT + 30 + width / 2 for _ in values]
    return [_LEFT + 30 + width * (number - first) / (last - first) for number in numbers]


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / (high - low))


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
