"""`p2pnode swarm replay` and `shrink`: from a run that failed to one node at one moment, and to a smaller run."""

from __future__ import annotations

import tomllib
from pathlib import Path
from unittest import mock

import pytest

from tests.cli.conftest import Run

SMALL = """
duration_s = 20
[population]
nodes = 12
arrive_s = 3
[[workload]]
kind = "put-get"
values = 6
gets = 8
from_s = 6
[[workload]]
kind = "lookup"
count = 6
from_s = 6
[[timeline]]
action = "kill"
at_s = 12
share = 0.2
"""
#: No run delivers that many.
IMPOSSIBLE = """
[[claims]]
name = "much"
measure = "datagrams"
at_least = 1e9
[[claims]]
measure = "put_success"
at_least = 0.0
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_replay_to_the_end_has_the_trace_of_the_run(run: Run, scenario: Path) -> None:
    done = run("swarm", "run", str(scenario), "--json").json
    again = run("swarm", "replay", str(scenario), "--json").json
    assert again["trace_hash"] == done["trace_hash"]
    assert again["events"] == done["events"]


def test_replay_to_an_event_is_at_that_event_and_shows_the_node(run: Run, scenario: Path) -> None:
    events = run("swarm", "replay", str(scenario), "--to-time", "11", "--json").json["events"] - 100
    line = ("swarm", "replay", str(scenario), "--to-event", str(events), "--node", "2", "--json")
    state = run(*line).json
    assert state["events"] == events
    node = state["node"]
    assert node["index"] == 2
    assert sum(len(bucket["contacts"]) for bucket in node["table"]) == 11
    assert any(task.startswith("peer: Peer._main (peer.py:") for task in node["tasks"])
    assert run(*line).json == state


def test_replay_to_a_time_for_people(run: Run, scenario: Path) -> None:
    text = run("swarm", "replay", str(scenario), "--to-time", "11", "--node", "4").out
    assert "11.000000 virtual s" in text
    assert "node 4, honest, runs" in text
    assert "bucket 0: " in text
    assert "tasks\n" in text


def test_nodes_that_were_killed_are_switched_off(run: Run, scenario: Path) -> None:
    scenario.write_text(SMALL.replace("share = 0.2", "share = 1.0"))
    node = run("swarm", "replay", str(scenario), "--to-time", "13", "--node", "4", "--json").json["node"]
    assert node["runs"] is False
    assert "tasks" not in node


@pytest.mark.parametrize("where", [("--to-event", "99999999"), ("--to-time", "9999")])
def test_replay_beyond_the_end_says_so(where: tuple[str, str], run: Run, scenario: Path) -> None:
    ran = run("swarm", "replay", str(scenario), *where, "--node", "0")
    assert ran.code == 4
    assert "the run ended before that" in ran.err
    events = run("swarm", "run", str(scenario), "--json").json["events"]
    assert f"{events:,} events\nended  before what was asked for: this is its end\n" in ran.out
    told = run("swarm", "replay", str(scenario), *where, "--json")
    assert told.code == 4
    assert told.json["events"] == events
    assert told.json["error"]["code"] == "not_found"
    assert "ended  " not in run("swarm", "replay", str(scenario)).out


def test_a_run_that_breaks_off_says_how_to_see_it_again(run: Run, scenario: Path) -> None:
    line = ("swarm", "run", str(scenario), "--seed", "4", "--set", "workload.0.gets=7")
    with mock.patch("overlay.rpc.endpoint.Endpoint._on_ping", side_effect=ZeroDivisionError):
        ran = run(*line)
    assert ran.code != 0
    assert f"p2pnode {' '.join(line)}" in ran.err


def test_shrink_refuses_a_run_that_does_not_fail(run: Run, scenario: Path) -> None:
    ran = run("swarm", "shrink", str(scenario))
    assert ran.code == 1
    assert "does not fail" in ran.err


def test_shrink_writes_a_smaller_scenario_that_fails_in_the_same_way(run: Run, scenario: Path) -> None:
    scenario.write_text(SMALL + IMPOSSIBLE)
    told = run("swarm", "shrink", str(scenario), "--budget", "25", "--json").json
    assert (told["kind"], told["name"]) == ("claim", "much")
    assert told["command"] == "p2pnode swarm run small-shrunk.toml --seed 1"
    smaller = tomllib.loads(Path("small-shrunk.toml").read_text())
    assert smaller["population"]["nodes"] < 12
    assert smaller["duration_s"] < 20
    assert smaller["workload"] == smaller["timeline"] == []
    assert [claim["name"] for claim in smaller["claims"]] == ["much"]
    again = run("swarm", "run", "small-shrunk.toml", "--seed", "1", "--json")
    assert again.code == 1
    assert [claim["name"] for claim in again.json["claims"] if not claim["ok"]] == ["much"]


def test_the_command_of_shrink_reads_the_file_that_shrink_wrote(run: Run, scenario: Path) -> None:
    """Whatever its keys are called, and whatever stands in its texts."""
    said = '[[workload]]\nkind = "app-command"\napp = "none"\ncommand = "go"\nfrom_s = 6\n'
    said += 'args = { "my key" = 1, d = { "k.k" = 2 } }\n'
    scenario.write_text('description = "\\u001b[31m \\u007f"\n' + SMALL + said + IMPOSSIBLE)
    # Too small a budget for leaving anything out.
    told = run("swarm", "shrink", str(scenario), "--budget", "1", "--output", "out.toml", "--json").json
    assert told["command"] == "p2pnode swarm run out.toml --seed 1"
    before, after = (tomllib.loads(Path(name).read_text()) for name in (scenario, "out.toml"))
    assert after["workload"][2]["args"] == {"my key": 1, "d": {"k.k": 2}}
    assert after["description"] == before["description"]
    again = run("swarm", "run", "out.toml", "--seed", "1", "--json")
    assert [claim["name"] for claim in again.json["claims"] if not claim["ok"]] == ["much"]


def test_shrink_says_it_with_set_where_that_can_say_it(run: Run, scenario: Path) -> None:
    scenario.write_text(SMALL + IMPOSSIBLE)
    told = run("swarm", "shrink", str(scenario), "--seed", "3", "--budget", "2", "--json").json
    assert told["command"].startswith(f"p2pnode swarm run {scenario} --seed 3 --set population.nodes=")
    assert not Path("small-shrunk.toml").exists()
