"""The last command of docs/tutorial.md with all of its nodes."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.cli.test_tutorial import environ
from tests.support.tutorial import Command, File, steps


def test_a_thousand_nodes_on_a_bad_day(tmp_path: Path) -> None:
    for step in steps():
        if isinstance(step, File):
            (tmp_path / step.name).write_text(step.text)
    (line,) = [step.line for step in steps() if isinstance(step, Command) and "--nodes 1000" in step.line]
    ran = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environ(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
