"""Nodes come and go: how long they stay, how long they are away, and with what disk they return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from simulations.bounds import between, not_negative, one_of, positive
from simulations.draws import exponential_ns, pareto_ns, weibull_ns
from simulations.storage import MemoryStorage
from simulations.swarm import Swarm

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
