"""A part of a scenario that crashes when it is told to."""

from __future__ import annotations

import attrs

from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class Crash:
    now: bool = False

    def begin(self, swarm: Swarm) -> None:
        if self.now:
            raise RuntimeError("planted")
