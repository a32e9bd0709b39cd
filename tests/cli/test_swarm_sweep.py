"""`p2pnode swarm sweep` and `model` as people see them: the table, going on, Ctrl-C, what failed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from simulations.sweep import over_dask
from simulations.sweep.over_dask import place_of
from tests.cli.conftest import Run

_SCENARIO = """
duration_s = 12
[population]
nodes = 8
arrive_s = 2
[[adversaries]]
kind = "colluding-routers"
fraction = 0.1
[[workload]]
kind = "lookup"
count = 10
from_s = 8
[[claims]]
measure = "lookup_success"
at_least = 2
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    file = tmp_path / "tiny.toml"
    file.write_text(_SCENARIO)
    return str(file)


def test_a_sweep_runs_shows_a_table_and_is_not_run_again(run: Run, scenario: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    line = [
        "swarm",
        "sweep",
        scenario,
        "--vary",
        "workload.paths=1,4",
        "--seeds",
        "1..2",
        "--jobs",
        "2",
        "-o",
        str(folder),
    ]
    first = run(*line)
    assert first.code == 0
    assert first.out.splitlines()[0] == ("lookup_success: tiny, 8 nodes, 2 seeds; in brackets: 95 % (Wilson)")
    assert first.out.splitlines()[2].count("100.0 [83.9 100.0]") == 2
    assert "claims did not hold in 4 of 4 cells" in first.err
    assert f"p2pnode swarm run {scenario} --seed 1" in first.err
    assert {file.name for file in folder.iterdir()} == {"results.jsonl", "results.csv", "results.parquet", "plot.svg"}
    again = run(*line)
    assert "4 of 4 cells are in" in again.err
    assert again.out == first.out
    assert len((folder / "results.jsonl").read_text().splitlines()) == 4
    # A cell is what `swarm run` gives, whatever ran it and where.
    row = json.loads((folder / "results.jsonl").read_text().splitlines()[0])
    alone = run(*row["command"].split()[1:], "--json")
    assert alone.json["trace_hash"] == row["trace_hash"]


def test_a_cell_that_crashes_is_named_with_its_command(run: Run, scenario: str, tmp_path: Path) -> None:
    with Path(scenario).open("a") as file:
        file.write('[[workload]]\nkind = "tests.support.faulty:Crash"\n')
    line = ["swarm", "sweep", scenario, "--vary", "workload.1.now=false,true", "-o", str(tmp_path / "out")]
    ran = run(*line)
    assert ran.code == 1
    assert "FAILED  workload.1.now=true seed=1: RuntimeError: planted" in ran.err
    assert f"p2pnode swarm run {scenario} --seed 1 --set workload.1.now=true" in ran.err
    assert "lookup_success" in ran.out  # of the other cell
    again = run(*line)
    assert "1 of 2 cells are in" in again.err  # the other one was tried again
    assert again.code == 1


def test_ctrl_c_keeps_what_ran_and_says_how_to_go_on(scenario: str, tmp_path: Path) -> None:
    words = ["swarm", "sweep", scenario, "--vary", "duration_s=12,1000000", "--jobs", "1", "-o", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pnode.cli.main", *words], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for text in process.stderr:
        if text.startswith("1 of 2"):
            os.kill(process.pid, signal.SIGINT)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; 1 of 2 cells are left. To go on:\n  p2pnode swarm sweep" in err
    assert "lookup_success" in out
    [row] = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
    assert row["settings"] == {"duration_s": "12"}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_cell_outlives_a_sweep_that_is_killed(scenario: str, tmp_path: Path, how: signal.Signals) -> None:
    words = ["swarm", "sweep", scenario, "--vary", "duration_s=12,1000000", "--jobs", "1", "-o", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "p2pnode.cli.main", *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    assert any(text.startswith("1 of 2") for text in process.stderr)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(how)
    process.wait(timeout=60)
    process.stderr.close()
    assert workers
    assert not psutil.wait_procs(workers, timeout=60)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--vary", "workload.path=1"], "did you mean 'paths'"),
        (["--vary", "workload.paths"], "expected KEY=VALUE"),
        (["--vary", "workload.paths=1", "--seeds", "x"], "expected 1..5"),
    ],
)
def test_what_cannot_run_is_said_at_once(run: Run, scenario: str, tmp_path: Path, words: list[str], said: str) -> None:
    ran = run("swarm", "sweep", scenario, *words, "-o", str(tmp_path / "out"))
    assert ran.code == 2
    assert said in ran.err


@pytest.mark.parametrize("address", ["foo", "", "tcp://", "h:99999", "ftp://a:1", "tcp://a b:1", "tcp://h:0", "h:1/x"])
def test_what_is_no_address_of_a_scheduler_is_refused(run: Run, scenario: str, tmp_path: Path, address: str) -> None:
    ran = run(
        "swarm", "sweep", scenario, "--vary", "workload.paths=1", "-o", str(tmp_path / "out"), "--scheduler", address
    )
    assert ran.code == 2
    assert "no address of a scheduler" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["tcp://host:8786", "host:8786", "tls://[::1]:8786", "ws://10.0.0.1:1"])
def test_an_address_of_a_scheduler_is_one(address: str) -> None:
    assert place_of(address) is not None


def test_a_local_cluster_and_a_scheduler_exclude_each_other(run: Run, scenario: str) -> None:
    ran = run("swarm", "sweep", scenario, "--vary", "workload.paths=1", "--dask", "--scheduler", "tcp://h:8786")
    assert ran.code == 2
    assert "--dask and --scheduler exclude each other" in ran.err


def test_a_scheduler_that_is_not_there_is_said_plainly(run: Run, scenario: str, tmp_path: Path) -> None:
    with socket.socket() as bound:  # which does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{bound.getsockname()[1]}"
        line = ("swarm", "sweep", scenario, "--vary", "workload.paths=1", "-o", str(tmp_path / "out"))
        ran = run(*line, "--scheduler", address)
    assert ran.code == 1
    said, error, reason, *_ = ran.err.splitlines()
    assert said == f"asking the scheduler at {address}, which has 10 s to answer"
    assert error == f"error: no dask scheduler answers at {address}"
    assert reason == "  reason  Connection refused"


def test_a_listener_that_says_nothing_is_given_up(
    run: Run, scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_dask, "PATIENCE_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = ("swarm", "sweep", scenario, "--vary", "workload.paths=1", "-o", str(tmp_path / "out"))
        ran = run(*line, "--scheduler", f"127.0.0.1:{silent.getsockname()[1]}")
    assert ran.code == 1
    assert "reason  nothing was said there in 1 s" in ran.err


@pytest.mark.slow  # numba compiles
def test_the_model_says_that_it_is_one(run: Run) -> None:
    ran = run("swarm", "model", "--nodes", "200", "--adversaries", "0,0.3", "--paths", "1,4", "--lookups", "50")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 5
    assert "A model, not the swarm" in ran.err
    cell, *_ = run("swarm", "model", "--nodes", "200", "--paths", "1", "--lookups", "50", "--json").lines
    assert cell["model"] is True
    assert cell["success"] == 1.0


def test_the_model_without_numba_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("simulations.model")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    ran = run("swarm", "model", "--nodes", "200")
    assert ran.code == 1
    assert "pip install 'p2pnode[model]'" in ran.err


def test_the_model_refuses_what_makes_no_sense(run: Run) -> None:
    assert run("swarm", "model", "--paths", "x").code == 2
    ran = run("swarm", "model", "--nodes", "10", "--paths", "99")
    assert ran.code == 2
    assert "paths: expected 1 to 8, found 99" in ran.err
