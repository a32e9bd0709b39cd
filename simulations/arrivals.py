"""How nodes come into a swarm: one after the other, through those who were there first, again if nobody answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from overlay.runtime.ports import SECOND, Ok, Outcome

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: A node that knows nobody after so long has not joined, whatever comes later.
_LATE_NS = 60 * SECOND
#: Pauses before a node that reached nobody tries to join again, as a real one does.
_AGAIN_S = (2, 5, 10, 30)


@attrs.frozen(slots=True, eq=False)
class Arrivals:
    """Those of one swarm."""

    swarm: Swarm
    #: Node -> (its life, since when) of honest ones that know nobody yet.
    _waiting: dict[int, tuple[int, int]] = attrs.field(factory=dict, init=False)

    def begin(self) -> None:
        """Have the population start: the first ones at once, the others one after the other."""
        spec = self.swarm.scenario.population
        others = max(1, spec.nodes - spec.bootstraps)
        for node in range(spec.nodes):
            late = max(0, node - spec.bootstraps + 1)
            self.swarm.at(spec.arrive_s * late / others, lambda node=node: self._arrived(node))  # type: ignore[misc]

    def join(self, node: int) -> None:
        """Of a node that starts now. Measured as `join`, from its start until it knows somebody; failed if that takes
        longer than _LATE_NS."""
        if node not in self.swarm.adversaries:
            self._waiting[node] = self.swarm.engine.life(node), self.swarm.engine.now_ns
        self._try(node, 0)

    def look(self, swarm: Swarm) -> None:
        """A sampler: who has waited too long. One that died before that is no failure."""
        engine = swarm.engine
        for node, (life, began_ns) in list(self._waiting.items()):
            if not engine.alive(node) or engine.life(node) != life:
                del self._waiting[node]
            elif engine.now_ns - began_ns > _LATE_NS:
                self._joined(node, life, ok=False)

    def _joined(self, node: int, life: int, *, ok: bool) -> None:
        waiting = self._waiting.get(node)
        if waiting is not None and waiting[0] == life:
            del self._waiting[node]
            self.swarm.measures.operation("join").add(waiting[1], self.swarm.engine.now_ns - waiting[1], ok)

    def _arrived(self, node: int) -> None:
        if not self.swarm.engine.alive(node):
            self.swarm.start(node)

    def _try(self, node: int, tries: int) -> None:
        swarm, engine = self.swarm, self.swarm.engine
        seeds = [seed for seed in range(swarm.scenario.population.bootstraps) if seed != node]
        seeds += swarm.population.places.neighbours(node)
        life = engine.life(node)
        args = {"addresses": [{"address": str(swarm.population.address(seed)), "id": None} for seed in seeds]}

        def ended(outcome: Outcome) -> None:
            joined = isinstance(outcome, Ok) and outcome.value["joined"]
            if joined:
                self._joined(node, life, ok=True)
            if joined or not engine.alive(node) or engine.life(node) != life:
                return
            pause = _AGAIN_S[min(tries, len(_AGAIN_S) - 1)]
            swarm.after(pause * SECOND, lambda: self._again(node, life, tries + 1))

        engine.command(node, "join", args, ended)

    def _again(self, node: int, life: int, tries: int) -> None:
        if self.swarm.engine.alive(node) and self.swarm.engine.life(node) == life:
            self._try(node, tries)
