"""Command lines in this process, in front of a fake node that serves a real control socket from a thread."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from apps.chain.cli.explorer.main import run_line as explorer_line
from apps.chain.cli.explorer.session import Session as ExplorerSession
from p2pnode.cli.main import run_line
from tests.cli.explorer import NOW, Place, make_place
from tests.support.explored import Explored, grown, judge
from tests.support.fake_node import FakeNode
from tests.support.serving import serving


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
Explore = Callable[..., Ran]


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
    with serving(home) as (fake, _):
        yield fake


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Explored]:
    """A folder with the chain that all look at, made once."""
    folder = tmp_path_factory.mktemp("lab")
    world = grown(folder)
    world.store.close()
    return folder, world


@pytest.fixture
def place(tmp_path: Path, lab: tuple[Path, Explored], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A home with a chain, and a folder to stand in."""
    found = make_place(tmp_path, *lab)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("P2PNODE_HOME", str(found.home))
    yield found
    found.world.store.close()


@pytest.fixture
def explore(place: Place, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Explore:
    """`explore("block", "-1")`: exit code, stdout and stderr of one command of chain-explorer."""

    def explore(*line: str, stdin: bytes = b"", now: float = NOW) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = explorer_line(list(line), session=ExplorerSession(clock=lambda: now, judge=judge))
        out, err = capfdbinary.readouterr()
        return Ran(int(code), out.decode(), err.decode())

    return explore
