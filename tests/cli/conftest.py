"""Command lines in this process, in front of a fake node that serves a real control socket from a thread."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from p2pnode import api
from p2pnode.cli.main import run_line
from p2pnode.control.server import serve
from tests.support.fake_node import FakeNode


@attrs.frozen(slots=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the user, a terminal of 80 columns."""
    for name in ("P2PNODE_HOME", "P2PNODE_PASSPHRASE", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def log_and_signals_as_before() -> Iterator[None]:
    """What `run` sets for its process must not outlive a test that calls it in this one."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    for number, action in signals.items():
        signal.signal(number, action)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def run(home: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("dht", "put", "x")`: exit code, stdout and stderr of one command on `home`."""

    def run(*line: str, stdin: bytes = b"", before: tuple[str, ...] = ()) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = run_line(["--home", str(home), *before, *line])
        out, err = capfdbinary.readouterr()
        return Ran(int(code), out.decode(errors="surrogateescape"), err.decode())

    return run


@pytest.fixture
def node(home: Path) -> Iterator[FakeNode]:
    """A fake node on `home`. Its attributes may be set from the test: nothing runs between two commands."""
    ready = threading.Event()
    made: list[tuple[FakeNode, trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            fake = FakeNode()
            await nursery.start(partial(serve, fake, home / api.SOCKET_NAME))
            made.append((fake, trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert ready.wait(30)
    fake, token, scope = made[0]
    yield fake
    token.run_sync_soon(scope.cancel)
    thread.join()
