"""Churn: with what disk nodes return, and what their authors sign afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from simulations.population import Codec
from simulations.spec import scenario_of
from simulations.swarm import Swarm


def swarm_of(disk: str, **churn: Any) -> Swarm:
    table = {
        "duration_s": 80,
        "population": {"nodes": 12, "arrive_s": 4},
        "link": {"profile": "lan"},
        "churn": {"model": "exponential", "session_s": 25, "offline_s": 5, "from_s": 20, "disk": disk, **churn},
        "workload": [{"kind": "updates", "authors": 5, "puts": 30, "reads": 30, "from_s": 20}],
    }
    return Swarm(scenario_of("test", table), seed=3, codec=Codec.OBJECTS)


@pytest.mark.parametrize("disk", ["kept", "lost", "backup"])
def test_an_author_signs_one_value_for_one_seq_whatever_its_disk_forgot(disk: str) -> None:
    swarm = swarm_of(disk, backup_s=10, power_loss=True)
    measures = swarm.run().measures
    assert measures["returns"] >= 10
    assert measures["two_values_one_seq"] == 0
    assert measures["fresh_success"] >= 0.95
    assert (measures.get("restored", 0) >= 5) is (disk == "backup")


@pytest.mark.parametrize("disk", ["kept", "lost"])
def test_who_returns_finds_its_disk_or_an_empty_one(disk: str) -> None:
    table = {
        "duration_s": 40,
        "population": {"nodes": 8, "arrive_s": 2},
        "link": {"profile": "lan"},
        "churn": {"model": "pareto", "session_s": 15, "offline_s": 2, "from_s": 5, "disk": disk},
    }
    swarm = Swarm(scenario_of("test", table), seed=3, codec=Codec.OBJECTS)
    found: list[int] = []
    start = swarm.start

    def look(node: int) -> None:
        if swarm.engine.life(node):
            found.append(len(swarm.engine.storage(node)))
        start(node)

    swarm.start = look  # type: ignore[method-assign]
    swarm.run()
    assert len(found) >= 5
    assert all(count == 0 if disk == "lost" else count > 0 for count in found)


def test_who_knows_nobody_after_a_minute_has_not_joined_and_who_died_before_is_not_counted() -> None:
    table = {"duration_s": 200, "population": {"nodes": 8, "arrive_s": 2}, "link": {"profile": "lan"}}
    swarm = Swarm(scenario_of("test", table), seed=3, codec=Codec.OBJECTS)

    def again(node: int, *, alone: bool) -> None:
        swarm.kill(node)
        if alone:
            swarm.network.unplug(node)
        swarm.start(node)

    swarm.at(50, lambda: again(5, alone=True))  # for ever
    swarm.at(50, lambda: again(6, alone=True))  # switched off before its minute is over
    swarm.at(90, lambda: swarm.kill(6))
    swarm.at(50, lambda: again(7, alone=False))
    swarm.at(180, lambda: again(4, alone=True))  # less than a minute is left
    measures = swarm.run().measures
    assert (measures["join_count"], measures["join_success"]) == (8 + 2, 0.9)
    assert measures["join_p99_ms"] < 10_000


def test_a_mass_exit_says_goodbye() -> None:
    table = {
        "duration_s": 60,
        "population": {"nodes": 30, "arrive_s": 5},
        "link": {"profile": "lan"},
        "timeline": [{"action": "leave", "at_s": 30, "share": 0.5}],
    }
    swarm = Swarm(scenario_of("test", table), seed=1, codec=Codec.OBJECTS)
    swarm.run()
    alive = swarm.honest()
    assert len(alive) == 30 - round(27 * 0.5)
    gone = {swarm.population.id(node) for node in range(30) if node not in alive}
    # Nobody was silent for long enough to be dropped. Who went away at the same moment may be asked once more.
    held = [
        entry.contact.id
        for node in alive
        for entry in swarm.engine.peer(node).table.entries()  # type: ignore[attr-defined]
    ]
    assert sum(one in gone for one in held) <= 3
    assert len(held) >= len(alive) * (len(alive) - 1)


def test_a_join_takes_two_lookups_and_not_six() -> None:
    """Six one after the other took a median of 6.7 s between these regions."""
    table = {"duration_s": 40, "population": {"nodes": 30, "arrive_s": 20}, "link": {"profile": "wan"}}
    measures = Swarm(scenario_of("test", table), seed=1).run().measures
    assert measures["join_success"] == 1.0
    assert measures["join_p50_ms"] < 3_500
