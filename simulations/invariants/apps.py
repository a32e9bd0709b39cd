"""Applications run until their node ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from simulations.apps import CRASHED, FAILED
from simulations.invariants.base import Broken

if TYPE_CHECKING:
    from simulations.swarm import Swarm


class AppsRun:
    """No application of an honest node ends by an exception, and none of its streams by a mistake of its own. Told once
    for each application: what one node runs, all do."""

    name: ClassVar[str] = "apps-run"

    def __init__(self, swarm: Swarm) -> None:
        #: Applications that were told.
        self._told: dict[str, None] = {}

    def sample(self, swarm: Swarm) -> list[Broken]:
        new = [one for one in swarm.app_errors.found() if one.event in (FAILED, CRASHED) and one.app not in self._told]
        new = [one for one in new if one.node not in swarm.adversaries]
        self._told |= dict.fromkeys(one.app for one in new)
        by_node: dict[int, list[str]] = {}
        for one in new:
            by_node.setdefault(one.node, []).append(f"application {one}")
        at_s = {one.node: one.at_s for one in reversed(new)}
        return [Broken(self.name, node, at_s[node], "; ".join(texts)) for node, texts in by_node.items()]

    def at_end(self, swarm: Swarm) -> list[Broken]:
        return self.sample(swarm)
