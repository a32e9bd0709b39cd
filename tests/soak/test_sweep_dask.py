"""Sweeps over dask: the same as over processes; and a scheduler that dies. Its workers take seconds to minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCENARIO = """
duration_s = 12
[population]
nodes = 8
arrive_s = 2
[[workload]]
kind = "lookup"
count = 10
from_s = 8
"""


def _sweep(scenario: Path, *more: str) -> list[dict[str, Any]]:
    words = ["swarm", "sweep", str(scenario), "--vary", "workload.paths=1,4", "--json", "--jobs", "1", *more]
    done = subprocess.run(
        [sys.executable, "-m", "p2pnode.cli.main", *words], capture_output=True, text=True, check=True, timeout=600
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_dask_gives_the_same(tmp_path: Path) -> None:
    scenario = tmp_path / "tiny.toml"
    scenario.write_text(_SCENARIO)
    *here, table = _sweep(scenario, "-o", str(tmp_path / "here"))
    *dask, same = _sweep(scenario, "--dask", "-o", str(tmp_path / "dask"))
    assert len(here) == 2
    assert sorted(row["trace_hash"] for row in dask) == sorted(row["trace_hash"] for row in here)
    assert same == table


@contextmanager
def _dask(program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`dask scheduler` or `dask worker`."""
    code = f"from distributed.cli.dask_{program} import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_what_ran_before_the_scheduler_died_is_kept(tmp_path: Path) -> None:
    scenario = tmp_path / "tiny.toml"
    scenario.write_text(_SCENARIO)
    with _dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard") as scheduler:
        assert scheduler.stderr is not None
        address = next(line for line in scheduler.stderr if "Scheduler at:" in line).split()[-1]
        words = ["swarm", "sweep", str(scenario), "--vary", "duration_s=12,1000000", "-o", str(tmp_path / "out")]
        sweep = subprocess.Popen(
            [sys.executable, "-m", "p2pnode.cli.main", *words, "--scheduler", address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with sweep:
            assert sweep.stderr is not None
            assert sweep.stderr.readline().startswith("asking the scheduler")
            assert sweep.stderr.readline().startswith("it has no workers yet")
            with _dask("worker", address, "--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path)):
                assert sweep.stderr.readline().startswith("1 of 2  duration_s=12 seed=1")
                scheduler.kill()
                _, err = sweep.communicate(timeout=100)
    assert sweep.returncode == 1
    assert err.splitlines()[:2] == [
        f"error: the scheduler at {address} is gone",
        f"  kept   1 of 2 cells are in {tmp_path / 'out'}",
    ]
    assert err.splitlines()[2].startswith("  go on  p2pnode swarm sweep ")
    assert len(err.splitlines()) == 3
