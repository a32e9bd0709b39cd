"""Processes are killed and machines lose their power at random points under writes.

A killed process keeps what it acknowledged. A machine without power keeps what was synced: stamps and
seqs, so that it never contradicts what it signed before. What was only committed may be gone.
"""

from __future__ import annotations

from typing import Any

import pytest

from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS
from overlay.wire.records import signed_key
from tests.support.swarm import LOOPBACK, Swarm
from tests.support.watch import Watch

N = 8
NAMES = ("a", "b", "c")
DAY_MS = 24 * 3600 * 1000


class Writers:
    """Every node puts one value after another, as fast as it is answered, whether well or not."""

    def __init__(self, swarm: Swarm, seed: int) -> None:
        self.swarm = swarm
        self.rng = Rng(seed)
        self.count = 0
        self.stopped = False
        #: (author, name) -> highest seq of an acknowledged put.
        self.acknowledged: dict[tuple[int, str], int] = {}
        for node in range(len(swarm)):
            self.write(node)

    def write(self, node: int) -> None:
        if self.stopped or not self.swarm.engine.alive(node):
            return
        self.count += 1
        name = self.rng.choice(NAMES)
        profile = self.rng.choice(("cheap", "secure"))

        def done(outcome: Any) -> None:
            if hasattr(outcome, "value"):
                key = (node, name)
                assert outcome.value["seq"] > self.acknowledged.get(key, 0)
                self.acknowledged[key] = outcome.value["seq"]
            at_ns = self.swarm.engine.now_ns + 1 + self.rng.below(3 * MS)
            self.swarm.engine.call_at(at_ns, lambda: self.write(node))

        value = b"%d %d" % (node, self.count)
        self.swarm.engine.command(node, "put", {"value": value, "name": name, "profile": profile}, done)


def _life(swarm: Swarm, seed: int, cuts: int, *, power_loss: bool, set_back: bool = False) -> None:
    watch = Watch(swarm)
    swarm.run_for(5)
    writers = Writers(swarm, seed)
    rng = Rng(seed + 1)
    for cut in range(cuts):
        swarm.engine.run_until(swarm.engine.now_ns + rng.below(60 * MS))
        node = rng.below(N)
        promised = dict(watch.stored.get(node, {}))
        signed = {name: watch.highest_seq(_key(swarm, node, name)) for name in NAMES}
        swarm.kill(node, power_loss=power_loss)
        if set_back and cut % 2:
            swarm.engine.machines.clock(node).skew_ms = -DAY_MS
        swarm.engine.start(node)
        store = swarm.peer(node).dht.store
        if not power_loss:
            missing = [key.hex()[:8] for key in promised if store.get(key, 0) is None]
            assert not missing, f"cut {cut}: node {node} forgot {missing}, of which it had said STORED"
        for name in NAMES:
            kept = swarm.peer(node).own.stored_seq(name.encode())
            assert kept >= signed[name], f"cut {cut}: node {node} could sign seq {signed[name]} of {name} again"
    writers.stopped = True
    swarm.run_for(60)
    assert len(writers.acknowledged) == N * len(NAMES), "every name of every node was written"
    assert len(watch.signed) > cuts


def _key(swarm: Swarm, node: int, name: str) -> bytes:
    return signed_key(swarm.id(node), name.encode())


def _swarm(seed: int) -> Swarm:
    return Swarm(N, seed=seed, link=LOOPBACK, fake_keys=True)


def test_a_killed_process_keeps_what_it_acknowledged() -> None:
    _life(_swarm(1), 1, 80, power_loss=False)


@pytest.mark.parametrize("set_back", [False, True], ids=["clock right", "clock a day back"])
def test_no_power_loss_makes_a_peer_contradict_itself(set_back: bool) -> None:
    _life(_swarm(2), 2, 80, power_loss=True, set_back=set_back)


def test_what_one_half_forgets_the_other_half_knows() -> None:
    swarm = _swarm(3)
    swarm.run_for(30)
    put = swarm.commands((node, "put", {"value": b"value %d" % node, "name": "x"}) for node in range(N))
    for node in range(0, N, 2):
        swarm.restart(node, power_loss=True)
    swarm.join(nodes=range(0, N, 2), through=1)
    for node in range(N):
        got = swarm.commands((node, "get", {"key": one["key"]}) for one in put)
        assert [one["value"] for one in got] == [b"value %d" % author for author in range(N)], f"at node {node}"


def test_all_machines_lose_their_power_at_once() -> None:
    swarm = _swarm(4)
    watch = Watch(swarm)
    swarm.run_for(90)
    for node in range(N):
        swarm.command(node, "put", value=b"old", name="x")
    for node in range(N):
        swarm.kill(node, power_loss=True)
    for node in range(N):
        swarm.engine.start(node)
    swarm.run_for(30)
    before = {node: watch.highest_seq(_key(swarm, node, "x")) for node in range(N)}
    swarm.join()
    put = swarm.commands((node, "put", {"value": b"new", "name": "x"}) for node in range(N))
    assert all(one["seq"] > before[node] for node, one in enumerate(put))
