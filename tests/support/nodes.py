"""Real nodes: `p2pnode run` as processes on loopback, driven through the control API from threads.

with Nodes(tmp_path, count=8) as nodes:
    nodes.start_all()
    nodes[3].call("POST", "/v1/dht/put", {"value": "x"})
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import attrs

from p2pnode.api import connect
from p2pnode.ui.fail import Fail

ROOT = Path(__file__).parents[2]
#: Thirty processes that import at once on two busy cores.
START_S = 120.0
#: A goodbye (2 s), the grace of the control API (1 s) and a checkpoint, on a busy machine.
STOP_S = 30.0
_POLL_S = 0.02
_LINES_KEPT = 200
#: Starts at once: more would only wait for the processor, and for seeds that are not there yet.
_STARTS_AT_ONCE = 4

R = TypeVar("R")


@attrs.define(slots=True, eq=False)
class NodeProcess:
    """One home and, most of the time, one process on it."""

    home: Path
    #: Words after `run`.
    options: tuple[str, ...] = ()
    #: What is run instead of `python -m p2pnode.cli.main`.
    program: tuple[str, ...] = (sys.executable, "-m", "p2pnode.cli.main")
    process: subprocess.Popen[str] | None = attrs.field(default=None, init=False)
    #: The end of what it said on stderr.
    said: deque[str] = attrs.field(factory=lambda: deque(maxlen=_LINES_KEPT), init=False)
    id: str = attrs.field(default="", init=False)
    #: "127.0.0.1:40000", kept over restarts.
    address: str = attrs.field(default="", init=False)
    ticket: str = attrs.field(default="", init=False)
    _ready: threading.Event = attrs.field(factory=threading.Event, init=False)
    _reader: threading.Thread | None = attrs.field(default=None, init=False)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *more: str) -> None:
        """Start the process; `wait_ready` waits for it. Port 0 unless `more` or `options` say --listen."""
        assert self.process is None, "it runs already"
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        words = [*self.options, *more]
        listen = [] if "--listen" in words else ["--listen", "127.0.0.1:0"]
        line = [*self.program, "--home", str(self.home), "run", *listen, "--no-lan", *words]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("P2PNODE_")}
        self._ready = threading.Event()
        self.process = subprocess.Popen(
            line, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ,
            start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(self.process, self._ready), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self.said.append(line)
                if line.startswith("ready"):
                    ready.set()
        ready.set()  # it ended; wait_ready looks which

    def wait_ready(self) -> None:
        assert self._ready.wait(START_S), f"{self.home.name} is not ready after {START_S} s:\n{self.log}"
        assert self.process is not None
        assert any(line.startswith("ready") for line in self.said), f"{self.home.name} ended:\n{self.log}"
        status = self.status()
        self.id, self.ticket = status["id"], status["ticket"]
        self.address = status["listen"][0].removeprefix("udp ")

    @property
    def log(self) -> str:
        return "".join(self.said)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = 60) -> Any:
        try:
            return connect(self.home).call(method, path, body, timeout_s=timeout_s)
        except Fail as failure:
            failure.add_note(f"{self.home.name} said:\n{self.log}")
            raise

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.call("GET", "/v1/status")
        return status

    def put(self, value: str, *, name: str | None = None, **more: Any) -> dict[str, Any]:
        body = {"value": value, **more} | ({} if name is None else {"name": name})
        answer: dict[str, Any] = self.call("POST", "/v1/dht/put", body)
        return answer

    def get(self, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.call("POST", "/v1/dht/get", {"key": key})
        return answer

    def kill(self) -> None:
        """kill -9: no goodbye, no flush."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        code = self._end(signal.SIGTERM)
        assert code is not None
        return code

    def _end(self, number: int) -> int | None:
        process = self.process
        if process is None:
            return None
        process.send_signal(number)
        return self.wait_ended()

    def wait_ended(self) -> int:
        assert self.process is not None
        assert self._reader is not None
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.home.name} did not end within {STOP_S} s:\n{self.log}") from None
        self._reader.join(STOP_S)
        self.process = None
        return code


@attrs.define(slots=True, eq=False)
class Nodes:
    """`count` nodes below `folder`, in one network of their own. Whatever runs at the end is killed."""

    folder: Path
    count: int
    network: str = attrs.field(default="soak", kw_only=True)
    puzzle_bits: int = attrs.field(default=4, kw_only=True)
    all: list[NodeProcess] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        options = ("--network", self.network, "--puzzle-bits", str(self.puzzle_bits))
        self.all = [NodeProcess(self.folder / f"n{number:02}", options) for number in range(self.count)]

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.all:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                node.kill()

    def __getitem__(self, number: int) -> NodeProcess:
        return self.all[number]

    def __iter__(self) -> Iterator[NodeProcess]:
        return iter(self.all)

    @property
    def running(self) -> list[NodeProcess]:
        return [node for node in self.all if node.process is not None]

    def start_all(self, *, same_ports: bool = False, join: bool = True) -> None:
        """The first one, then the others with its ticket (or without any), until every table is filled."""
        self._start_one(self[0], same_ports, ())
        words = ("--join", self[0].ticket) if join else ()
        in_parallel(lambda node: self._start_one(node, same_ports, words), self.all[1:], workers=_STARTS_AT_ONCE)

    def _start_one(self, node: NodeProcess, same_ports: bool, words: tuple[str, ...]) -> None:
        node.start(*words, *(("--listen", node.address) if same_ports else ()))
        node.wait_ready()

    def wait_tables(self, *, at_least: int, within_s: float = 60) -> None:
        """Until every running node has that many contacts."""

        def filled() -> bool:
            return all(node.status()["table"] >= at_least for node in self.running)

        wait_until(filled, within_s=within_s, what=lambda: str([node.status()["table"] for node in self.running]))

    def stop_all(self) -> None:
        """SIGTERM to all at once; every one must end by itself with code 0."""
        running = self.running
        for node in running:
            assert node.process is not None
            node.process.terminate()
        codes = [node.wait_ended() for node in running]
        assert codes == [0] * len(running), [node.log for node in running if node.log][:3]


def in_parallel(work: Callable[[Any], R], items: Sequence[Any], *, workers: int) -> list[R]:
    """The results in order; the first exception is raised."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(work, items))


def timed(work: Callable[[], R]) -> tuple[float, R]:
    """Milliseconds that it took, and its result."""
    began = time.perf_counter()
    result = work()
    return (time.perf_counter() - began) * 1000, result


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def wait_until(
    condition: Callable[[], bool], *, within_s: float, what: str | Callable[[], str], poll_s: float = _POLL_S
) -> None:
    """Ask again and again: for what a process tells nobody. Fails when the time is over, never succeeds by it."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(poll_s)
