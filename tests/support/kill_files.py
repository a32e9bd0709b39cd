"""kill -9 of real nodes while one fetches a share from the other: what was there is there again, nothing is wrong.

Both keep their ports. The giver has a limit, so that there is time for all kills before the last byte has come.
"""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import attrs

from tests.support.disk_rig import make_tree, tree_at
from tests.support.nodes import NodeProcess, Nodes, wait_until

#: One life in eight is killed while it starts.
_KILLED_AT_START = 1 / 8
#: More than a start takes.
_START_S = 1.2
#: On a busy machine, a peer that starts for half a minute is tried for the third time after another.
_RESUMED_S = 100.0


@attrs.define
class KilledFiles:
    folder: Path
    chance: random.Random
    #: Bytes of the large file, and bytes per second of the giver.
    size: int
    rate: int
    kills: int
    #: Bytes that had come and were gone after a kill, the most of one kill.
    lost: int = attrs.field(default=0, init=False)
    #: Bytes that were sent and did not count: under way at a kill, or twice.
    again: int = attrs.field(default=0, init=False)
    #: The most of these at one kill of who fetches.
    worst: int = attrs.field(default=0, init=False)
    #: Bytes of all files.
    _total: int = attrs.field(default=0, init=False)

    def run(self, *, giver_dies: bool) -> None:
        tree = make_tree(self.folder / "shared", self._contents())
        with Nodes(self.folder, 2) as nodes:
            nodes.start_all()
            giver, taker = nodes
            link = ask(giver, "share", path=str(tree))["link"]
            ask(giver, "limit", up=self.rate)
            ask(taker, "get", link=link, folder=str(self.folder / "taken"))
            self._total = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
            if giver_dies:
                self._kill_giver(giver, taker)
            else:
                self._kill_taker(giver, taker)
            nodes.stop_all()
        assert tree_at(self.folder / "taken" / "shared") == tree_at(tree)

    def _contents(self) -> dict[str, bytes]:
        small = {f"{n % 7}/{n}": self.chance.randbytes(self.chance.randint(0, 40_000)) for n in range(100)}
        return {**small, "large": self.chance.randbytes(self.size)}

    def _kill_taker(self, giver: NodeProcess, taker: NodeProcess) -> None:
        there = in_vain = 0
        for left in range(self.kills, 0, -1):
            there = self._further(taker, there, left)
            _die(taker, self.chance)
            wait_until(lambda: ask(giver, "list")[0]["peers"] == 0, within_s=30, what="the giver did not notice")
            sent = ask(giver, "list")[0]["uploaded"]
            self._start(taker, giver)
            wait_until(lambda: _is_known(taker), within_s=30, what="it does not know what it had")
            now = ask(taker, "list")[0]["done"]
            self.lost, there = max(self.lost, there - now), now
            # What has come anew since the start counts for this kill, and against the next one: seldom, and a unit.
            self.worst, in_vain = max(self.worst, sent - now - in_vain), sent - now
        self._complete(taker)
        self.again = ask(giver, "list")[0]["uploaded"] - self._total

    def _kill_giver(self, giver: NodeProcess, taker: NodeProcess) -> None:
        there = 0
        for left in range(self.kills, 0, -1):
            there = self._further(taker, there, left)
            _die(giver, self.chance)
            self._start(giver, taker)
        self._complete(taker)
        told = ask(taker, "list")[0]
        self.again = told["downloaded"] + told["wasted"] - self._total

    def _further(self, taker: NodeProcess, there: int, left: int) -> int:
        """Until some more has come; how much is there then."""
        target = there + self.chance.randint(1, 2 * (self._total - there) // (left + 2))
        told: list[dict[str, Any]] = []

        def came() -> bool:
            told[:] = ask(taker, "list")
            return bool(told[0]["done"] is not None and told[0]["done"] >= target)

        wait_until(came, within_s=_RESUMED_S, what=lambda: f"{target} bytes did not come: {told}")
        assert told[0]["state"] == "downloading", "it was too fast for all kills"
        return int(told[0]["done"])

    def _start(self, node: NodeProcess, other: NodeProcess) -> None:
        words = ("--listen", node.address, "--join", other.ticket)
        if self.chance.random() < _KILLED_AT_START:
            node.start(*words)
            threading.Event().wait(self.chance.random() * _START_S)
            node.kill()
        node.start(*words)
        node.wait_ready()

    def _complete(self, taker: NodeProcess) -> None:
        def complete() -> bool:
            return bool(ask(taker, "list")[0]["state"] == "complete")

        wait_until(complete, within_s=_RESUMED_S, what=lambda: str(ask(taker, "list")))


def ask(node: NodeProcess, command: str, **args: Any) -> Any:
    return node.call("POST", f"/v1/apps/files/{command}", args)["answer"]


def _is_known(taker: NodeProcess) -> bool:
    return ask(taker, "list")[0]["state"] in ("downloading", "complete")


def _die(node: NodeProcess, chance: random.Random) -> None:
    """Somewhere within the next few units."""
    for _ in range(chance.randrange(300_000)):
        pass
    node.kill()
