"""What a scenario file may say: bounds, all mistakes at once, and nothing that lies behind its end."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from simulations import spec
from simulations.scenario import BadScenario
from simulations.schedule import late
from simulations.slips import slips
from simulations.swarm import Swarm
from simulations.workload import spread

LOOKUP: dict[str, Any] = {"kind": "lookup", "count": 4, "from_s": 5.0}


@pytest.mark.parametrize(
    ("table", "path", "what"),
    [
        ({"duration_s": 1e30}, "duration_s", "expected 0.001 to 1e+08, found 1e+30"),
        ({"sample_s": 1e-12}, "sample_s", "expected 0.001 to 1e+08, found 1e-12"),
        ({"link": {"latency_ms": [5, 1]}}, "link.latency_ms", "expected [least, most] from 0 on, found [5, 1]"),
        ({"link": {"latency_ms": [-1, 1]}}, "link.latency_ms", "expected [least, most] from 0 on, found [-1, 1]"),
        ({"timeline": [{"action": "partition", "at_s": 1, "shares": [2]}]}, "timeline[0].shares",
         "expected shares of more than 0 to 1, found 2"),
        ({"timeline": [{"action": "partition", "at_s": 1, "shares": [0.7, 0.7]}]}, "timeline[0].shares",
         "the shares are 1.4 together, more than 1"),
        ({"timeline": [{"action": "partition", "at_s": 1, "shares": []}]}, "timeline[0].shares",
         "expected at least one share"),
        ({"claims": [{"measure": "x", "at_least": 2, "at_most": 1}]}, "claims[0]",
         "nothing is at least 2 and at most 1"),
        ({"workload": [LOOKUP | {"to_s": 5}]}, "workload[0].to_s", "expected more than from_s, 5, found 5"),
        ({"workload": [{"kind": "put-get", "get_from_s": 30}]}, "workload[0].get_from_s",
         "expected more than from_s, 60, found 30"),
        ({"workload": [{"kind": "updates", "to_s": 1}]}, "workload[0].to_s", "expected more than from_s, 60, found 1"),
        ({"workload": [{"kind": "publish", "to_s": 59}]}, "workload[0].to_s",
         "expected more than from_s and settle_s, 60, found 59"),
        ({"adversaries": [{"kind": "flooders", "to_s": 60}]}, "adversaries[0].to_s",
         "expected more than from_s, 60, found 60"),
        ({"without": ["conserve"]}, "without", "'conserve' is no invariant; known: lookups-end"),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_told_with_its_path(table: dict[str, Any], path: str, what: str) -> None:
    with pytest.raises(BadScenario) as caught:
        spec.scenario_of("test", table)
    [(told, why)] = caught.value.problems
    assert told == path
    assert why.startswith(what)


def test_all_mistakes_are_told_together() -> None:
    with pytest.raises(BadScenario) as caught:
        spec.scenario_of("test", {
            "duration": 5, "population": {"nodes": 1, "per_24": 0, "plaice": "lan"},
            "workload": [LOOKUP | {"count": "many", "paths": 9}, {"kind": "lookups"}, LOOKUP | {"from_s": -1}],
        })  # fmt: skip
    assert [path for path, _ in caught.value.problems] == [
        "duration", "population.plaice", "population.nodes", "population.per_24", "workload[0].count",
        "workload[0].paths", "workload[1].kind", "workload[2].from_s",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "paths", "said"),
    [
        ({"timeline": [{"action": "heal", "at_s": 100}, {"action": "heal", "at_s": 99}]}, ["timeline[0].at_s"],
         ["heal at 100 s"]),
        ({"workload": [LOOKUP, LOOKUP | {"from_s": 100}]}, ["workload[1].from_s"], ["workload 2"]),
        ({"workload": [{"kind": "publish", "from_s": 70, "settle_s": 20, "within_s": 10}]}, ["workload[0].from_s"],
         ["workload 1"]),
        ({"workload": [{"kind": "put-get", "get_from_s": 200}]}, ["workload[0].get_from_s"], ["gets of workload 1"]),
        ({"churn": {"model": "exponential", "from_s": 100}}, ["churn.from_s"], ["churn"]),
        ({"adversaries": [{"kind": "forgers", "from_s": 300}]}, ["adversaries[0].from_s"], ["adversary 1"]),
        ({"workload": [LOOKUP | {"to_s": 101}]}, [], ["workload 1 after 100 s"]),
        ({"population": {"arrive_s": 101}}, [], ["arrivals after 100 s"]),
        ({"timeline": [{"action": "kill", "at_s": 60, "restart_after_s": 41}]}, [], ["restart at 101 s"]),
        ({"timeline": [{"action": "kill", "at_s": 60, "restart_after_s": 40}]}, [], []),
        ({"workload": [{"kind": "census"}, LOOKUP | {"to_s": 100}]}, [], []),
    ],
)  # fmt: skip
def test_what_lies_behind_the_end_is_named(table: dict[str, Any], paths: list[str], said: list[str]) -> None:
    scenario = spec.scenario_of("test", {"duration_s": 100, **table})
    assert [part.what for part in late(scenario, 100)] == said
    told = []
    try:
        spec.refuse_late(scenario)
    except BadScenario as error:
        told = [path for path, _ in error.problems]
    assert told == paths


@pytest.mark.parametrize("name", spec.shipped())
def test_all_of_a_shipped_scenario_happens_and_is_measured(name: str) -> None:
    scenario = spec.load(name)
    assert list(slips(scenario)) == []
    assert late(scenario, scenario.duration_s) == []


def test_a_workload_without_time_does_nothing() -> None:
    """It used to run backwards: from its begin to an end before it."""
    scenario = spec.scenario_of("test", {"duration_s": 3, "population": {"nodes": 2, "arrive_s": 1}})
    swarm, asked = Swarm(scenario), list[int]()
    for to_s in (2.0, 1.0, 0.0):
        spread(swarm, 5, 2.0, to_s, asked.append)
    swarm.run()
    assert asked == []


@pytest.mark.parametrize(
    ("adversaries", "path", "what"),
    [
        ([{"kind": "slow-peers", "fraction": 1}], "adversaries[0].fraction",
         "1 of 20 nodes are 20, but only 16 can be chosen: not the 3 through which others join, nor the last one, the "
         "victim"),
        ([{"kind": "slow-peers", "fraction": 0.6}, {"kind": "forgers", "fraction": 0.6}], "adversaries[1].fraction",
         "0.6 of 20 nodes are 12, but only 4 can be chosen: not the 3 through which others join, nor the last one, the "
         "victim, nor the 12 that are adversaries already"),
        ([{"kind": "forgers", "count": 17}], "adversaries[0].count", "17 nodes, but only 16 can be chosen"),
    ],
)  # fmt: skip
def test_more_adversaries_than_can_be_are_refused(adversaries: list[Any], path: str, what: str) -> None:
    scenario = spec.scenario_of("test", {"population": {"nodes": 20}, "adversaries": adversaries})
    with pytest.raises(BadScenario) as caught:
        Swarm(scenario)
    [(told, why)] = caught.value.problems
    assert told == path
    assert why.startswith(what)


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="this is a folder"):
        spec.read(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import no_such_module_of_anybody", "ModuleNotFoundError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("Mine = 1", "it is no attrs class"),
        ("import attrs\n@attrs.frozen\nclass Mine: pass", r"it has no begin\(swarm\)"),
    ],
)
def test_a_part_of_ones_own_that_cannot_be_had_is_no_bug_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: str
) -> None:
    module = f"part_{abs(hash(text)):x}"
    (tmp_path / f"{module}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    with pytest.raises(BadScenario, match=what):
        spec.scenario_of("test", {"churn": {"model": f"{module}:Mine"}})


@pytest.mark.parametrize(
    ("measure", "said"),
    [
        ("lookup_sucess", "claims[0].measure: nothing known is called lookup_sucess; did you mean lookup_success?"),
        ("get_success", "claims[0].measure: get_success is measured by 'put-get', which is not here"),
        ("table_mean_last", None),
        ("greetings", None),
    ],
)
def test_a_measure_that_looks_like_a_slip_is_told_before_the_run(measure: str, said: str | None) -> None:
    claims = [{"measure": measure, "at_least": 0}]
    scenario = spec.scenario_of("test", {"workload": [LOOKUP], "claims": claims})
    assert list(slips(scenario)) == ([] if said is None else [said])


def test_commands_for_an_application_that_nobody_runs_are_told_before_the_run() -> None:
    workload = [{"kind": "app-command", "app": "chat", "command": "say"}]
    alone = spec.scenario_of("test", {"workload": workload})
    assert list(slips(alone)) == ["workload[0].app: no node runs an application 'chat' (population.apps: none)"]
    assert list(slips(spec.scenario_of("test", {"workload": workload, "population": {"apps": ["chat"]}}))) == []
