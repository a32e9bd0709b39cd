"""What a network of real nodes must live through: values, deaths without notice, restarts from disk.

The same life for 8 nodes in `make test` and for 30 in `make soak`; figures are measured over the control API.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

import attrs

from p2pnode.ui.fail import Fail
from tests.support.nodes import NodeProcess, Nodes, in_parallel, percentile, timed

#: Clients at once while everything is read from everywhere; two cores are busy with fewer.
_READERS = 4
#: A target may be missed by half before a test fails: shared machines (design: architecture, tests).
SLACK = 1.5


@attrs.frozen
class Written:
    key: str
    value: str


@attrs.define
class Life:
    nodes: Nodes
    chance: random.Random
    written: list[Written] = attrs.field(factory=list, init=False)
    #: Name of a figure -> its value; times in ms.
    figures: dict[str, Any] = attrs.field(factory=dict, init=False)

    def write(self, count: int) -> None:
        """Blobs and signed records in turn, from nodes by chance."""

        def put(number: int) -> tuple[float, Written]:
            value = f"value {number} " + "x" * (number * 37 % 700)
            name = f"name-{number}" if number % 2 else None
            took, answer = timed(lambda: chosen[number].put(value, name=name))
            assert answer["stored"] > 0, answer
            return took, Written(answer["key"], value)

        chosen = [self.chance.choice(self.nodes.running) for _ in range(count)]
        done = in_parallel(put, range(count), workers=2)
        self.figures["put_p50_ms"] = percentile([took for took, _ in done], 50)
        self.written += [written for _, written in done]

    def unreadable_anywhere(self) -> list[str]:
        """Every value from every running node; what is missing, as "key at node"."""
        asked = [(node, written) for node in self.nodes.running for written in self.written]
        self.chance.shuffle(asked)
        missing = in_parallel(lambda pair: _missing(*pair), asked, workers=_READERS)
        self.figures["reads"] = self.figures.get("reads", 0) + len(asked)
        return [text for text in missing if text is not None]

    def unreadable(self, readers_each: int) -> list[str]:
        """Every value from so many running nodes by chance."""
        asked = [
            (node, written)
            for written in self.written
            for node in self.chance.sample(self.nodes.running, min(readers_each, len(self.nodes.running)))
        ]
        return [t for t in in_parallel(lambda pair: _missing(*pair), asked, workers=_READERS) if t is not None]

    def kill_and_measure(self, victims: Sequence[NodeProcess]) -> None:
        """kill -9 them all; from that moment on one client reads and one writes, until every value was asked for."""
        for victim in victims:
            assert victim.process is not None
            victim.process.kill()
        for victim in victims:
            victim.kill()
        survivors = self.nodes.running
        order = [(self.chance.choice(survivors), written) for written in self.written]
        self.chance.shuffle(order)
        writers = [self.chance.choice(survivors) for _ in order]
        gets: list[float] = []
        puts: list[float] = []
        missing: list[str] = []
        reading = threading.Event()
        reading.set()

        def read() -> None:
            try:
                for node, written in order:
                    took, failed = timed(lambda node=node, written=written: _missing(node, written))
                    gets.append(took)
                    if failed is not None:
                        missing.append(failed)
            finally:
                reading.clear()

        def write() -> None:
            for number, node in enumerate(writers):
                if not reading.is_set() and number >= 20:
                    return
                name = f"after-{number}" if number % 2 else None
                took, answer = timed(lambda n=number, node=node, name=name: node.put(f"after {n}", name=name))
                assert answer["stored"] > 0, answer
                puts.append(took)

        in_parallel(lambda work: work(), [read, write], workers=2)
        self.figures |= {
            "killed": len(victims),
            "readable_after_kill": 1 - len(missing) / len(order),
            "get_after_kill_p50_ms": percentile(gets, 50),
            "get_after_kill_p99_ms": percentile(gets, 99),
            "get_after_kill_max_ms": max(gets),
            "put_after_kill_p50_ms": percentile(puts, 50),
            "put_after_kill_p99_ms": percentile(puts, 99),
            "puts_after_kill": len(puts),
        }

    def restart_all(self, *, same_ports: bool, join: bool) -> None:
        """End all (also the dead may come back), start all on their homes, wait until they know each other."""
        self.nodes.stop_all()
        self.nodes.start_all(same_ports=same_ports, join=join)
        self.nodes.wait_tables(at_least=len(self.nodes.all) * 2 // 3)

    def misses(self, targets: dict[str, float]) -> list[str]:
        """Figures that are worse than SLACK times their target."""
        return [
            f"{name}: {self.figures[name]:.0f}, target {target:.0f}"
            for name, target in targets.items()
            if self.figures[name] > SLACK * target
        ]


def _missing(node: NodeProcess, written: Written) -> str | None:
    try:
        got = node.get(written.key)
    except Fail as failure:
        return f"{written.key[:8]} at {node.home.name}: {failure.what}"
    return None if got["value"] == written.value else f"{written.key[:8]} at {node.home.name}: another value"
