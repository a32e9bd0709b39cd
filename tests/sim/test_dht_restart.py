"""All nodes stop and start on what their disks kept, with clocks that may be wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.swarm import LOOPBACK, Swarm
from tests.support.watch import Watch

N = 25
DAY_MS = 24 * 3600 * 1000


def _jobs(swarm: Swarm) -> Iterator[tuple[int, str, dict[str, object]]]:
    for node in range(0, N, 2):
        yield node, "put", {"value": b"blob %d" % node}
        yield node, "put", {"value": b"signed %d" % node, "name": "x"}


@pytest.mark.parametrize("lan", [True, False], ids=["private addresses", "global addresses"])
def test_a_network_comes_back_from_its_disks_alone(lan: bool) -> None:
    swarm = Swarm(N, seed=1, link=LOOPBACK, lan=lan, fake_keys=True)
    swarm.run_for(90)
    put = swarm.commands(_jobs(swarm))
    swarm.run_for(1)
    records = [len(swarm.peer(node).dht.store) for node in range(N)]
    for node in range(N):
        swarm.kill(node)
    swarm.run_for(60)
    for node in range(N):
        swarm.engine.start(node)
    assert [len(swarm.peer(node).dht.store) for node in range(N)] == records
    swarm.run_for(30)  # nobody gave a join command
    # With global addresses who asks to be dialled back while few are up may stay a client for a while.
    assert min(len(swarm.peer(node).table) for node in range(N)) >= (N - 1 if lan else N - 4)
    for node in range(1, N, 4):
        got = swarm.commands((node, "get", {"key": one["key"]}) for one in put)
        assert [one["value"] for one in got] == [job[2]["value"] for job in _jobs(swarm)]


@pytest.mark.parametrize("skew_ms", [0, -DAY_MS, DAY_MS], ids=["right", "a day back", "a day ahead"])
def test_stamps_and_seqs_never_go_back(skew_ms: int) -> None:
    swarm = Swarm(N, seed=2, link=LOOPBACK, fake_keys=True)
    watch = Watch(swarm)
    swarm.run_for(60)
    first = swarm.commands(_jobs(swarm))
    swarm.run_for(1)
    assert len(watch.stamps) == N
    seqs = {one["key"]: one["seq"] for one in first if one["kind"] == "signed"}
    for node in range(N):
        swarm.engine.kill(node)
        swarm.engine.machines.clock(node).skew_ms = skew_ms
        swarm.engine.start(node)
    swarm.run_for(30)
    again = swarm.commands(
        (node, "put", {"value": b"newer %d" % node, "name": "x", "profile": "cheap"}) for node in range(0, N, 2)
    )
    for node, one in zip(range(0, N, 2), again, strict=True):
        assert one["seq"] > seqs[one["key"]], f"node {node} signed seq {one['seq']} after {seqs[one['key']]}"
    for node in range(1, N, 4):
        got = swarm.commands((node, "get", {"key": one["key"]}) for one in again)
        assert [one["value"] for one in got] == [b"newer %d" % author for author in range(0, N, 2)]


def test_one_clock_that_was_set_back_a_day_while_running() -> None:
    swarm = Swarm(N, seed=3, link=LOOPBACK, fake_keys=True)
    Watch(swarm)
    swarm.run_for(60)
    put = swarm.command(5, "put", value=b"one", name="x")
    swarm.engine.machines.clock(5).skew_ms = -DAY_MS
    swarm.run_for(120)
    assert swarm.command(5, "put", value=b"two", name="x")["seq"] > put["seq"]
    assert swarm.command(9, "get", key=put["key"])["value"] == b"two"
    swarm.restart(5)
    swarm.run_for(30)
    assert swarm.command(5, "put", value=b"three", name="x")["seq"] > put["seq"] + 1
    assert swarm.command(9, "get", key=put["key"])["value"] == b"three"


def test_the_author_publishes_what_it_put_before_the_restart() -> None:
    """All copies are lost; the author's note is not."""
    swarm = Swarm(N, seed=4, link=LOOPBACK, fake_keys=True)
    swarm.run_for(60)
    keys = [swarm.command(5, "put", value=b"blob")["key"], swarm.command(5, "put", value=b"signed", name="x")["key"]]
    swarm.restart(5)
    for node in swarm.alive():
        for key in keys:
            swarm.peer(node).dht.store.remove(bytes.fromhex(key))
    swarm.run_for(30)
    assert [swarm.command(9, "get", key=key)["value"] for key in keys] == [b"blob", b"signed"]
