"""What a lookup gives is right: the nearest of those who answered, and in a quiet swarm the nearest there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from overlay.events import Event, LookupEnded, LookupStep
from overlay.identity.node_id import format_id
from overlay.limits import K
from overlay.runtime.ports import SECOND, Ok
from simulations.invariants.base import Broken
from simulations.nearest import Nearest

if TYPE_CHECKING:
    from simulations.swarm import Asked, Swarm

#: A swarm is quiet if nobody came, went or moved for so long: every neighbour has been looked up since.
QUIET_NS = 60 * SECOND
#: Lookups whose answers are remembered until the command ends.
_REMEMBERED = 4096


class LookupsExact:
    """The result of every `lookup` is sorted, and all of it answered. In a swarm without adversaries in which for a
    minute nobody came or went and nothing was lost, it is the k closest nodes that live."""

    name: ClassVar[str] = "lookups-exact"

    def __init__(self, swarm: Swarm) -> None:
        self._swarm = swarm
        self._broken: list[Broken] = []
        #: (node, lookup) -> who answered; and by target, of lookups that ended.
        self._answered: dict[tuple[int, int], list[bytes]] = {}
        self._ended: dict[tuple[int, bytes], list[bytes]] = {}
        #: Datagrams that were lost, and when a sample last found more, or a machine that slept.
        self._lost = self._trouble_ns = 0
        self._alive = Nearest()
        self._alive_at_ns = -1
        swarm.watchers.append(self._on_event)
        swarm.ended.append(self._on_ended)

    def sample(self, swarm: Swarm) -> list[Broken]:
        lost = sum(swarm.network.lost.values())
        if lost != self._lost or any(host.pause is not None for host in swarm.engine.hosts):
            self._lost, self._trouble_ns = lost, swarm.engine.now_ns
        broken, self._broken = self._broken, []
        return broken

    def at_end(self, swarm: Swarm) -> list[Broken]:
        return self.sample(swarm)

    def _on_event(self, node: int, at_ns: int, event: Event) -> None:
        match event:
            case LookupStep():
                if len(self._answered) > _REMEMBERED:
                    del self._answered[next(iter(self._answered))]
                self._answered.setdefault((node, event.lookup), []).append(event.asked)
            case LookupEnded():
                if len(self._ended) > _REMEMBERED:
                    self._ended.clear()
                self._ended[node, event.target] = self._answered.pop((node, event.lookup), [])

    def _on_ended(self, asked: Asked) -> None:
        if asked.name != "lookup" or not isinstance(asked.outcome, Ok) or asked.node in self._swarm.adversaries:
            return
        target = bytes.fromhex(asked.args["key"])
        number = int.from_bytes(target, "big")
        closest: list[str] = asked.outcome.value["closest"]
        answered = self._ended.pop((asked.node, target), None)
        if answered is not None:
            by_text = {format_id(node_id): int.from_bytes(node_id, "big") ^ number for node_id in answered}
            if any(text not in by_text for text in closest):
                self._tell(asked.node, "a lookup names somebody who did not answer it")
            elif closest != sorted(closest, key=by_text.__getitem__):
                self._tell(asked.node, "a lookup does not name the nearest first")
        if not self._is_quiet(asked.began_ns):
            return
        expected = self._nearest(asked.node, number)
        if closest != expected:
            missing = sum(text not in closest for text in expected)
            what = f"a lookup in a quiet swarm misses {missing} of the {len(expected)} closest"
            self._tell(asked.node, f"{what}, it found {len(closest)} nodes")

    def _tell(self, node: int, what: str) -> None:
        self._broken.append(Broken(self.name, node, self._swarm.now_s, what))

    def _is_quiet(self, began_ns: int) -> bool:
        swarm = self._swarm
        return (
            not swarm.adversaries
            and not swarm.population.clients
            and began_ns - max(swarm.engine.changed_ns, self._trouble_ns) >= QUIET_NS
            and sum(swarm.network.lost.values()) == self._lost
        )

    def _nearest(self, asker: int, number: int) -> list[str]:
        swarm = self._swarm
        if self._alive_at_ns != swarm.engine.changed_ns:
            self._alive, self._alive_at_ns = Nearest(), swarm.engine.changed_ns
            for node in swarm.servers():
                self._alive.add(swarm.number(node))
        own = swarm.number(asker)
        near = [one for one in self._alive.to(number, K + 1) if one != own][:K]
        return [format_id(one.to_bytes(32, "big")) for one in near]
