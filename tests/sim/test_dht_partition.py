"""A network in two halves, for minutes: each half goes on, and after the cut both are one again."""

from __future__ import annotations

import pytest

from overlay.limits import K
from tests.support.swarm import LOOPBACK, Swarm, lan_address

N = 24
HALF = N // 2


def _whole(swarm: Swarm) -> bool:
    return all(swarm.peer(node).table.failing_count() == 0 for node in swarm.alive()) and all(
        len(swarm.peer(node).table) == N - 1 for node in swarm.alive()
    )


@pytest.mark.parametrize("minutes", [2, 20])
def test_both_halves_are_one_network_again(minutes: int) -> None:
    swarm = Swarm(N, seed=minutes, link=LOOPBACK, lan=True, fake_keys=True)
    swarm.run_for(60)
    assert _whole(swarm)
    before = swarm.command(3, "put", value=b"before", name="shared")
    swarm.partition(range(HALF))
    swarm.run_for(minutes * 60)
    # Each half reads what was there, and writes of its own.
    assert swarm.command(5, "get", key=before["key"])["value"] == b"before"
    assert swarm.command(20, "get", key=before["key"])["value"] == b"before"
    near = [swarm.command(node, "put", value=b"near %d" % node)["key"] for node in range(4)]
    far = [swarm.command(node, "put", value=b"far %d" % node)["key"] for node in range(HALF, HALF + 4)]
    newer = swarm.command(3, "put", value=b"during", name="shared")
    assert newer["seq"] > before["seq"]
    assert swarm.command(20, "get", key=before["key"])["value"] == b"before", "the other half cannot know"
    swarm.heal()
    for _ in range(6):
        if _whole(swarm):
            break
        swarm.run_for(5)
    assert _whole(swarm), f"not whole 30 s after {minutes} min of partition"
    for node in range(N):
        got = swarm.commands((node, "get", {"key": key}) for key in near + far)
        assert [one["value"] for one in got] == [b"near %d" % i for i in range(4)] + [
            b"far %d" % i for i in range(HALF, HALF + 4)
        ]
    # Holders of the other half had an old version, until its author, who noticed the cut, published again.
    swarm.run_for(150)
    for node in range(N):
        assert swarm.command(node, "get", key=before["key"])["value"] == b"during", f"node {node} reads an old version"
    for node in swarm.closest(bytes.fromhex(before["key"]), K):
        held = swarm.peer(node).dht.store.get(bytes.fromhex(before["key"]), swarm.engine.now_of(node).wall_ms)
        assert held is not None
        assert held.seq == newer["seq"], f"node {node} holds an old version"


def test_two_networks_become_one_by_a_place_to_join_that_was_not_there() -> None:
    """A node that found others is not alone and would not ask its seeds again; but they may be another network."""
    swarm = Swarm(12, seed=6, link=LOOPBACK, lan=True, fake_keys=True, join=False)
    swarm.partition(range(6))
    swarm.join(nodes=range(1, 6))
    swarm.join(through=6, nodes=range(7, 12))
    swarm.outcomes([(3, "join", {"addresses": [{"address": str(swarm.address(9)), "id": None}]})])
    swarm.run_for(60)
    assert len(swarm.peer(0).table) == 5
    swarm.heal()
    swarm.run_for(30)
    assert len(swarm.peer(3).table) == 11
    swarm.run_for(630)  # all look around every ten minutes
    assert [len(swarm.peer(node).table) for node in range(12)] == [11] * 12


def test_a_node_whose_cable_was_out_is_back_within_30_s() -> None:
    swarm = Swarm(N, seed=4, link=LOOPBACK, lan=True, fake_keys=True)
    swarm.run_for(60)
    swarm.network.unplug(7)
    swarm.run_for(180)
    assert swarm.peer(7).table.failing_count() == N - 1
    swarm.network.plug(7)
    swarm.run_for(30)
    assert _whole(swarm)
    put = swarm.command(7, "put", value=b"back")
    assert swarm.command(20, "get", key=put["key"])["value"] == b"back"


def test_a_node_that_moves_keeps_its_place() -> None:
    """Another address, the same key: contacts follow the key within seconds."""
    swarm = Swarm(N, seed=5, link=LOOPBACK, lan=True, fake_keys=True)
    swarm.run_for(60)
    swarm.engine.move(7, [lan_address(150)])
    swarm.run_for(10)
    for node in range(N):
        if node != 7:
            entry = swarm.peer(node).table.get(swarm.keys(7).key)
            assert entry is not None
            assert entry.contact.address == lan_address(150), f"in the table of node {node}"
