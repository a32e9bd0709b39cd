"""What an invariant is, and how a few nodes are looked at in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import attrs

from overlay.peer import Peer

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Told at most: a run that breaks everywhere tells the first.
MAX_BROKEN: Final = 20


@attrs.frozen(slots=True)
class Broken:
    invariant: str
    node: int | None
    at_s: float
    what: str


class Invariant(Protocol):
    """Made by `Class(swarm)` before the run."""

    name: ClassVar[str]

    def sample(self, swarm: Swarm) -> list[Broken]:
        """Called every `sample_s` of virtual time."""

    def at_end(self, swarm: Swarm) -> list[Broken]: ...


@attrs.define(slots=True)
class Rotation:
    """At each call `count` of the honest nodes that are switched on, all of them after some calls."""

    count: int
    _next: int = 0

    def peers(self, swarm: Swarm) -> list[tuple[int, Peer]]:
        honest = swarm.honest()
        if len(honest) > self.count:
            begin = self._next % len(honest)
            self._next = begin + self.count
            honest = (honest + honest)[begin : begin + self.count]
        found = []
        for node in honest:
            peer = swarm.engine.peer(node)
            if isinstance(peer, Peer):
                found.append((node, peer))
        return found
