"""Bodies that are too long for a datagram, in swarms: all get them over loss, churn and those who announce what they do
not send; how long it takes beside a small message."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from overlay import limits
from overlay.events import GossipDelivered
from overlay.gossip import bodies, memory
from overlay.runtime.ports import MS
from simulations.invariants.bounds import sizes
from simulations.population import Codec
from simulations.spec import load, scenario_of
from simulations.swarm import RunEnd
from simulations.swarm import Swarm as Scenario
from tests.support.swarm import WAN, Swarm
from tests.support.topics import body_of_size, delivered, publish, subscribe


def times_ms(swarm: Swarm, node: int, body: bytes, *, seconds: float) -> list[int]:
    """Publish; when each of the others had it, sorted."""
    swarm.reports.clear()
    began_ns = swarm.engine.now_ns
    publish(swarm, node, body)
    swarm.run_for(seconds)
    assert set(delivered(swarm).values()) == {1}
    return sorted(
        (at_ns - began_ns) // MS
        for at, at_ns, event in swarm.reports
        if at != node and isinstance(event, GossipDelivered) and event.body == body
    )


@pytest.mark.parametrize("n", [40, pytest.param(100, marks=pytest.mark.soak)])
def test_all_get_all_of_it_at_one_datagram_in_twenty_lost(n: int) -> None:
    """Ways of 20 to 120 ms, one way."""
    swarm = Swarm(n, seed=1, link=attrs.evolve(WAN, loss_ppm=50_000), fake_keys=True)
    swarm.run_for(5)
    subscribe(swarm, range(n))
    swarm.run_for(25)
    small = times_ms(swarm, 3, body_of_size(800), seconds=6)
    assert len(small) == n - 1
    first = times_ms(swarm, 10, body_of_size(10_000), seconds=8)  # no stream is there yet
    assert len(first) == n - 1
    assert first[-1] <= 4000
    for size in (10_000, 200_000):
        took = times_ms(swarm, 17, body_of_size(size, 1), seconds=8)
        assert len(took) == n - 1
        # Announcement, question and body where the small one has one way.
        assert took[n // 2] <= 6 * small[n // 2]
        assert took[-1] <= 3000
    assert max(len(swarm.peer(node).gossip._lines) for node in range(n)) <= 2 * limits.MESH_HIGH
    for node in range(n):
        assert [what for what, size, most in sizes(swarm.peer(node)) if size > most] == []


def test_churn_takes_no_body_from_those_who_stay() -> None:
    swarm = Swarm(24, seed=3, link=WAN, fake_keys=True)
    swarm.run_for(5)
    subscribe(swarm, range(24))
    swarm.run_for(20)
    swarm.reports.clear()
    bodies_ = [body_of_size(50_000, number) for number in range(6)]
    for number, body in enumerate(bodies_):
        publish(swarm, number, body)
        swarm.run_for(0.2)
        swarm.kill(18 + number)  # as it receives, or sends
        newcomer = swarm.add()
        swarm.join(nodes=[newcomer])
        subscribe(swarm, [newcomer])
        swarm.run_for(2)
    swarm.run_for(8)
    got = delivered(swarm)
    assert [(node, n) for node in range(18) for n, body in enumerate(bodies_) if got[node, body] != 1] == []
    assert set(got.values()) == {1}


def ran(*adversaries: dict[str, Any], count: int = 10, size: int = 50_000, nodes: int = 16) -> RunEnd:
    table: dict[str, Any] = {
        "duration_s": 85,
        "population": {"nodes": nodes, "arrive_s": 5},
        "adversaries": list(adversaries),
        "workload": [{"kind": "publish", "count": count, "size": size, "from_s": 20, "settle_s": 20}],
    }
    return Scenario(scenario_of("test", table), seed=1, codec=Codec.OBJECTS).run()


@pytest.mark.parametrize("kind", ["mute-members", "hollow-members"])
def test_those_who_give_nothing_keep_nobody_from_a_body(kind: str) -> None:
    end = ran({"kind": kind, "fraction": 0.3, "from_s": 20})
    assert not end.broken
    assert end.measures["kept_back" if kind == "mute-members" else "hollow_asked"] > 10
    assert end.measures["delivery_success"] == 1
    assert end.measures["delivery_again"] == 0


@pytest.mark.parametrize(
    ("name", "bound"), [("MAX_KEPT_BODY_BYTES", 120_000), ("MAX_KEPT_BODY_BYTES_PER_AUTHOR", 60_000)]
)
def test_the_swarm_notices_a_bound_that_is_not_kept(name: str, bound: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, name, bound)  # what the invariant asks for
    assert {broken.invariant for broken in ran(nodes=8).broken} == {"memory-bounded"}
    monkeypatch.setattr(bodies, name, bound)
    end = ran(nodes=8)
    assert not end.broken
    assert end.measures["delivery_success"] == 1


def test_an_author_cannot_have_the_others_carry_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own node does not refuse it, so others must."""
    swarm = Swarm(6, seed=5, link=WAN, fake_keys=True)
    swarm.run_for(5)
    subscribe(swarm, range(6))
    swarm.run_for(15)
    swarm.reports.clear()
    honest = memory.Memory.admit

    def admit(self: memory.Memory, message_id: bytes, author: bytes, seq: int, now: Any, *, size: int = 0) -> Any:
        own = self is swarm.peer(0).gossip.state.memory
        return honest(self, message_id, author, seq, now, size=0 if own else size)

    monkeypatch.setattr(memory.Memory, "admit", admit)
    for number in range(20):
        publish(swarm, 0, body_of_size(limits.MAX_LARGE_BODY, number))
        swarm.run_for(0.5)
    swarm.run_for(20)
    most = limits.BODY_BYTES_PER_AUTHOR_BURST + 30 * limits.BODY_BYTES_PER_AUTHOR_S
    for node in range(1, 6):
        took = sum(len(body) for at, body in delivered(swarm) if at == node)
        assert 0 < took <= most


def test_the_shipped_scenario_has_loss_churn_and_liars() -> None:
    scenario = load("gossip-bodies")
    assert [type(adversary).__name__ for adversary in scenario.adversaries] == ["HollowMembers"]
    assert scenario.link.loss == 0.05
    assert scenario.churn is not None
