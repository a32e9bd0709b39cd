"""Whatever began ends: commands, and the requests below them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from overlay.runtime.ports import SECOND
from simulations.invariants.base import Broken, Rotation

if TYPE_CHECKING:
    from simulations.swarm import Swarm

_AT_ONCE = 200
#: Three tries with the longest waits take 8 s (overlay.rpc.endpoint), and once more after a RETRY. A machine that
#: slept, or stood still, had no time: it is measured by its own clock, and from when it went on.
_REQUEST_NS = 30 * SECOND


class LookupsEnd:
    """No request waits for longer than its tries take, and nothing waits at the end of the run."""

    name: ClassVar[str] = "lookups-end"

    def __init__(self, swarm: Swarm) -> None:
        self._turn = Rotation(_AT_ONCE)

    def sample(self, swarm: Swarm) -> list[Broken]:
        broken = []
        for node, peer in self._turn.peers(swarm):
            oldest = next(iter(peer.endpoint.asked.pending()), None)
            if oldest is None:
                continue
            waited_ns = peer.loop.now.mono_ns - max(oldest.sent_ns, swarm.engine.machines.resumed_ns(node))
            if waited_ns > _REQUEST_NS:
                what = f"a {oldest.message.KIND.name} to {oldest.address} waits for {waited_ns // SECOND} s"
                broken.append(Broken(self.name, node, swarm.now_s, what))
        return broken

    def at_end(self, swarm: Swarm) -> list[Broken]:
        broken = self.sample(swarm)
        if swarm.under_way:
            broken.append(Broken(self.name, None, swarm.now_s, f"{swarm.under_way} commands have not ended"))
        return broken
