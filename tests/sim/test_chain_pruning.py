"""Peers that keep the newest blocks alone: what they give, what a newcomer learns of them, and what they cannot do."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from apps.chain.core import app, pruning
from apps.chain.core.state import digest_of
from tests.support.chain_swarm import PARAMS, RATE, ChainSwarm

#: Blocks that are kept here, so that there are older ones in a young swarm.
KEEP = 20


def pruned(monkeypatch: pytest.MonkeyPatch, nodes: int, *keepers: int, **more: Any) -> ChainSwarm:
    """Node 0 mines; nodes besides `keepers` forget all but KEEP blocks, two at a time."""
    monkeypatch.setattr(pruning, "MIN_KEPT", KEEP)
    monkeypatch.setattr(app, "PRUNED_TOGETHER", 2)
    keeps = {node: KEEP for node in range(nodes) if node not in keepers}
    swarm = ChainSwarm(nodes, lan=True, rates={0: RATE}, setup=lambda world: world.keeps.update(keeps), **more)
    swarm.run_for(5)
    swarm.mine(0)
    return swarm


def bodies(swarm: ChainSwarm, node: int) -> set[int]:
    """Heights whose blocks are there."""
    store = swarm.world.store(node)
    return {row.height for row in store.actives(1, swarm.height(node)) if store.block(row.id) is not None}


def test_old_blocks_are_forgotten_as_new_ones_come_and_all_they_made_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = pruned(monkeypatch, 2, 1)
    swarm.until_height(0, 50)
    swarm.rest(0)
    swarm.run_for(5)
    top = swarm.height(0)
    kept_from = swarm.ask(0, "status")["kept_from"]
    assert top - KEEP - 1 <= kept_from <= top - KEEP + 1
    assert bodies(swarm, 0) == set(range(kept_from, top + 1))
    assert bodies(swarm, 1) == set(range(1, top + 1))
    assert swarm.ask(1, "status")["kept_from"] == 0
    assert digest_of(swarm.world.store(0)) == digest_of(swarm.world.store(1))
    swarm.restart(0)
    swarm.mine(0)
    swarm.until_height(0, top + 5)
    assert swarm.ask(0, "status")["kept_from"] > kept_from


def test_a_newcomer_fetches_old_blocks_of_who_keeps_them_and_new_ones_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = pruned(monkeypatch, 3, 2)
    swarm.until_height(0, 60)
    swarm.rest(0)
    swarm.run_for(40)  # nobody hears of the last block any more, nor by it of one peer
    kept_from = swarm.ask(0, "status")["kept_from"]
    heights = {row.id: row.height for row in swarm.world.store(0).actives(1, swarm.height(0))}
    asked = [swarm.count_operations(node, "body") for node in range(3)]
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.run_for(60)
    assert bodies(swarm, late) == set(range(1, swarm.height(0) + 1))
    assert swarm.ask(late, "status")["synced"] is True
    assert [one["slow"] for one in swarm.ask(late, "peers")] == [False] * 3
    for calls in asked[:2]:
        assert all(heights[block] >= kept_from for (block,) in calls)
    assert len({block for (block,) in asked[2]}) >= kept_from - 1


def test_a_newcomer_among_peers_that_forgot_says_so_until_one_comes_that_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swarm = pruned(monkeypatch, 3, 2)
    swarm.until_height(0, 50)
    swarm.rest(0)
    swarm.run_for(5)
    swarm.kill(2)
    late = swarm.add()
    swarm.join(nodes=[late])
    swarm.run_for(60)
    status = swarm.ask(late, "status")
    assert (status["height"], status["headers"], status["synced"]) == (0, swarm.height(0), False)
    assert "keeps the block of height 1 any more" in status["trouble"]
    told = [fields["error"] for node, fields in swarm.events("trouble") if node == late]
    assert told == [status["trouble"]]
    assert swarm.events("bad peer") == []
    swarm.engine.start(2)
    swarm.join(nodes=[2])
    swarm.run_for(90)
    status = swarm.ask(late, "status")
    assert (status["height"], status["trouble"], status["synced"]) == (swarm.height(0), None, True)


def test_who_forgot_where_a_better_branch_begins_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = pruned(monkeypatch, 2, 1)
    swarm.world.rates[1] = 4 * RATE
    swarm.restart(1)
    swarm.join(nodes=[1])
    swarm.until_height(0, 5)
    swarm.run_for(5)
    swarm.network.partition([0], [1])
    swarm.mine(1)
    swarm.until_height(0, 45)
    swarm.rest(0)
    swarm.until_height(1, swarm.height(0) + 10)
    swarm.rest(1)
    swarm.network.heal()
    swarm.run_for(120)
    assert len(swarm.tips()) == 2
    status = swarm.ask(0, "status")
    assert status["synced"] is False
    assert f"below height {status['kept_from']}" in status["trouble"]
    assert [fields["error"] for _, fields in swarm.events("trouble")] == [status["trouble"]]
    assert swarm.events("bad peer") == []


def test_a_wrong_block_that_is_assumed_valid_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = pruned(monkeypatch, 2, 0, 1)
    swarm.until_height(0, 12)
    swarm.rest(0)
    late = swarm.add()
    swarm.world.running[late].params = wrong = attrs.evolve(PARAMS, assume_valid=(9, b"w" * 32))
    swarm.world.running[late].books.params = wrong
    swarm.join(nodes=[late])
    swarm.run_for(40)
    status = swarm.ask(late, "status")
    assert (status["headers"], status["synced"]) == (8, False)
    assert re.match(r"[23] of the peers that were asked have another block at height 9 ", status["trouble"])
