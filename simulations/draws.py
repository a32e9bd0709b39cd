"""Times drawn by chance, the same on every machine.

A distribution is inverted in decimal arithmetic: `decimal` rounds ln and exp correctly, so every step here is exact to
the last of 20 digits; libm is not.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache

from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

_CONTEXT = Context(prec=20)
_HALF = Decimal("0.5")
_TWO_PI = Decimal("6.2831853071795864769")
#: Longer than any run, and short enough to stay an int64 of ns: heavy tails have no end of their own.
_LONGEST_S = Decimal(10**8)


def uniform(rng: Rng) -> Decimal:
    """In (0, 1), never either."""
    return Decimal(2 * (rng.u64() >> 12) + 1) / Decimal(1 << 53)


def exponential_ns(rng: Rng, mean_s: float) -> int:
    """Memoryless."""
    return _ns(mean_s, -_CONTEXT.ln(uniform(rng)))


def weibull_ns(rng: Rng, mean_s: float, shape: float) -> int:
    """S(t) = exp(-(t / scale) ** shape), with scale = mean / gamma(1 + 1 / shape)."""
    power = _CONTEXT.divide(1, _decimal(shape))
    factor = _CONTEXT.divide(_power(-_CONTEXT.ln(uniform(rng)), power), gamma(1 + power))
    return _ns(mean_s, factor)


def pareto_ns(rng: Rng, mean_s: float, shape: float) -> int:
    """S(t) = (1 + t / scale) ** -shape, with scale = mean * (shape - 1); `shape` above 1."""
    power = _CONTEXT.divide(-1, _decimal(shape))
    return _ns(mean_s, _CONTEXT.multiply(_power(uniform(rng), power) - 1, _decimal(shape) - 1))


@lru_cache(maxsize=64)
def gamma(x: Decimal) -> Decimal:
    """The gamma function of x > 0, to 15 digits: Stirling's series (Abramowitz and Stegun 6.1.40) far from 0."""
    factor = Decimal(1)
    while x < 30:
        factor = _CONTEXT.multiply(factor, x)
        x += 1
    series, power = Decimal(0), x
    for numerator, denominator in ((1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188)):
        series += _CONTEXT.divide(_CONTEXT.divide(numerator, denominator), power)
        power = _CONTEXT.multiply(power, _CONTEXT.multiply(x, x))
    log = (x - _HALF) * _CONTEXT.ln(x) - x + _HALF * _CONTEXT.ln(_TWO_PI) + series
    return _CONTEXT.divide(_CONTEXT.exp(log), factor)


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    return _CONTEXT.exp(_CONTEXT.multiply(_CONTEXT.ln(base), exponent))


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def _ns(seconds: float, factor: Decimal) -> int:
    return int(min(_CONTEXT.multiply(_decimal(seconds), factor), _LONGEST_S) * SECOND)
