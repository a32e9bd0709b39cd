"""Parts of a scenario that crash, or measure something, when they are told to."""

from __future__ import annotations

from typing import Any

import attrs

from simulations.swarm import Swarm


@attrs.frozen(slots=True, kw_only=True)
class Crash:
    now: bool = False

    def begin(self, swarm: Swarm) -> None:
        if self.now:
            raise RuntimeError("planted")


@attrs.frozen(slots=True, kw_only=True)
class Counts:
    value: Any

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.count("planted", float(self.value))
