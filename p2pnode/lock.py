"""One process a home: two would write one store and sign different things with one key."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from p2pnode.paths import Home, HomeError


class Locked(HomeError):
    """Another process holds the home; `pid` is None if it could not be read."""

    def __init__(self, home: Home, pid: int | None) -> None:
        facts = {"home": str(home.dir)} | ({"process": str(pid)} if pid else {})
        stop = f"p2pnode --home '{home.dir}' stop            (or run another: p2pnode --home DIR run)"
        super().__init__("a node is already running on this home", facts=facts | {"stop it": stop})
        self.pid = pid


class HomeLock:
    """Held from `take_lock` to `release` or the death of the process, whichever comes first.

    flock and not fcntl.lockf: a POSIX lock is dropped when any descriptor of the file is closed by the process
    (close(2), fcntl(2)), so reading the pid would give the home away. The file stays: removing it would let
    a process lock a name that another is about to remove.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            # Not by closing alone: a child that is being executed holds a copy for a moment longer.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def take_lock(home: Home) -> HomeLock:
    """Lock a home that exists, at once. Locked if another process has it, HomeError if it cannot be tried."""
    try:
        descriptor = os.open(home.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HomeError(
            "the lock file cannot be opened", facts={"file": str(home.lock), "reason": error.strerror or str(error)}
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # In this order the first line is a whole pid at every moment, the old one or ours.
        os.ftruncate(descriptor, os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0))
    except BlockingIOError:
        pid = _living_pid(os.pread(descriptor, 32, 0))
        os.close(descriptor)
        raise Locked(home, pid) from None
    except OSError as error:
        os.close(descriptor)
        raise HomeError(
            "the home cannot be locked", facts={"file": str(home.lock), "reason": error.strerror or str(error)}
        ) from None
    return HomeLock(descriptor)


def _living_pid(text: bytes) -> int | None:
    """The pid in a lock file; None if there is none, or if it is left from a process that died: who holds the lock
    may not have written its own yet, and a person is about to be told whom to stop."""
    line = text.partition(b"\n")[0]
    if not line.isdigit() or not (pid := int(line)):
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (OSError, OverflowError):
        return None
    return pid


@contextmanager
def only_here(name: str) -> Iterator[bool]:
    """Whether no other process of this machine has this name open (on Linux; elsewhere always true).

    A socket in the abstract namespace (unix(7)): it leaves no file behind and ends with its process. Anybody on the
    machine may take a name, so the answer is good for a warning only.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        taken = False
        try:
            held.bind(f"\0p2pnode/{name}")
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
        yield not taken
