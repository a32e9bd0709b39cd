"""Nodes come and go: how long they stay and how long they are away.

Times are drawn by inverting the distribution in decimal arithmetic, which is the same on every machine;
libm is not.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal

import attrs

from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from simulations.bounds import not_negative, positive
from simulations.swarm import Swarm

_CONTEXT = Context(prec=20)


def _uniform(rng: Rng) -> Decimal:
    """In (0, 1), never either."""
    return Decimal(2 * (rng.u64() >> 12) + 1) / Decimal(1 << 53)


def _ns(seconds: float, factor: Decimal) -> int:
    return int(_CONTEXT.multiply(Decimal(repr(seconds)), factor) * SECOND)


@attrs.frozen(slots=True, kw_only=True)
class Exponential:
    """Memoryless: sessions and absences with these means."""

    session_s: float = attrs.field(default=600.0, validator=positive)
    offline_s: float = attrs.field(default=120.0, validator=positive)
    from_s: float = attrs.field(default=60.0, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        Comings(swarm, self.from_s, self._session, self._offline).begin()

    def _session(self, rng: Rng) -> int:
        return _ns(self.session_s, -_CONTEXT.ln(_uniform(rng)))

    def _offline(self, rng: Rng) -> int:
        return _ns(self.offline_s, -_CONTEXT.ln(_uniform(rng)))


@attrs.define(slots=True, eq=False)
class Comings:
    """Has every node but the first ones leave and return, each by chance of its own."""

    swarm: Swarm
    from_s: float
    session: Callable[[Rng], int]
    offline: Callable[[Rng], int]

    def begin(self) -> None:
        swarm = self.swarm
        for node in range(swarm.scenario.population.bootstraps, len(swarm)):
            rng = swarm.rng("churn", node)
            swarm.at(self.from_s + self.session(rng) / SECOND, lambda node=node, rng=rng: self._leave(node, rng))  # type: ignore[misc]

    def _leave(self, node: int, rng: Rng) -> None:
        self.swarm.kill(node)
        self.swarm.after(self.offline(rng), lambda: self._return(node, rng))

    def _return(self, node: int, rng: Rng) -> None:
        if not self.swarm.engine.alive(node):
            self.swarm.start(node)
        self.swarm.after(self.session(rng), lambda: self._leave(node, rng))
