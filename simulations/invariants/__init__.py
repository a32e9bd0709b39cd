"""What must hold in every swarm at every moment, whatever happens to it: checked while it runs.

A broken invariant is a bug in the product (or in a part of the scenario), and the run has failed. They look and
change nothing: a run is the same with and without them. A scenario leaves one out by its name (`without`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulations.invariants.apps import AppsRun
from simulations.invariants.base import MAX_BROKEN, Broken, Invariant
from simulations.invariants.bounds import MemoryBounded
from simulations.invariants.chain import ChainTrue
from simulations.invariants.closest import LookupsExact
from simulations.invariants.conserved import Conserved, TimeGoesOn
from simulations.invariants.endings import LookupsEnd
from simulations.invariants.files import FilesTrue
from simulations.invariants.state import NothingForeign
from simulations.invariants.values import DiskKeepsSeqs, ValuesFound

if TYPE_CHECKING:
    from simulations.swarm import Swarm

__all__ = ["INVARIANTS", "MAX_BROKEN", "Broken", "Invariant", "checked"]

INVARIANTS: dict[str, Callable[[Swarm], Invariant]] = {
    invariant.name: invariant
    for invariant in (
        LookupsEnd, LookupsExact, MemoryBounded, NothingForeign, ValuesFound, DiskKeepsSeqs, Conserved, TimeGoesOn,
        AppsRun, FilesTrue, ChainTrue,
    )
}  # fmt: skip


def checked(swarm: Swarm) -> list[Invariant]:
    """Those that the scenario does not leave out."""
    return [make(swarm) for name, make in INVARIANTS.items() if name not in swarm.scenario.without]
