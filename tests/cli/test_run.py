"""Real nodes as processes, through the command line alone: how they start, serve and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock

from overlay.events import PeerSeen
from p2pnode.api import Client, connect
from p2pnode.cli.commands.run import _obey, _tell_of_the_first
from p2pnode.config import Config
from tests.cli.conftest import Run
from tests.support.fake_node import FakeNode
from tests.support.schema import conforms

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


async def test_second_signal_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[int] = []
    monkeypatch.setattr(os, "_exit", ends.append)
    send, signals = trio.open_memory_channel[int](2)
    node = FakeNode()
    with send:
        send.send_nowait(signal.SIGINT)
        send.send_nowait(signal.SIGINT)
    await _obey(signals, cast("Any", [node]), trio.CancelScope())
    assert node.stopped.is_set()
    assert ends == [130]


@pytest.mark.parametrize(("join", "told"), [((), False), (("192.0.2.1:4433",), True)])
async def test_silence_is_told_once_where_there_is_somebody_to_join(
    join: tuple[str, ...], told: bool, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    node = FakeNode()
    served = SimpleNamespace(config=Config(join=join), subscribe=partial(node.subscribe, kept=9))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell_of_the_first, cast("Any", served), trio.current_time())
        await trio.sleep(60)
        assert capsys.readouterr().err.count("another --network-key, --network") == told
        node.emit(PeerSeen(bytes(32), "192.0.2.1:4433", moved=False))
    assert "found " in capsys.readouterr().err


async def test_a_peer_that_answers_in_time_leaves_nothing_to_tell(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    node = FakeNode()
    served = SimpleNamespace(config=Config(join=("192.0.2.1:4433",)), subscribe=partial(node.subscribe, kept=9))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_tell_of_the_first, cast("Any", served), trio.current_time())
        await trio.sleep(1)
        node.emit(PeerSeen(bytes(32), "192.0.2.1:4433", moved=False))
    assert trio.current_time() < 60
    assert "no answer" not in capsys.readouterr().err


def test_a_refused_home_is_not_warned_of_first(home: Path, run: Run) -> None:
    assert run("id", "new", "--puzzle-bits", "0").code == 0
    with running(home):
        pass
    line = [*_LINE, "--home", str(home), "run", *_QUIET[:-1], "32"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: this home belongs to network 'test-run'")
    assert "what differs" in done.stderr
    assert max(len(text) for text in done.stderr.replace(str(home), "HOME").splitlines()) <= 80


async def test_signal_before_the_node_is_open_cancels_the_start() -> None:
    send, signals = trio.open_memory_channel[int](1)
    with send:
        send.send_nowait(signal.SIGTERM)
    starting = trio.CancelScope()
    await _obey(signals, [], starting)
    assert starting.cancel_called


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
            # --join works in the background; this returns when it is done.
            address = status["listen"][0].split()[1]
            joined = connect(other).call("POST", "/v1/peers/join", {"addresses": [{"address": address}]})
            assert joined["joined"] == 1
            run("dht", "put", "hello", "--name", "greeting")
            line = [*_LINE, "--home", str(other), "dht", "get", f"{status['id'][:9]}/greeting", "--raw"]
            assert subprocess.run(line, capture_output=True, timeout=60, check=True).stdout == b"hello"
            _answers_are_as_described(connect(other), status)


def _answers_are_as_described(node: Client, status: dict[str, Any]) -> None:
    """The test beside the fake node holds its answers against the document; this one the real ones."""
    key = node.call("POST", "/v1/dht/put", {"value": "x"})["key"]
    arguments: dict[str, dict[str, Any]] = {
        "/v1/peers/ping": {"peer": status["id"][:9]},
        "/v1/peers/join": {"addresses": []},
        "/v1/dht/put": {"value": {"base64": "AP8="}, "name": "n", "ttl_s": 60, "profile": "cheap"},
        "/v1/dht/get": {"author": status["id"], "name": "greeting", "paths": 2},
        "/v1/dht/lookup": {"key": status["id"], "paths": 1},
        "/v1/dht/provide": {"key": key},
        "/v1/dht/providers": {"key": key},
        "/v1/dht/forget": {"name": "n"},
        "/v1/topics/publish": {"topic": "news", "body": "x"},
    }
    for path, methods in node.call("GET", "/v1/openapi.json")["paths"].items():
        for method, described in methods.items():
            schema = described["responses"]["200"]["content"].get("application/json", {}).get("schema")
            if not schema or path == "/v1/stop" or "{" in path:  # an application answers as it likes
                continue
            given = arguments.get(path, {})
            answer = node.call("GET", path, query=given) if method == "get" else node.call("POST", path, given)
            conforms(answer, schema)
            assert set(answer) <= set(schema["properties"]), f"{path} says more than is described"


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
    assert max(len(text) for text in done.stderr.replace(str(tmp_path), "").splitlines()) <= 80


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
        "start", "discovery", "put_get", "overwrite_refused", "kill", "restart", "chain", "files",
    ]  # fmt: skip
    assert list((home / "demo").iterdir()) == []


def test_demo_that_is_interrupted_leaves_no_process(home: Path) -> None:
    line = [*_LINE, "--home", str(home), "demo", "--peers", "3"]
    popen = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert popen.stdout is not None
    for text in popen.stdout:
        if "peer 1" in text:
            break
    pids = [int(path.read_text()) for path in home.glob("demo/*/*/node.lock")]
    assert len(pids) == 3
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
