"""Two processes, one home: the second is told who the first is."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from p2pnode.lock import Locked, only_here, take_lock
from p2pnode.paths import Home, HomeError

_HOLD = """
import sys
from pathlib import Path
from p2pnode.lock import take_lock
from p2pnode.paths import Home
lock = take_lock(Home(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_told_the_pid_and_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(Locked, match="already running") as caught:
            take_lock(home)
        assert caught.value.pid == first.pid
        assert caught.value.facts["process"] == str(first.pid)
        assert f"p2pnode --home '{tmp_path}' stop" in caught.value.facts["stop it"]
        first.send_signal(signal.SIGKILL)
    # A process that died leaves its file, not its lock.
    assert home.lock.read_text() == f"{first.pid}\n"
    with take_lock(home):
        assert home.lock.read_text() == f"{os.getpid()}\n"


def test_one_process_cannot_take_it_twice_and_reading_the_pid_does_not_drop_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lock = take_lock(home)
    assert home.lock.read_text() == f"{os.getpid()}\n"
    for _ in range(2):
        with pytest.raises(Locked):
            take_lock(home)
    lock.release()
    lock.release()
    take_lock(home).release()


def test_a_child_that_is_executed_does_not_keep_the_lock(tmp_path: Path) -> None:
    home = Home(tmp_path)
    lock = take_lock(home)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        take_lock(home).release()


def test_a_lock_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    home = Home(tmp_path)
    home.lock.symlink_to(target)
    with pytest.raises(HomeError, match="cannot be opened"):
        take_lock(home)
    assert target.read_text() == "precious"


def test_a_home_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HomeError, match="No such file"):
        take_lock(Home(tmp_path / "nowhere"))


@pytest.mark.parametrize("left", [b"", b"0\n", b"junk\n", b"4194305\n", b"9" * 31, b"{pid}\n31\n"])
def test_nobody_is_told_to_stop_a_process_that_is_not_there(tmp_path: Path, left: bytes) -> None:
    """Between locking and writing its pid the holder has that of a dead process in the file, or more lines."""
    home = Home(tmp_path)
    home.lock.write_bytes(left.replace(b"{pid}", str(os.getpid()).encode()))
    with home.lock.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(Locked) as caught:
            take_lock(home)
    assert caught.value.pid == (os.getpid() if b"pid" in left else None)


def test_a_shorter_pid_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.lock.write_text("123456789012\n")
    with take_lock(home):
        assert home.lock.read_text() == f"{os.getpid()}\n"


def test_a_name_is_taken_as_long_as_its_process_holds_it() -> None:
    name = f"test {os.getpid()}"
    with only_here(name) as first, only_here(name) as second, only_here(name + " other") as third:
        assert (first, second, third) == (True, False, True)
    with only_here(name) as again:
        assert again
