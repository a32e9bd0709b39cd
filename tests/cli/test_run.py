"""Real nodes as processes, through the command line alone: how they start, serve and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.cli.conftest import Run

_LINE = [sys.executable, "-m", "p2pnode.cli.main"]
_QUIET = ("--listen", "127.0.0.1:0", "--no-lan", "--network", "test-run", "--puzzle-bits", "0")


@attrs.frozen(slots=True)
class Process:
    popen: subprocess.Popen[str]
    #: What it said up to "ready".
    greeting: str

    def ended(self) -> tuple[int, str]:
        """Exit code and what else it said."""
        _, err = self.popen.communicate(timeout=60)
        return self.popen.returncode, err


@contextmanager
def running(home: Path, *more: str) -> Iterator[Process]:
    popen = subprocess.Popen([*_LINE, "--home", str(home), "run", *_QUIET, *more], stderr=subprocess.PIPE, text=True)
    try:
        assert popen.stderr is not None
        greeting = ""
        while "ready" not in greeting:
            line = popen.stderr.readline()
            assert line, f"it ended without being ready: {greeting}"
            greeting += line
        yield Process(popen, greeting)
    finally:
        popen.kill()
        popen.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_cleanly(home: Path, number: signal.Signals) -> None:
    with running(home) as process:
        process.popen.send_signal(number)
        code, said = process.ended()
    assert code == 0, said
    assert said.endswith("leaving\n")
    assert not (home / "control.sock").exists()


def test_stop_returns_when_the_process_is_gone(home: Path, run: Run) -> None:
    with running(home) as process:
        assert run("stop").code == 0
        assert process.popen.wait(0.0) == 0  # gone already: no waiting


def test_second_process_on_one_home(home: Path) -> None:
    with running(home) as process:
        second = subprocess.run(
            [*_LINE, "--home", str(home), "run", *_QUIET], capture_output=True, text=True, timeout=60
        )
        assert second.returncode == 1
        assert second.stderr.startswith("error: a node is already running on this home")
        assert str(process.popen.pid) in second.stderr
        assert "Traceback" not in second.stderr
        assert (home / "control.sock").exists()


def test_home_of_a_killed_node_is_taken_over(home: Path, run: Run) -> None:
    with running(home) as process:
        first = run("id", "show", "--json").json
        process.popen.kill()
        process.popen.wait()
    assert (home / "control.sock").exists()
    assert run("status").code == 3
    with running(home):
        assert run("id", "show", "--json").json["id"] == first["id"]


def test_two_nodes_by_ticket(home: Path, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other"
    with running(home):
        status = run("status", "--json").json
        with running(other, "--join", status["ticket"]):
            pinged = run("peers", "ping", status["listen"][0].split()[1], "--count", "1", "--json")
            put = run("dht", "put", "hello", "--name", "greeting", "--json").json
            line = [*_LINE, "--home", str(other), "dht", "get", f"{status['id'][:9]}/greeting", "--raw"]
            got = subprocess.run(line, capture_output=True, timeout=60, check=True)
            assert got.stdout == b"hello"
            assert put["kind"] == "signed"
            assert pinged.code != 3


def test_port_that_is_taken(home: Path, tmp_path: Path, run: Run) -> None:
    with running(home):
        address = run("status", "--json").json["listen"][0].split()[1]
        line = [*_LINE, "--home", str(tmp_path / "other"), "run", "--no-lan", "--puzzle-bits", "0", "--listen", address]
        second = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert second.stderr.startswith("error: ")
    assert address in second.stderr


def test_ticket_of_another_network(home: Path, tmp_path: Path, run: Run) -> None:
    with running(home):
        ticket = run("ticket").out.strip()
    line = [*_LINE, "--home", str(tmp_path / "other"), "run", "--listen", "127.0.0.1:0", "--no-lan", "--join", ticket]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "test-run" in done.stderr


def demo(home: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_LINE, "--home", str(home), "demo", *more], capture_output=True, text=True, timeout=120)


def test_demo_once(home: Path) -> None:
    ran = demo(home, "--once", "--peers", "4")
    last = json.loads(ran.stdout.splitlines()[-1])
    assert ran.returncode == 0, ran.stdout
    assert "\nok: " in ran.stdout
    assert last["v"] == 1
    assert last["ok"] is True
    assert [step["name"] for step in last["steps"]] == [
        "start", "discovery", "put_get", "overwrite_refused", "kill", "restart",
    ]  # fmt: skip
    assert list((home / "demo").iterdir()) == []


def test_demo_that_is_interrupted_leaves_no_process(home: Path) -> None:
    line = [*_LINE, "--home", str(home), "demo"]
    popen = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert popen.stdout is not None
    for text in popen.stdout:
        if "peer 1" in text:
            break
    pids = [int(path.read_text()) for path in home.glob("demo/*/*/node.lock")]
    assert len(pids) == 5
    popen.send_signal(signal.SIGINT)
    popen.communicate(timeout=60)
    assert popen.returncode == 130
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_demo_keeps_running_until_it_is_stopped(home: Path, run: Run) -> None:
    ran = demo(home, "--peers", "3", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["ok"] is True
    try:
        assert len(list(home.glob("demo/*/*/control.sock"))) == 3
    finally:
        stopped = run("demo", "--stop")
    assert stopped.err == "3 peers ended\n"
    assert not (home / "demo").exists()
