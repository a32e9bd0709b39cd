"""How a share came to those who wanted it: who finished when, what was wasted, who gave.

Figures of a share called NAME (claims may name them); honest nodes only, where nothing else is said:

    NAME_count, _success, _p50_ms, _p99_ms     nodes that asked for it; the share that has all; from the question on
    NAME_p95_s, NAME_worst_s                   the same; who has not finished counts with the time until the end
    NAME_ideal_s, NAME_stretch                 least time that the lines allow, and NAME_p95_s by it; lines with limits
    NAME_waste                                 bytes that came and were of no use, by bytes that were wanted
    NAME_wrong                                 units that were written and are not those of the original
    NAME_seed_copies                           bytes that the seeds gave, by the size of the share
    NAME_fairness                              Jain's index over what the leechers gave: 1, all as much; 1/n, one all
    NAME_SORT_p50_s, _held                     adversaries of a sort that wanted it (free_riders): half of them have it
                                               then; what they held on average when half of the honest had it
    NAME_SORT_slower                           NAME_SORT_p50_s by that of honest nodes

And over time, in percent: NAME_held, what honest nodes hold on average, and NAME_SORT_held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from apps.files.core.memory_disk import Made
from overlay.events import AppEvent, Event
from overlay.runtime.ports import SECOND
from simulations.files.world import FilesWorld
from simulations.measures import quantile
from simulations.swarm import Swarm

#: In the names of figures; that of all others is the name of the adversary.
HONEST = ""


@attrs.define(slots=True, eq=False)
class Transfers:
    """Of one share in one swarm."""

    swarm: Swarm
    world: FilesWorld
    name: str
    made: Made
    seeds: tuple[int, ...]
    leechers: tuple[int, ...]
    #: All want it at the same moment.
    at_once: bool = attrs.field(kw_only=True)
    #: Called with every node that has it all now.
    on_complete: list[Callable[[int], object]] = attrs.Factory(list)
    #: By node, in ns.
    _asked: dict[int, int] = attrs.field(factory=dict, init=False)
    _had: dict[int, int] = attrs.field(factory=dict, init=False)
    #: What adversaries hold on average when half of the honest nodes have all, by sort.
    _held_then: dict[str, float] = attrs.field(factory=dict, init=False)

    @property
    def id(self) -> bytes:
        return self.made.info.id

    def begin(self) -> None:
        self.swarm.watchers.append(self._watch)
        self.swarm.samplers.append(lambda _swarm: self._sample())
        self.swarm.at(self.swarm.scenario.duration_s, self._sum_up)

    def asked(self, node: int) -> None:
        """It wants it from now on."""
        self._asked[node] = self.swarm.engine.now_ns

    def copied(self) -> bool:
        """Every unit is at a living node that is no seed."""
        units: set[int] = set()
        for node in self._asked:
            if self.swarm.engine.alive(node) and node not in self.swarm.adversaries:
                units |= self.world.disk(node).held.get(self.id, set())
        return len(units) == self.made.layout.units

    # --- while it runs ----------------------------------------------------------------------

    def _watch(self, node: int, at_ns: int, event: Event) -> None:
        if not isinstance(event, AppEvent) or (event.app, event.name) != ("files", "complete"):
            return
        if dict(event.fields).get("share") != self.id or node not in self._asked or node in self._had:
            return
        self._had[node] = at_ns
        sort = self._sort(node)
        if sort == HONEST:
            self.swarm.measures.operation(self.name).add(self._asked[node], at_ns - self._asked[node], True)
            if 2 * len(self._done(HONEST)) >= len(self._of(HONEST)) and not self._held_then:
                self._held_then = {sort: self._held(self._of(sort)) for sort in self._sorts() if sort}
        for hear in self.on_complete:
            hear(node)

    def _sample(self) -> None:
        for sort in self._sorts():
            if nodes := self._of(sort):
                percent = round(100 * self._held(nodes), 3)
                self.swarm.measures.sample(f"{self._prefix(sort)}_held", self.swarm.engine.now_ns, percent)

    def _held(self, nodes: Sequence[int]) -> float:
        """The share of the units that they hold, on average."""
        held = sum(len(self.world.disk(node).held.get(self.id, ())) for node in nodes)
        return held / max(1, len(nodes) * self.made.layout.units)

    # --- who --------------------------------------------------------------------------------

    def _sort(self, node: int) -> str:
        return self.swarm.adversaries.get(node, HONEST)

    def _sorts(self) -> list[str]:
        return sorted({self._sort(node) for node in self._asked if node not in self.world.pretending})

    def _of(self, sort: str) -> list[int]:
        """Who asked, but for those who were switched off before they had it."""
        return [
            node for node in self._asked
            if self._sort(node) == sort and (node in self._had or self.swarm.engine.alive(node))
        ]  # fmt: skip

    def _done(self, sort: str) -> list[int]:
        return [node for node in self._had if self._sort(node) == sort]

    def _prefix(self, sort: str) -> str:
        return f"{self.name}_{sort.replace('-', '_')}" if sort else self.name

    # --- at the end -------------------------------------------------------------------------

    def _sum_up(self) -> None:
        end_ns = self.swarm.engine.now_ns
        measures = self.swarm.measures
        for node in self._of(HONEST):
            if node not in self._had:
                measures.operation(self.name).add(self._asked[node], end_ns - self._asked[node], False)
        counts: dict[str, float] = {}
        honest_s = self._quantile_s(HONEST, 50, end_ns)
        for sort in self._sorts():
            prefix, nodes = self._prefix(sort), self._of(sort)
            if not nodes:
                continue
            if sort == HONEST:
                counts |= self._honest(nodes, end_ns)
                continue
            counts[f"{prefix}_p50_s"] = self._quantile_s(sort, 50, end_ns)
            if honest_s:
                counts[f"{prefix}_slower"] = round(counts[f"{prefix}_p50_s"] / honest_s, 4)
            if sort in self._held_then:
                counts[f"{prefix}_held"] = round(self._held_then[sort], 4)
        measures.counts |= counts

    def _honest(self, nodes: list[int], end_ns: int) -> dict[str, float]:
        size = self.made.info.length
        shares = [share for node in nodes if (share := self.world.share(node, self.id)) is not None]
        seeds = [share for node in self.seeds if (share := self.world.share(node, self.id)) is not None]
        given = [share.uploaded for share in shares]
        squares = sum(n * n for n in given)
        wrong = sum(self.world.disk(node).wrong for node in nodes)
        out = {
            "p95_s": self._quantile_s(HONEST, 95, end_ns), "worst_s": self._quantile_s(HONEST, 100, end_ns),
            "waste": round(sum(share.wasted for share in shares) / (len(nodes) * size), 6), "wrong": wrong,
            "seed_copies": round(sum(share.uploaded for share in seeds) / size, 4),
        }  # fmt: skip
        if squares:
            out["fairness"] = round(sum(given) ** 2 / (len(given) * squares), 4)
        if self.at_once and (ideal_s := self._ideal_s()):
            out |= {"ideal_s": round(ideal_s, 3), "stretch": round(out["p95_s"] / ideal_s, 4)}
        return {f"{self.name}_{key}": value for key, value in out.items()}

    def _quantile_s(self, sort: str, percent: int, end_ns: int) -> float:
        took = [self._had.get(node, end_ns) - self._asked[node] for node in self._of(sort)]
        return round(quantile(took, percent) / SECOND, 3) if took else 0.0

    def _ideal_s(self) -> float:
        """The least time in which all have it, if bytes flowed like water: the seeds must give it once, the slowest
        must take it, and all together must give what all take (Kumar and Ross, Peer-Assisted File Distribution: The
        Minimum Distribution Time, 2006). 0 if some line has no limit."""
        network, size = self.swarm.network, self.made.info.length
        givers = [node for node in self._asked if self._sort(node) == HONEST]
        ups = [network.up(node) for node in (*self.seeds, *givers)]
        downs = [network.downs.get(node) for node in self._asked]
        limited_ups, limited_downs = [up for up in ups if up is not None], [one for one in downs if one is not None]
        if len(limited_ups) < len(ups) or len(limited_downs) < len(downs) or not downs:
            return 0.0
        seeds = sum(up.bytes_per_s for up in limited_ups[: len(self.seeds)])
        together = sum(up.bytes_per_s for up in limited_ups)
        slowest = min(one.bytes_per_s for one in limited_downs)
        return max(size / seeds, size / slowest, len(self._asked) * size / together)
