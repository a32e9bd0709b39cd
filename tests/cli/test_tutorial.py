"""docs/tutorial.md, run: what it says to write is written, what it says to type is typed.

Only the number of nodes of a swarm is made smaller; tests/soak/test_tutorial_thousand.py runs the thousand.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import wait_until
from tests.support.tutorial import ROOT, Command, File, steps

#: Nodes of the page -> nodes here.
SMALLER = {"1000": "24", "30": "24"}
_PATIENCE_S = 120


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


class Terminal:
    """A command that stays in the foreground; made once it serves or listens."""

    def __init__(self, line: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            ["bash", "-c", line], cwd=folder, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._ready = threading.Event()
        self._said: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._ready.wait(_PATIENCE_S)
        assert self.process.poll() is None, (line, self._said)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._said.append(line)
            if line.startswith(("ready", "listening to")):
                self._ready.set()
        self._ready.set()

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        self._reader.join()


def environ() -> dict[str, str]:
    """`p2pnode` is that of this tree, first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("P2PNODE_")}
    return kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def typed(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environ(), capture_output=True, text=True, check=False,
        timeout=_PATIENCE_S,
    )  # fmt: skip


def smaller(line: str) -> str:
    return re.sub(r"--nodes (\d+)", lambda found: f"--nodes {SMALLER[found[1]]}", line)


def test_the_tutorial_does_what_it_says(tmp_path: Path, terminals: list[Terminal]) -> None:
    for step in steps():
        match step:
            case File(name, text):
                (tmp_path / name).write_text(text)
            case Command(line, _, stays=True):
                terminals.append(Terminal(line, tmp_path))
            case Command(line, shown, exit=code):
                if "topic list" in line:  # as a person looks again until the two have met
                    wait_until(
                        lambda line=line, shown=shown: typed(line, tmp_path).stdout == shown,  # type: ignore[misc]
                        within_s=_PATIENCE_S, what="Ada in the mesh of Bob",
                    )  # fmt: skip
                ran = typed(smaller(line), tmp_path)
                assert ran.returncode == code, (line, ran.stdout, ran.stderr)
                if shown and "swarm" not in line:
                    assert ran.stdout + ran.stderr == shown
    ada, bob, listener, *keepers = terminals
    heard, _ = listener.process.communicate(timeout=_PATIENCE_S)
    assert re.fullmatch(r"chat\.said  author=([a-z0-9]{4}-){13}[a-z0-9]{4} text=the kettle is on\n", heard)
    assert [node.process.wait(_PATIENCE_S) for node in (ada, bob, *keepers)] == [0] * 4
    assert "<svg" in (tmp_path / "storm.html").read_text()


def test_the_chat_of_the_tutorial_is_the_one_that_is_shipped() -> None:
    (page,) = [step.text for step in steps() if isinstance(step, File) and step.name == "mychat.py"]
    shipped = ast.parse((ROOT / "apps" / "chat" / "core.py").read_text())
    # Beside its docstring and the import that this repository wants in every file.
    assert [ast.dump(node) for node in shipped.body[2:]] == [ast.dump(node) for node in ast.parse(page).body]


def test_the_chat_has_twenty_lines() -> None:
    (page,) = [step.text for step in steps() if isinstance(step, File) and step.name == "mychat.py"]
    assert len([line for line in page.splitlines() if line.strip()]) <= 20
