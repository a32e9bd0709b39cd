"""Nodes come and go: how long they stay, how long they are away, and with what disk they return.

Times are drawn by inverting the distribution in decimal arithmetic, which is the same on every machine;
libm is not. `decimal` rounds ln and exp correctly, so every step here is exact to the last of 20 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from functools import lru_cache
from typing import Protocol

import attrs

from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from simulations.bounds import between, not_negative, one_of, positive
from simulations.storage import MemoryStorage
from simulations.swarm import Swarm

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


# What a returning node finds, for all models:
#   "kept"    the disk it had: what was committed (with `power_loss`: what was synced).
#   "lost"    an empty disk; the key was elsewhere, so it is the same node and remembers nothing.
#   "backup"  its disk as it was at the last backup, taken every `backup_s`: a state that the network has moved past.
_disk = one_of("kept", "lost", "backup")


@attrs.frozen(slots=True, kw_only=True)
class Exponential:
    """Memoryless: sessions and absences with these means. The worst case for a peer that prefers old contacts."""

    session_s: float = attrs.field(default=600.0, validator=positive)
    offline_s: float = attrs.field(default=120.0, validator=positive)
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    disk: str = attrs.field(default="kept", validator=_disk)
    power_loss: bool = False
    backup_s: float = attrs.field(default=120.0, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        Comings(swarm, self, lambda rng: exponential_ns(rng, self.session_s)).begin()


@attrs.frozen(slots=True, kw_only=True)
class Weibull:
    """Sessions as measured in Gnutella, Kad and BitTorrent: Weibull with shapes of 0.34 to 0.59, many short and a few
    very long (Stutzbach and Rejaie, Understanding Churn in Peer-to-Peer Networks, IMC 2006). Absences are exponential.
    """

    #: On average. With a shape of 0.5 half of the sessions are shorter than a quarter of it.
    session_s: float = attrs.field(default=600.0, validator=positive)
    shape: float = attrs.field(default=0.5, validator=between(0.1, 10))
    offline_s: float = attrs.field(default=120.0, validator=positive)
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    disk: str = attrs.field(default="kept", validator=_disk)
    power_loss: bool = False
    backup_s: float = attrs.field(default=120.0, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        Comings(swarm, self, lambda rng: weibull_ns(rng, self.session_s, self.shape)).begin()


@attrs.frozen(slots=True, kw_only=True)
class Pareto:
    """Heavy-tailed sessions: a shifted Pareto, with a shape of 3 in Yao, Leonard, Wang and Loguinov, Modeling
    Heterogeneous User Churn and Local Resilience of Unstructured P2P Networks, ICNP 2006. Absences are exponential.
    """

    #: On average; half of the sessions are shorter than (2 ** (1 / shape) - 1) * (shape - 1) times that.
    session_s: float = attrs.field(default=600.0, validator=positive)
    shape: float = attrs.field(default=3.0, validator=between(1.05, 100))
    offline_s: float = attrs.field(default=120.0, validator=positive)
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    disk: str = attrs.field(default="kept", validator=_disk)
    power_loss: bool = False
    backup_s: float = attrs.field(default=120.0, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        Comings(swarm, self, lambda rng: pareto_ns(rng, self.session_s, self.shape)).begin()


class _Model(Protocol):
    @property
    def offline_s(self) -> float: ...
    @property
    def from_s(self) -> float: ...
    @property
    def disk(self) -> str: ...
    @property
    def power_loss(self) -> bool: ...
    @property
    def backup_s(self) -> float: ...


@attrs.define(slots=True, eq=False)
class Comings:
    """Has every node of the population but the first ones leave and return, each by chance of its own.

    Counts `departures`, `returns` and `restored` (those that came back on a backup).
    """

    swarm: Swarm
    model: _Model
    session: Callable[[Rng], int]
    _backups: dict[int, MemoryStorage] = attrs.Factory(dict)

    def begin(self) -> None:
        swarm, spec = self.swarm, self.swarm.scenario.population
        for node in range(spec.bootstraps, spec.nodes):
            rng = swarm.rng("churn", node)
            first_s = self.model.from_s + self.session(rng) / SECOND
            swarm.at(first_s, lambda node=node, rng=rng: self._leave(node, rng))  # type: ignore[misc]
        if self.model.disk == "backup":
            swarm.every(self.model.backup_s, self._back_up, begin_s=self.model.from_s)

    def _back_up(self) -> None:
        spec = self.swarm.scenario.population
        for node in range(spec.bootstraps, spec.nodes):
            if self.swarm.engine.alive(node):
                self._backups[node] = self.swarm.engine.storage(node).backup()

    def _leave(self, node: int, rng: Rng) -> None:
        swarm = self.swarm
        if swarm.engine.alive(node):
            swarm.kill(node, power_loss=self.model.power_loss)
            swarm.measures.count("departures")
        swarm.after(exponential_ns(rng, self.model.offline_s), lambda: self._return(node, rng))

    def _return(self, node: int, rng: Rng) -> None:
        swarm = self.swarm
        if not swarm.engine.alive(node):
            self._change_disk(node)
            swarm.start(node)
            swarm.measures.count("returns")
        swarm.after(self.session(rng), lambda: self._leave(node, rng))

    def _change_disk(self, node: int) -> None:
        engine = self.swarm.engine
        backup = self._backups.get(node)
        if self.model.disk == "lost":
            engine.replace_storage(node, MemoryStorage())
        elif self.model.disk == "backup" and backup is not None:
            engine.replace_storage(node, backup.copy())
            self.swarm.measures.count("restored")
