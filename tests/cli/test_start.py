"""A command starts at once: 200 ms, and nothing heavy is imported for a question to the node."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_node import FakeNode

HEAVY = ("trio", "cryptography", "nacl", "rich", "starlette", "hypercorn", "overlay", "zeroconf", "asyncio")

_SCRIPT = f"""
import sys
from p2pnode.cli.main import run_line
code = run_line(sys.argv[1:])
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("line", [("status",), ("status", "--json"), ("ticket",), ("peers",), ("--help",)])
def test_nothing_heavy_is_imported(node: FakeNode, home: Path, line: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, "--home", str(home), *line],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout
    assert done.stderr == "[]\n"


def test_start_costs_little_cpu(node: FakeNode, home: Path) -> None:
    """CPU of the process, which a busy machine changes less than its time: 1.5 x the 200 ms of the goal."""

    def cost() -> float:
        line = [sys.executable, "-m", "p2pnode.cli.main", "--home", str(home), "status"]
        pid = os.posix_spawn(
            sys.executable, line, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
        )
        _, status, usage = os.wait4(pid, 0)
        assert status == 0
        return usage.ru_utime + usage.ru_stime

    assert min(cost() for _ in range(5)) <= 0.3
