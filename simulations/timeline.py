"""What happens to a swarm at fixed times: cuts, deaths, arrivals, changes of the network."""

from __future__ import annotations

import attrs

from simulations.bounds import not_negative, parts, positive, share
from simulations.profiles import link_of
from simulations.scenario import LinkSpec
from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class Partition:
    """Cut the network into parts of these shares, by chance; what is left over forms one more."""

    at_s: float = attrs.field(validator=not_negative)
    shares: tuple[float, ...] = attrs.field(default=(0.5,), validator=parts)

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._cut(swarm))

    def _cut(self, swarm: Swarm) -> None:
        nodes = swarm.rng("partition", self.at_s).shuffled(range(len(swarm)))
        groups = []
        for part in self.shares:
            size = round(part * len(swarm))
            groups.append(nodes[:size])
            nodes = nodes[size:]
        swarm.network.partition(*groups)
        swarm.mark(f"partition {', '.join(f'{part:.0%}' for part in self.shares)}")


@attrs.frozen(slots=True, kw_only=True)
class Heal:
    """End the partition."""

    at_s: float = attrs.field(validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        def heal() -> None:
            swarm.network.heal()
            swarm.mark("heal")

        swarm.at(self.at_s, heal)


@attrs.frozen(slots=True, kw_only=True)
class Kill:
    """Some of those who run die without a word; nodes that others join through are spared."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    power_loss: bool = False
    #: Start them again after so long.
    restart_after_s: float | None = None

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._kill(swarm))

    def _kill(self, swarm: Swarm) -> None:
        first = swarm.scenario.population.bootstraps
        mortal = [node for node in swarm.honest() if node >= first]
        victims = sorted(swarm.rng("kill", self.at_s).sample(mortal, round(self.share * len(mortal))))
        for node in victims:
            swarm.kill(node, power_loss=self.power_loss)
        swarm.mark(f"{len(victims)} nodes die")
        if self.restart_after_s is not None:
            swarm.at(self.at_s + self.restart_after_s, lambda: self._restart(swarm, victims))

    def _restart(self, swarm: Swarm, victims: list[int]) -> None:
        for node in victims:
            if not swarm.engine.alive(node):
                swarm.start(node)
        swarm.mark(f"{len(victims)} nodes start again")


@attrs.frozen(slots=True, kw_only=True)
class Leave:
    """Some of those who run say goodbye (command `leave`) and stop; nodes that others join through stay."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._leave(swarm))

    def _leave(self, swarm: Swarm) -> None:
        first = swarm.scenario.population.bootstraps
        mortal = [node for node in swarm.honest() if node >= first]
        going = sorted(swarm.rng("leave", self.at_s).sample(mortal, round(self.share * len(mortal))))
        for node in going:
            swarm.ask(node, "leave", {}, lambda _outcome, _took, node=node: swarm.kill(node))  # type: ignore[misc]
        swarm.mark(f"{len(going)} nodes leave")


@attrs.frozen(slots=True, kw_only=True)
class Join:
    """New nodes arrive, all within `within_s`: a flash crowd."""

    at_s: float = attrs.field(validator=not_negative)
    count: int = attrs.field(default=100, validator=positive)
    within_s: float = attrs.field(default=1.0, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        for i in range(self.count):
            swarm.at(self.at_s + self.within_s * i / self.count, lambda: swarm.start(swarm.add()))
        swarm.at(self.at_s, lambda: swarm.mark(f"{self.count} nodes arrive"))


@attrs.frozen(slots=True, kw_only=True)
class SetLink:
    """Another network from now on: loss comes, latency changes."""

    at_s: float = attrs.field(validator=not_negative)
    link: LinkSpec

    def begin(self, swarm: Swarm) -> None:
        def change() -> None:
            swarm.network.link = link_of(self.link)
            swarm.mark(f"link: {self.link.profile}, loss {self.link.loss:.0%}")

        swarm.at(self.at_s, change)
