"""What must hold in every swarm at every moment, whatever happens to it: checked while it runs.

A broken invariant is a bug in the product (or in a part of the scenario), and the run has failed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Told once each: a broken invariant breaks at every sample.
MAX_BROKEN = 20


@attrs.frozen(slots=True)
class Broken:
    invariant: str
    node: int | None
    at_s: float
    what: str


class Invariant(Protocol):
    def sample(self, swarm: Swarm) -> list[Broken]:
        """Called every `sample_s` of virtual time."""

    def at_end(self, swarm: Swarm) -> list[Broken]: ...


@attrs.define(slots=True)
class LookupsEnd:
    """Every command ends: nothing waits at the end of the run."""

    name = "lookups-end"

    def sample(self, swarm: Swarm) -> list[Broken]:
        return []

    def at_end(self, swarm: Swarm) -> list[Broken]:
        if not swarm.under_way:
            return []
        return [Broken(self.name, None, swarm.now_s, f"{swarm.under_way} commands have not ended")]


INVARIANTS: dict[str, Callable[[], Invariant]] = {"lookups-end": LookupsEnd}


def checked(swarm: Swarm) -> list[Invariant]:
    """Those that the scenario does not leave out."""
    return [make() for name, make in INVARIANTS.items() if name not in swarm.scenario.without]
