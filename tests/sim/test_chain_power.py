"""Machines that keep a chain lose their power again and again: each comes back at a block that it had synced, whole."""

from __future__ import annotations

import pytest

from apps.chain.core.block import decode_block
from apps.chain.core.ledger import open_ledger
from apps.chain.core.memory import MemoryStore
from apps.chain.core.state import digest_of
from overlay.runtime.chance import Rng
from tests.support.chain_folder import accept_all
from tests.support.chain_swarm import PARAMS, RATE, ChainSwarm

CUTS = 60


def replayed(store: MemoryStore) -> bytes:
    """Digest of what its blocks make of an empty store."""
    ledger = open_ledger(made := MemoryStore(), PARAMS)
    raws = [store.block(row.id) for row in store.actives(1, store.tip().height)]
    if raws:
        accept_all(ledger, [decode_block(raw) for raw in raws if raw is not None])
    return digest_of(made)


@pytest.mark.parametrize("seed", [1, 2])
def test_no_loss_of_power_tears_a_chain(seed: int) -> None:
    swarm = ChainSwarm(4, lan=True, rates={0: RATE / 2, 1: RATE / 2}, seed=seed)
    swarm.run_for(5)
    swarm.mine(0, 1)
    swarm.until_height(0, 5)
    chance = Rng(seed)
    for number in range(CUTS):
        swarm.run_for(chance.below(20_000) / 1000)
        nodes = range(4) if number % 10 == 9 else [chance.below(4)]
        for node in nodes:
            # At the tip a block is synced before anybody hears of it.
            synced = swarm.chain(node).desk.summary.height if swarm.chain(node).sync.done else 0
            swarm.kill(node, power_loss=True)
            store = swarm.world.store(node)
            assert store.tip().height >= synced
            assert digest_of(store) == replayed(store)
            swarm.engine.start(node)
        swarm.join(nodes=[node for node in nodes if node], through=0)
    swarm.run_for(60)
    swarm.rest(0, 1)
    swarm.run_for(90)
    assert len(swarm.tips()) == 1
    assert len({digest_of(swarm.world.store(node)) for node in range(4)}) == 1
    assert swarm.events("diverged") == []
    assert swarm.events("bad peer") == []


def test_what_came_while_catching_up_comes_again() -> None:
    swarm = ChainSwarm(2, lan=True, rates={0: RATE})
    swarm.run_for(5)
    swarm.mine(0)
    swarm.until_height(0, 150)
    swarm.rest(0)
    late = swarm.add()
    swarm.join(nodes=[late])
    while swarm.height(late) < 20:
        swarm.run_for(0.05)
    before = swarm.height(late)
    swarm.kill(late, power_loss=True)
    store = swarm.world.store(late)
    assert store.tip().height < before
    assert digest_of(store) == replayed(store)
    swarm.engine.start(late)
    swarm.join(nodes=[late])
    swarm.run_for(60)
    assert swarm.height(late) == swarm.height(0)
