"""Blocks come to those who helped each other even where nobody passes anything on."""

from __future__ import annotations

import pytest

from apps.chain.core.herald import Herald
from apps.chain.core.limits import COMPARED_TIPS
from apps.chain.core.peers import Known, Peers
from overlay.runtime.ports import SECOND
from simulations.chain.world import SwarmChain
from tests.support.chain_swarm import RATE, ChainSwarm


class Quiet(SwarmChain):
    """What it mines it tells nobody by gossip."""

    async def publish_block(self, compact: bytes) -> None:
        pass


def quiet(nodes: int) -> ChainSwarm:
    """Node 0 mines; each was of use to another once."""
    swarm = ChainSwarm(
        nodes, lan=True, rates={0: RATE}, kinds={0: lambda books, miner: Quiet(books, miner=miner)}
    )  # fmt: skip
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 2)
    swarm.run_for(70)  # some questions where others are
    assert all(swarm.height(node) for node in range(nodes))
    return swarm


def latest(swarm: ChainSwarm, blocks: int) -> float:
    """Seconds until the last node has each of so many blocks, the longest."""
    worst = 0.0
    for _ in range(blocks):
        height = swarm.height(0) + 1
        while swarm.height(0) < height:
            swarm.run_for(0.1)
        begin_ns = swarm.engine.now_ns
        while min(swarm.height(node) for node in swarm.alive()) < height:
            swarm.run_for(0.1)
        worst = max(worst, (swarm.engine.now_ns - begin_ns) / SECOND)
    return worst


def test_a_new_tip_is_told_to_those_who_helped_and_who_tell_theirs() -> None:
    assert latest(quiet(3), 10) <= 5


def test_without_it_they_would_learn_of_it_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Herald, "_hear", lambda *_: None)
    assert latest(quiet(3), 10) > 10


def test_who_was_of_use_is_asked_among_however_many_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = quiet(6)
    peers = swarm.chain(1).peers
    peers.helped(swarm.id(0))
    strangers = [swarm.id(node) for node in range(2, 6)]
    asked: list[bytes] = []
    ask = Peers.ask

    async def noted(self: Peers, one: Known, **more: bytes) -> None:
        if self is peers:
            asked.append(one.id)
        await ask(self, one, **more)

    monkeypatch.setattr(Peers, "ask", noted)
    for stranger in strangers:
        swarm.chain(1).sync.wake(stranger)
    swarm.run_for(0.5)
    assert swarm.id(0) in asked[:COMPARED_TIPS]
