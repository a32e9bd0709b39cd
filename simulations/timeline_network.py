"""What happens to the network of a swarm at fixed times: cables, one-way cuts, other addresses.

Partitions and links are in simulations.timeline. Nodes through which others join are spared.
"""

from __future__ import annotations

import attrs

from simulations.bounds import not_negative, positive, share
from simulations.swarm import Swarm


def some(swarm: Swarm, what: str, at_s: float, part: float) -> list[int]:
    """A share of the honest nodes that are awake, by chance; none of those through which others join."""
    first = swarm.scenario.population.bootstraps
    those = [node for node in swarm.honest() if node >= first]
    return sorted(swarm.rng(what, at_s).sample(those, round(part * len(those))))


@attrs.frozen(slots=True, kw_only=True)
class Cut:
    """What a share of the nodes sends reaches none of the others, while these still reach them. `heal` ends it."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    #: The other direction: they hear nobody, and are heard.
    inbound: bool = False

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._cut(swarm))

    def _cut(self, swarm: Swarm) -> None:
        those = some(swarm, "cut", self.at_s, self.share)
        others = sorted(set(range(len(swarm))) - set(those))
        if self.inbound:
            swarm.network.cut(others, those)
        else:
            swarm.network.cut(those, others)
        swarm.mark(f"{len(those)} nodes {'hear nobody' if self.inbound else 'are not heard'}")


@attrs.frozen(slots=True, kw_only=True)
class Unplug:
    """The cables of some are out for a while; they run on and are not told."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    for_s: float = attrs.field(default=60.0, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._unplug(swarm))

    def _unplug(self, swarm: Swarm) -> None:
        those = some(swarm, "unplug", self.at_s, self.share)
        for node in those:
            swarm.network.unplug(node)
        swarm.mark(f"{len(those)} cables are out")
        swarm.later(self.for_s, lambda: self._plug(swarm, those))

    def _plug(self, swarm: Swarm, those: list[int]) -> None:
        for node in those:
            swarm.network.plug(node)
        swarm.mark(f"{len(those)} cables are back")


@attrs.frozen(slots=True, kw_only=True)
class Move:
    """Some get another address, one after the other: of the same LAN, in another site, or elsewhere on the internet
    (`population.place`). They are told."""

    at_s: float = attrs.field(validator=not_negative)
    share: float = attrs.field(default=0.3, validator=share)
    within_s: float = attrs.field(default=10.0, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        swarm.at(self.at_s, lambda: self._move(swarm))

    def _move(self, swarm: Swarm) -> None:
        those = some(swarm, "move", self.at_s, self.share)
        for i, node in enumerate(those):
            swarm.later(self.within_s * i / len(those), lambda node=node: swarm.move(node))  # type: ignore[misc]
        swarm.mark(f"{len(those)} nodes get another address")
