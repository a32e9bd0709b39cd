"""Invariants that no planted bug of tests/sim reaches, and the tables that `swarm shrink` makes."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND, Now
from simulations.cli.shrunk import settings_of, toml_of
from simulations.invariants import MAX_BROKEN, Broken
from simulations.outcome import Missed, judge
from simulations.population import Codec
from simulations.scenario import Claim
from simulations.shrink import Failure, Shrinker, failure_of, relevant
from simulations.spec import scenario_of
from simulations.swarm import Swarm

TABLE: dict[str, Any] = {"duration_s": 12, "population": {"nodes": 4, "arrive_s": 1}}


@pytest.fixture
def swarm() -> Swarm:
    swarm = Swarm(scenario_of("small", TABLE), seed=1)
    swarm.run_until(8 * SECOND)
    assert swarm.broken == []
    return swarm


def _told(swarm: Swarm) -> set[str]:
    swarm.run_until(11 * SECOND)
    return {broken.invariant for broken in swarm.broken}


def _a_datagram_appears(swarm: Swarm) -> None:
    swarm.engine.effects.delivered += 1


def _the_network_swallows(swarm: Swarm) -> None:
    swarm.network.sent += 1


def _a_command_vanishes(swarm: Swarm) -> None:
    swarm.engine.hosts[1].commands.clear()
    swarm.engine.commands_given += 1


def _a_peer_serves_what_nobody_asked(swarm: Swarm) -> None:
    peer: Any = swarm.engine.peer(2)
    peer._commands[99] = peer.loop.tasks()[0]


def _a_clock_runs_ahead(swarm: Swarm) -> None:
    loop: Loop = swarm.engine.peer(2).loop  # type: ignore[attr-defined]
    loop.now = Now(swarm.engine.now_ns + 100 * SECOND, loop.now.wall_ms)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_a_datagram_appears, "conserved"), (_the_network_swallows, "conserved"), (_a_command_vanishes, "conserved"),
        (_a_peer_serves_what_nobody_asked, "conserved"), (_a_clock_runs_ahead, "time-goes-on"),
    ],
)  # fmt: skip
def test_what_does_not_balance_is_told(swarm: Swarm, change: Callable[[Swarm], None], name: str) -> None:
    change(swarm)
    assert _told(swarm) == {name}


def test_the_records_that_a_peer_holds_are_counted(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(3):
        swarm.ask(1, "put", {"value": b"value", "name": f"{n}"}, lambda _outcome, _took: None)
    swarm.run_until(9 * SECOND)
    monkeypatch.setattr("overlay.limits.MAX_RECORDS", 3)
    assert _told(swarm) == set()
    monkeypatch.setattr("overlay.limits.MAX_RECORDS", 2)
    swarm.run()
    assert {(broken.invariant, broken.what) for broken in swarm.broken} == {
        ("memory-bounded", "3 records, at most 2 are allowed")
    }


def test_an_address_of_two_nodes_is_told_at_the_end(swarm: Swarm) -> None:
    swarm.network._nodes[1].addresses = swarm.network.addresses(2)
    assert [(b.invariant, b.node) for b in swarm.run().broken] == [("conserved", 2)]


def test_a_scenario_leaves_an_invariant_out() -> None:
    swarm = Swarm(scenario_of("small", {**TABLE, "without": ["conserved"]}), seed=1)
    swarm.engine.effects.delivered += 1
    assert swarm.run().broken == ()


def test_each_broken_one_is_told_once_and_not_without_end(swarm: Swarm) -> None:
    same = Broken("x", 1, 0.0, "again")
    swarm._check([same, same])
    swarm._check([Broken("y", node, 0.0, "everywhere") for node in range(100)])
    assert len(swarm.broken) == MAX_BROKEN
    assert swarm.broken.count(same) == 1


# --- shrink ---

BIG: dict[str, Any] = {
    "name": "big", "duration_s": 100.0, "population": {"nodes": 64, "arrive_s": 5},
    "workload": [{"kind": "lookup", "count": 40}, {"kind": "put-get", "values": 8, "from_s": 1}],
    "timeline": [{"action": "kill", "at_s": 3, "share": 0.5}],
    "claims": [{"measure": "a", "at_least": 1}, {"name": "b is \"b\"", "measure": "b", "at_most": 2.5}],
}  # fmt: skip


def test_it_finds_what_the_failure_needs() -> None:
    def judge(table: dict[str, Any]) -> Failure | None:
        needed = table["population"]["nodes"] >= 10 and any(w["kind"] == "put-get" for w in table["workload"])
        return Failure("claim", "a") if needed else Failure("claim", "another")

    smallest = Shrinker(judge, 500).run(BIG, Failure("claim", "a"))
    assert smallest["population"]["nodes"] in (10, 11)
    assert smallest["workload"] == [{"kind": "put-get", "values": 1, "from_s": 1}]
    assert smallest["timeline"] == []
    assert smallest["duration_s"] < 3
    assert smallest["claims"] == [{"measure": "a", "at_least": 1}]


@pytest.mark.parametrize(
    ("missed", "other"),
    [(Missed.BELOW, Missed.UNMEASURED), (Missed.BELOW, Missed.ABOVE), (Missed.UNMEASURED, Missed.BELOW)],
)
def test_a_claim_that_is_missed_by_another_side_is_another_failure(missed: Missed, other: Missed) -> None:
    def judge(table: dict[str, Any]) -> Failure:
        return Failure("claim", "a", missed=missed if table["population"]["nodes"] >= 40 else other)

    smallest = Shrinker(judge, 500).run(BIG, Failure("claim", "a", missed=missed))
    assert 40 <= smallest["population"]["nodes"] < 46


def test_a_run_that_measures_nothing_any_more_is_no_smaller_one() -> None:
    """Without its workload the claim fails too: there is nothing of that name."""
    table = {
        "name": "few", "duration_s": 20.0, "population": {"nodes": 6, "arrive_s": 1}, "link": {"loss": 1.0},
        "workload": [{"kind": "lookup", "count": 4, "from_s": 10}],
        "claims": [{"measure": "lookup_p50_ms", "at_most": 1}],
    }  # fmt: skip
    dead = failure_of(table, seed=1, codec=Codec.OBJECTS)
    assert dead == Failure("claim", "lookup_p50_ms", missed=Missed.UNMEASURED)
    table["link"] = {}
    slow = failure_of(table, seed=1, codec=Codec.OBJECTS)
    assert slow == Failure("claim", "lookup_p50_ms", missed=Missed.ABOVE)
    smallest = Shrinker(lambda table: failure_of(table, seed=1, codec=Codec.OBJECTS), 30).run(table, slow)
    assert [part["kind"] for part in smallest["workload"]] == ["lookup"]
    assert failure_of(smallest, seed=1, codec=Codec.OBJECTS) == slow


def test_each_side_of_a_bound() -> None:
    claims = [Claim(measure=name, at_least=1, at_most=2) for name in ("none", "low", "high", "least", "most", "odd")]
    verdicts = judge(claims, {"low": 0.9, "high": 2.1, "least": 1, "most": 2, "odd": float("nan")})
    assert [verdict.missed for verdict in verdicts] == [
        Missed.UNMEASURED, Missed.BELOW, Missed.ABOVE, None, None, Missed.BELOW,
    ]  # fmt: skip
    assert [verdict.ok for verdict in verdicts] == [False, False, False, True, True, False]


def test_it_stays_within_its_budget() -> None:
    runs: list[dict[str, Any]] = []

    def judge(table: dict[str, Any]) -> Failure | None:
        runs.append(table)
        return None

    assert Shrinker(judge, 5).run(BIG, Failure("claim", "a")) == BIG
    assert len(runs) == 5


def test_set_says_numbers_and_not_what_is_left_out() -> None:
    fewer = {**BIG, "population": {**BIG["population"], "nodes": 8}, "claims": []}
    fewer["workload"] = [{"kind": "lookup", "count": 20}, BIG["workload"][1]]
    assert settings_of(BIG, fewer) == ["population.nodes=8", "workload.0.count=20"]
    assert settings_of(BIG, {**BIG, "timeline": []}) is None
    assert settings_of(BIG, {key: value for key, value in BIG.items() if key != "timeline"}) is None


def test_a_scenario_is_written_as_it_is_read() -> None:
    table = relevant(BIG, Failure("claim", 'b is "b"'))
    assert tomllib.loads(toml_of(table)) == {key: value for key, value in table.items() if key != "name"}
