"""Numbers for people: round ones along an axis, figures in tables."""

from __future__ import annotations

from math import ceil, floor, log10

#: Steps that people count in.
_STEPS = (1, 2, 2.5, 5, 10)


def ticks(top: float, *, about: int = 4, whole: bool = False) -> list[float]:
    """From 0 to the first round number that is not below `top`; at most 2 * `about` of them. `whole`: no fractions."""
    if top <= 0:
        return [0.0, 1.0]
    rough = top / about
    power = 10.0 ** floor(log10(rough))
    step = next((s * power for s in _STEPS if s * power >= rough), 10 * power)
    if whole:
        step = float(max(1, ceil(step)))
    return [i * step for i in range(ceil(round(top / step, 9)) + 1)]


def short(value: float) -> str:
    """1500 -> 1.5k; for labels of a few characters."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def figure(value: float) -> str:
    """93567900, 0.99, 2272.62 -> 93,567,900, 0.99, 2,272.62: whole numbers in full, others with six digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.6g}"
