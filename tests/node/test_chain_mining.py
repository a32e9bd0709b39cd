"""The process that mines beside a node: what it finds, how it ends, and that one that was killed is started anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import attrs
import pytest
import trio
import trio.testing

from apps.chain.core.work import POW, Pow, is_worth
from apps.chain.shell import mining
from apps.chain.shell.mining import mine
from p2pnode.api import RunningNode

ROOT = Path(__file__).parents[2]
LINE = [sys.executable, "-m", "apps.chain.shell.worker"]
PREFIX = b"all of a header but its nonce"
DIFFICULTY = 64
#: One core of a machine that is busy; to fail.
PATIENCE_S = 60


def order(number: int, **changes: Any) -> dict[str, Any]:
    """As `mine_work` answers."""
    return {
        "number": number, "prefix": PREFIX, "difficulty": DIFFICULTY, "pow": int(Pow.SCRYPT),
        "threads": 2, "duty": 100,
    } | changes  # fmt: skip


def is_good(nonce: str) -> bool:
    return is_worth(POW[Pow.SCRYPT](PREFIX + bytes.fromhex(nonce)), DIFFICULTY)


@pytest.fixture
def worker() -> Any:
    process = subprocess.Popen(LINE, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def give(process: subprocess.Popen[bytes], told: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(
        json.dumps(told | {"prefix": told["prefix"].hex()} if "prefix" in told else told).encode() + b"\n"
    )
    process.stdin.flush()


def next_find(stdout: IO[bytes] | None) -> dict[str, Any]:
    assert stdout is not None
    while True:
        said: dict[str, Any] = json.loads(stdout.readline())
        if "nonce" in said:
            return said


def test_a_worker_finds_nonces_that_are_good(worker: subprocess.Popen[bytes]) -> None:
    for number, duty in ((4, 100), (7, 30)):
        give(worker, order(number, duty=duty))
        found = next_find(worker.stdout)
        assert found["number"] == number
        assert is_good(found["nonce"])


def test_a_worker_leaves_the_processor_to_others(worker: subprocess.Popen[bytes]) -> None:
    give(worker, order(1))
    next_find(worker.stdout)
    assert os.getpriority(os.PRIO_PROCESS, worker.pid) == 19


def test_a_worker_does_what_it_was_told_last(worker: subprocess.Popen[bytes]) -> None:
    """The first cannot be done in this life."""
    give(worker, order(1, difficulty=1 << 60))
    give(worker, order(2))
    assert next_find(worker.stdout)["number"] == 2


@pytest.mark.parametrize("told", [[], [order(1, difficulty=1 << 60)]], ids=["idle", "at work"])
def test_a_worker_ends_with_its_node(worker: subprocess.Popen[bytes], told: list[dict[str, Any]]) -> None:
    for one in told:
        give(worker, one)
    assert worker.stdin is not None
    worker.stdin.close()
    worker.stdin = None
    assert worker.wait(PATIENCE_S) == 0


@attrs.define(slots=True, eq=False)
class FakeNode:
    """A p2pnode.api.RunningNode whose application gives `now`; `put` gives something else."""

    now: dict[str, Any] = attrs.Factory(lambda: {"number": 0})
    mining: bool = True
    found: list[dict[str, Any]] = attrs.Factory(list)
    rates: list[int | None] = attrs.Factory(list)
    changed: trio.Event = attrs.Factory(trio.Event)

    def put(self, now: dict[str, Any]) -> None:
        self.now = now
        self._poke()

    def _poke(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def command(self, name: str, /, **args: Any) -> Any:
        assert (name, args["app"]) == ("app", "chain")
        given = args["args"]
        if args["command"] == "mine_found":
            self.found.append(given)
            self._poke()
            return {"taken": True}
        if args["command"] == "mine_status":
            return {"mining": self.mining}
        self.rates.append(given["rate"])
        while given["after"] == self.now["number"]:
            await self.changed.wait()
        return self.now

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.changed.wait()


@attrs.define(slots=True, eq=False)
class Processes:
    """Those that were started, noted as trio starts them."""

    pids: list[int] = attrs.Factory(list)
    started: trio.Event = attrs.Factory(trio.Event)

    async def open(self, line: Any, **options: Any) -> trio.Process:
        process = await OPEN(line, **options)
        self.pids.append(process.pid)
        self.started.set()
        self.started = trio.Event()
        return process

    def alive(self) -> list[int]:
        return [pid for pid in self.pids if Path(f"/proc/{pid}").exists()]


OPEN = trio.lowlevel.open_process


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    found = Processes()
    monkeypatch.setattr(mining.trio.lowlevel, "open_process", found.open)
    return found


def running(node: FakeNode) -> RunningNode:
    return node  # type: ignore[return-value]


async def test_a_node_mines_what_its_application_wants(processes: Processes) -> None:
    node = FakeNode()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mine, running(node))
            for number in (3, 4):
                node.put(order(number))
                await node.until(lambda number=number: bool(node.found) and node.found[-1]["number"] == number)  # type: ignore[misc]
                assert is_good(node.found[-1]["nonce"])
            nursery.cancel_scope.cancel()
    assert len(processes.pids) == 1, "one process for all of it"
    assert processes.alive() == [], "it ends with the node"


async def test_a_worker_that_is_killed_is_started_anew(processes: Processes, caplog: pytest.LogCaptureFixture) -> None:
    node = FakeNode()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mine, running(node))
            node.put(order(1, difficulty=1 << 60))
            await processes.started.wait()
            started = processes.started
            os.kill(processes.pids[0], signal.SIGKILL)
            await started.wait()
            node.put(order(2))
            await node.until(lambda: bool(node.found))
            assert node.found[0]["number"] == 2
            nursery.cancel_scope.cancel()
    assert len(processes.pids) == 2
    assert "ended with exit code -9; another one starts" in caplog.text


async def test_no_process_is_kept_for_a_node_that_does_not_mine(processes: Processes) -> None:
    node = FakeNode()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mine, running(node))
            await trio.testing.wait_all_tasks_blocked()
            assert processes.pids == []
            node.put(order(1, difficulty=1 << 60))
            await processes.started.wait()
            node.mining = False
            node.put({"number": 2})
            while processes.alive():
                await trio.lowlevel.checkpoint()
            started = processes.started
            node.put(order(3))
            await started.wait()
            await node.until(lambda: bool(node.found))
            nursery.cancel_scope.cancel()
    assert len(processes.pids) == 2
