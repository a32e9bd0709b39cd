"""A miner that is far too fast for the difficulty does not run ahead of the clock."""

from __future__ import annotations

from apps.chain.core.limits import MAX_AHEAD_S
from tests.support.chain_swarm import RATE, ChainSwarm


def test_nobody_works_on_blocks_that_others_would_hold() -> None:
    swarm = ChainSwarm(2, rates={0: 1_000 * RATE}, seed=3)
    swarm.run_for(30)
    swarm.mine(0)
    highest = 0
    for _ in range(20):
        swarm.run_for(1)
        summary = swarm.chain(0).desk.summary
        now_s = swarm.chain(0).ctx.now.wall_ms // 1000
        assert summary.time <= now_s + MAX_AHEAD_S
        assert not summary.held
        highest = max(highest, summary.height)
    assert highest > MAX_AHEAD_S, "it did run ahead as far as it may"
    assert swarm.events("held") == []
    swarm.run_for(20)
    assert swarm.height(1) >= highest
