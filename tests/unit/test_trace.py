"""The log: who is heard at which level, and that no message can forge another."""

from __future__ import annotations

import io
import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from p2pnode import trace
from p2pnode.paths import HomeError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, levels = list(root.handlers), {name: logging.getLogger(name).level for name in ("", *trace.OURS)}
    yield
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def _heard(*, verbosity: int, level: str = "warning") -> list[str]:
    stream = io.StringIO()
    trace.set_up(level=level, verbosity=verbosity, stream=stream)
    for name in ("p2pnode.driver", "hypercorn.error"):
        for number in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(number, "said")
    return [" ".join(line.split()[1:3]) for line in stream.getvalue().splitlines()]


def test_each_v_says_one_level_more_and_the_third_lets_others_speak() -> None:
    warnings = ["WARNING p2pnode.driver:", "WARNING hypercorn.error:"]
    assert _heard(verbosity=0) == warnings
    assert _heard(verbosity=1) == ["INFO p2pnode.driver:", *warnings]
    assert _heard(verbosity=2) == ["DEBUG p2pnode.driver:", "INFO p2pnode.driver:", *warnings]
    assert len(_heard(verbosity=3)) == 6
    assert _heard(verbosity=0) == warnings
    assert _heard(verbosity=0, level="error") == []


def test_the_file_holds_more_than_the_screen_and_is_private(tmp_path: Path) -> None:
    file, stream = tmp_path / "node.log", io.StringIO()
    trace.set_up(file=file, stream=stream)
    logging.getLogger("p2pnode").info("quiet")
    logging.getLogger("p2pnode").debug("quieter")
    logging.getLogger("p2pnode").warning("loud")
    assert [line.split()[-1] for line in file.read_text().splitlines()] == ["quiet", "loud"]
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["loud"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MAX_FILE", 2000)
    trace.set_up(file=tmp_path / "node.log", stream=io.StringIO())
    for n in range(1000):
        logging.getLogger("p2pnode").info("message %d", n)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"node.log", "node.log.1"}
    assert max(sizes.values()) <= 2000


def test_a_hostile_message_stays_on_its_line_and_off_the_terminal() -> None:
    stream = io.StringIO()
    trace.set_up(stream=stream)
    logging.getLogger("p2pnode").warning("name %s", "x\n2026-01-01 ERROR forged\x1b[31m\r")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("name x")
    assert second == "    2026-01-01 ERROR forged\\x1b[31m\\x0d"


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="log file cannot be written"):
        trace.set_up(file=tmp_path / "nowhere" / "node.log")
