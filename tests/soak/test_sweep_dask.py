"""A sweep over dask's local cluster gives what processes give. Its workers take seconds to minutes to start."""

from __future__ import annotations

import json
import subprocess
import sys
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
