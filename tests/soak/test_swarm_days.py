"""Days of virtual time under churn: records stay, nothing leaks."""

from __future__ import annotations

from overlay.limits import MAX_PEERS_REMEMBERED
from overlay.runtime.chance import Rng
from tests.sim.test_dht_idle import footprint
from tests.support.swarm import LOOPBACK, Swarm

HOUR = 3600


def _churn(swarm: Swarm, rng: Rng, hours: int, *, authors: int, share: int = 10) -> list[float]:
    """Every hour one in `share` of the nodes dies for good, without notice, and as many join; the first `authors`
    stay. The share of values found, each hour."""
    found = []
    keys = [
        swarm.command(node, "put", value=b"value %d" % node, **({"name": "x"} if node % 2 else {}))["key"]
        for node in range(authors)
    ]
    for _ in range(hours):
        living = swarm.alive()
        dying = rng.sample([node for node in living if node >= authors], len(living) // share)
        for node in dying:
            swarm.kill(node)
            swarm.run_for(HOUR / 2 / len(dying))
            newcomer = swarm.add()
            swarm.join(nodes=[newcomer])
            swarm.run_for(HOUR / 2 / len(dying))
        readers = [rng.choice(swarm.alive()) for _ in keys]
        outcomes = swarm.outcomes((reader, "get", {"key": key}) for reader, key in zip(readers, keys, strict=True))
        found.append(sum(hasattr(outcome, "value") for outcome in outcomes) / len(keys))
    return found


def test_three_days_under_churn_lose_nothing() -> None:
    """10 % an hour: after three days hardly any first holder lives."""
    swarm = Swarm(25, seed=1, link=LOOPBACK, lan=True, fake_keys=True)
    swarm.run_for(60)
    found = _churn(swarm, Rng(1), 72, authors=5)
    assert min(found) == 1.0, found


def test_a_day_of_churn_leaks_nothing() -> None:
    swarm = Swarm(30, seed=2, link=LOOPBACK, lan=True, fake_keys=True)
    swarm.run_for(60)
    _churn(swarm, Rng(2), 1, authors=5)
    before = [footprint(swarm, node) for node in range(5)]
    _churn(swarm, Rng(3), 24, authors=5, share=5)
    # At any one moment a lookup of the upkeep may be on its way; one that is always there does not end.
    least = [footprint(swarm, node) for node in range(5)]
    for _ in range(60):
        swarm.run_for(1)
        for node, now in enumerate(footprint(swarm, node) for node in range(5)):
            least[node] = {what: min(count, now[what]) for what, count in least[node].items()}
    for node in range(5):
        after = footprint(swarm, node)
        peer = swarm.peer(node)
        assert after["tasks"] <= before[node]["tasks"] + 4
        assert after["timers"] <= before[node]["timers"] + 16
        assert after["waiting"] <= 32
        for what in ("commands", "lookups", "in flight"):
            assert least[node][what] == 0, f"{what} of node {node} that do not end"
        assert after["records"] <= 10
        assert len(peer.endpoint.peers) <= MAX_PEERS_REMEMBERED
        assert len(peer.table) <= 120
    assert len(swarm.engine._heap) <= 60 * 30
