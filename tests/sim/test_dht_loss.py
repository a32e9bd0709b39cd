"""Lossy links: puts and gets succeed, and nobody is thrown out for what the network lost."""

from __future__ import annotations

from statistics import mean

import attrs
import pytest

from overlay.events import PeerLost
from overlay.runtime.ports import Ok
from tests.support.swarm import LOOPBACK, WAN, Swarm

N = 30


@pytest.mark.parametrize(("loss_ppm", "link"), [(50_000, WAN), (200_000, LOOPBACK)])
def test_puts_and_gets_succeed(loss_ppm: int, link: object) -> None:
    assert isinstance(link, type(LOOPBACK))
    swarm = Swarm(N, seed=loss_ppm, link=attrs.evolve(link, loss_ppm=loss_ppm), fake_keys=True)
    swarm.run_for(30)
    puts = swarm.outcomes(
        (node, "put", {"value": b"value %d" % node, "profile": "secure" if node % 2 else "cheap"}) for node in range(N)
    )
    values = [outcome.value for outcome in puts if isinstance(outcome, Ok)]
    assert len(values) == N
    # A PUT waits for two tries of each: at 20 % loss each way 87 % of them, of 20.
    assert mean(value["stored"] for value in values) >= 16
    assert min(value["stored"] for value in values) >= 12
    gets = swarm.outcomes(((node + 7) % N, "get", {"key": value["key"]}) for node, value in enumerate(values))
    assert all(isinstance(outcome, Ok) for outcome in gets)


@pytest.mark.parametrize("loss_ppm", [50_000, 200_000])
def test_nobody_leaves_a_table_for_lost_datagrams(loss_ppm: int) -> None:
    n = 20
    swarm = Swarm(n, seed=7, link=attrs.evolve(WAN, loss_ppm=loss_ppm), fake_keys=True)
    swarm.run_for(60)
    sizes = [len(swarm.peer(node).table) for node in range(n)]
    swarm.reports.clear()
    sent = swarm.network.sent
    swarm.run_for(600)
    lost = [event for _, _, event in swarm.reports if isinstance(event, PeerLost)]
    # Three tries at 20 % loss each way fail in 4.7 % of pings; it takes two such pings in a row, a second
    # apart, and somebody who waits for the place: 0.2 % of about 4,000 pings at most.
    assert len(lost) <= n * loss_ppm // 400_000, f"{len(lost)} evictions in 10 minutes of {n} peers"
    assert sum(len(swarm.peer(node).table) for node in range(n)) >= 0.98 * sum(sizes)
    failing = sum(swarm.peer(node).table.failing_count() for node in range(n))
    assert failing <= n * n // 10, f"{failing} contacts count as failing"
    per_minute = (swarm.network.sent - sent) / n / 10
    assert per_minute <= 150, f"{per_minute:.0f} datagrams a node and minute"
