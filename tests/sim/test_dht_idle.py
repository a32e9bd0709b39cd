"""An idle network is quiet, and stays as it is: no storms of pings, nothing that grows."""

from __future__ import annotations

from collections import Counter

import pytest

from overlay.runtime.ports import SendDatagram
from tests.support.swarm import LOOPBACK, Swarm

MINUTE = 60
HOUR = 3600


def _count(swarm: Swarm, seconds: float) -> tuple[Counter[tuple[int, str]], float]:
    """Datagrams by (sender, receiver's address), and how many a node sends in a minute."""
    sent: Counter[tuple[int, str]] = Counter()
    perform = swarm.engine._perform

    def watched(host: object, effect: object) -> None:
        if isinstance(effect, SendDatagram):
            sent[host.index, str(effect.to)] += 1  # type: ignore[attr-defined]
        perform(host, effect)  # type: ignore[arg-type]

    swarm.engine._perform = watched  # type: ignore[method-assign]
    swarm.run_for(seconds)
    swarm.engine._perform = perform  # type: ignore[method-assign]
    return sent, sent.total() / len(swarm.alive()) / (seconds / MINUTE)


@pytest.mark.parametrize(("n", "lan", "bound"), [(2, True, 10), (8, True, 30), (40, False, 27)])
def test_messages_of_an_idle_node(n: int, lan: bool, bound: int) -> None:
    """A contact is pinged once a minute at most, and one ping serves both; rare lookups come on top."""
    swarm = Swarm(n, seed=n, link=LOOPBACK, lan=lan, fake_keys=True)
    swarm.run_for(5 * MINUTE)
    sent, per_minute = _count(swarm, 4 * MINUTE)
    assert per_minute <= bound, f"{per_minute:.1f} datagrams a node and minute"
    most = max(sent.values())
    # Twice a minute, and lookups that pass there: more is a conversation that does not end.
    assert most <= 40, f"{sent.most_common(3)} in four minutes"


def test_a_dead_peer_costs_little() -> None:
    swarm = Swarm(20, seed=3, link=LOOPBACK, fake_keys=True)
    swarm.run_for(2 * MINUTE)
    for node in range(10, 20):
        swarm.kill(node)
    _, per_minute = _count(swarm, 20 * MINUTE)
    assert per_minute <= 80
    _, per_minute = _count(swarm, 10 * MINUTE)
    assert per_minute <= 40, "forgotten, but for a question now and then"


def footprint(swarm: Swarm, node: int) -> dict[str, int]:
    """All that a peer keeps and that could grow."""
    peer = swarm.peer(node)
    return {
        "tasks": len(peer.loop._tasks),
        "timers": len(peer.loop._heap),
        "waiting": peer.endpoint.asked.waiting,
        "commands": len(peer._commands),
        "lookups": peer.dht.lookups_running,
        "records": len(peer.dht.store),
        "in flight": len(peer.journal._in_flight),
    }


def test_six_hours_leave_nothing_behind() -> None:
    swarm = Swarm(4, seed=4, link=LOOPBACK, fake_keys=True)
    for node in range(4):
        swarm.command(node, "put", value=b"value %d" % node, name="x")
    swarm.run_for(30 * MINUTE)
    before = [footprint(swarm, node) for node in range(4)]
    queue = len(swarm.engine._heap)
    swarm.run_for(6 * HOUR)
    for node in range(4):
        after = footprint(swarm, node)
        assert after["waiting"] <= 8
        assert after["commands"] == after["lookups"] == after["in flight"] == 0
        assert after["tasks"] <= before[node]["tasks"] + 2
        assert after["timers"] <= before[node]["timers"] + 8
        assert after["records"] == before[node]["records"] == 4
        assert len(swarm.peer(node).endpoint.peers) == 3
    assert len(swarm.engine._heap) <= queue + 60
