"""What became of the blocks of a swarm, and of what was paid. Honest nodes only, where nothing else is said.

Figures:

    chain_height, chain_spread           of the highest node at the end; how far the lowest is behind it
    chain_tips                           different tips at the end; 1: all are equal. Of one work count as one: of a
                                         tie each keeps what it saw first, until the next block
    chain_mined, chain_stale             blocks that were found; the share of them that is not in the chain at the end
    chain_interval_s, chain_per_minute   seconds between blocks on average; most blocks that one node connected within
                                         any 60 s (after a sleep: of those found since)
    chain_deepest                        blocks that the deepest change of branch took back
    chain_held                           blocks that came from the future, at all nodes
    chain_barred_honest                  honest nodes that an honest one barred: must be 0
    block_success, _p50_ms, _p99_ms      every block of the chain at every node that was awake, from when it was found
    payment_success, _p50_ms, _p99_ms    from when it is sent until it is in a block of who sent it
    payment_blocks_p99                   the same in blocks; 1: in the next one

And over time: chain_tips, chain_height.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs

from overlay.events import AppEvent, Event
from overlay.runtime.ports import SECOND
from simulations.chain.world import ChainWorld
from simulations.swarm import Swarm

_MINUTE_NS = 60 * SECOND


@attrs.define(slots=True, eq=False)
class Chronicle:
    """Of one swarm."""

    swarm: Swarm
    world: ChainWorld
    #: Blocks that are found before do not count.
    from_s: float
    #: id -> (node, ns) of who found it.
    mined: dict[bytes, tuple[int, int]] = attrs.field(factory=dict, init=False)
    #: (node, id) -> ns at which it was first connected there.
    _connected: dict[tuple[int, bytes], int] = attrs.field(factory=dict, init=False)
    #: By node: when it connected blocks, of the last minute.
    _minutes: dict[int, deque[int]] = attrs.field(factory=dict, init=False)
    _per_minute: int = attrs.field(default=0, init=False)
    _deepest: int = attrs.field(default=0, init=False)
    _held: int = attrs.field(default=0, init=False)
    #: Those that an honest node barred: (by whom, whom, why).
    barred: list[tuple[int, bytes, str]] = attrs.field(factory=list, init=False)

    def begin(self) -> None:
        self.swarm.watchers.append(self._watch)
        self.swarm.samplers.append(lambda _swarm: self._sample())
        self.swarm.at(self.swarm.scenario.duration_s, self._sum_up)

    def _watch(self, node: int, at_ns: int, event: Event) -> None:
        if not isinstance(event, AppEvent) or event.app != "chain":
            return
        fields: dict[str, Any] = dict(event.fields)
        if event.name == "mined":
            self.mined[fields["block"]] = node, at_ns
        if node in self.swarm.adversaries:
            return
        match event.name:
            case "block":
                self._connected.setdefault((node, fields["block"]), at_ns)
                self._count(node, fields["block"], at_ns)
            case "reorg":
                self._deepest = max(self._deepest, fields["depth"])
            case "held":
                self._held += 1
            case "bad peer":
                self.barred.append((node, fields["peer"], str(fields["reason"])))

    def _count(self, node: int, block: bytes, at_ns: int) -> None:
        """Only of blocks that were found lately: a newcomer connects all at once."""
        if self.mined.get(block, (0, 0))[1] < at_ns - _MINUTE_NS or at_ns < self.from_s * SECOND:
            return
        minute = self._minutes.setdefault(node, deque())
        minute.append(at_ns)
        while minute[0] <= at_ns - _MINUTE_NS:
            minute.popleft()
        self._per_minute = max(self._per_minute, len(minute))

    # --- where they are ---------------------------------------------------------------------

    def tips(self) -> dict[int, tuple[int, bytes, int]]:
        """(height, id, work) of the tip of each honest node that is awake and has joined."""
        found = {}
        for node in self.swarm.honest():
            running = self.world.running.get(node)
            if running is not None and hasattr(running, "desk"):
                summary = running.desk.summary
                found[node] = summary.height, summary.tip, summary.work
        return found

    def _sample(self) -> None:
        tips = self.tips()
        if tips:
            now_ns = self.swarm.engine.now_ns
            self.swarm.measures.sample("chain_tips", now_ns, len({tip for _, tip, _ in tips.values()}))
            self.swarm.measures.sample("chain_height", now_ns, max(height for height, _, _ in tips.values()))

    def main(self) -> dict[bytes, int]:
        """id -> height of the chain of the highest honest node."""
        tips = self.tips()
        node = max(tips, key=lambda node: (tips[node][0], -node))
        store = self.world.store(node)
        if node in self.world.light:
            return {}
        return {row.id: row.height for row in store.actives(1, store.tip().height)}

    # --- at the end -------------------------------------------------------------------------

    def _sum_up(self) -> None:
        tips = self.tips()
        if not tips:
            return
        counts, heights = self.swarm.measures.counts, [height for height, _, _ in tips.values()]
        main = self.main()
        begin_ns = self.from_s * SECOND
        mined = {block: at for block, at in self.mined.items() if at[1] >= begin_ns}
        own = {self.swarm.population.id(node) for node in range(len(self.swarm)) if node not in self.swarm.adversaries}
        counts |= {
            "chain_height": max(heights), "chain_spread": max(heights) - min(heights),
            "chain_tips": len({work for _, _, work in tips.values()}), "chain_mined": len(mined),
            "chain_deepest": self._deepest, "chain_held": self._held, "chain_per_minute": self._per_minute,
            "chain_barred_honest": sum(1 for _, peer, _ in self.barred if peer in own),
        }  # fmt: skip
        if mined:
            counts["chain_stale"] = round(sum(block not in main for block in mined) / len(mined), 6)
            times = sorted(at for block, (_, at) in mined.items() if block in main)
            if len(times) > 1:
                counts["chain_interval_s"] = round((times[-1] - times[0]) / SECOND / (len(times) - 1), 3)
        self._deliveries(mined, main)

    def _deliveries(self, mined: dict[bytes, tuple[int, int]], main: dict[bytes, int]) -> None:
        operations = self.swarm.measures.operation("block")
        nodes = [node for node in self.tips() if node not in self.world.light]
        for block, (miner, at_ns) in mined.items():
            if block not in main:
                continue
            for node in nodes:
                came_ns = self._connected.get((node, block))
                if node != miner and came_ns is not None:
                    operations.add(at_ns, max(0, came_ns - at_ns), True)
                elif node != miner:  # it came with many others, or not yet
                    operations.add(at_ns, 0, self.world.store(node).active(main[block]) is not None)
