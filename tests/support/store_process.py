"""A store in a process of its own, to be killed or starved: `python -m tests.support.store_process ROLE FOLDER`.

pairs   opens the store and writes pair after pair, deleting old ones; acknowledges on stdout after the commit
liar    the same, but acknowledges what was never committed: proves that the check can fail
rlimit  fills the store until files may not grow any more, lifts the limit, goes on; prints a report
tmpfs   the same until a small file system is full, then removes a ballast file
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from p2pnode.store import Store, open_store

ROOT = Path(__file__).parents[2]
#: Pairs that are kept; writing pair i deletes pair i - KEPT in the same transaction.
KEPT = 50
#: So that kills also hit checkpoints.
CHECKPOINT_PAGES = 16
_WINDOW = 256
#: One in so many is acknowledged: else the child would spend its time on the pipe and kills would hit nothing else.
_TOLD = 16


def start(role: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.store_process", role, str(folder)], stdout=subprocess.PIPE, cwd=ROOT
    )


def kill_and_check(folder: Path, *, seed: int, kills: int, role: str = "pairs") -> int:
    """Kill a writer `kills` times at points that `seed` chooses; after each, check the store. Pairs written in all."""
    chance = random.Random(seed)
    last = 0
    for _ in range(kills):
        # One in eight dies while it opens the store.
        count = 0 if chance.random() < 1 / 8 else chance.randint(1, 40)
        acknowledged = _killed_after(count, chance.randrange(200_000), role, folder)
        last = _check(folder, max(acknowledged, last))
    return last


def _killed_after(acknowledgements: int, turns: int, role: str, folder: Path) -> int:
    """The last number that the child acknowledged, also those that it wrote while it was being killed."""
    child = start(role, folder)
    assert child.stdout is not None
    with child.stdout as pipe:
        got = pipe.read(8)  # it runs
        for _ in range(acknowledgements):
            got = pipe.read(8)
        # Up to a few transactions: without it every kill would hit just after an acknowledgement.
        for _ in range(turns):
            pass
        child.send_signal(signal.SIGKILL)
        rest = pipe.read()
    assert child.wait() == -signal.SIGKILL, "the child ended by itself"
    whole = (got + rest)[: (len(got + rest)) // 8 * 8]
    return int.from_bytes(whole[-8:], "big")


def _check(folder: Path, acknowledged: int) -> int:
    """Every pair as it must be after some last one; that is the number returned, and at least `acknowledged`."""
    store = open_store(folder / "node.db")
    try:
        found = dict(store.scan(b""))
    finally:
        store.close()
    last = _last(found)
    assert last >= acknowledged, f"acknowledged up to {acknowledged}, found up to {last}"
    expected = dict(item for n in range(max(1, last - KEPT + 1), last + 1) for item in _pair(n))
    assert found == expected, f"torn: {sorted(found.keys() ^ expected.keys())}"
    return last


def _pair(n: int) -> list[tuple[bytes, bytes]]:
    number = n.to_bytes(8, "big")
    # Up to 3,000 bytes: some rows need an overflow page.
    return [(side + number, number * (1 + n * 7 % 375)) for side in (b"a", b"b")]


def _last(found: dict[bytes, bytes]) -> int:
    return max((int.from_bytes(key[1:], "big") for key in found), default=0)


def _write_pairs(folder: Path, *, is_liar: bool) -> None:
    os.write(1, bytes(8))
    store = open_store(folder / "node.db", checkpoint_pages=CHECKPOINT_PAGES)
    slots = threading.Semaphore(_WINDOW)
    n = _last(dict(store.scan(b"")))
    while True:
        n += 1
        slots.acquire()

        def done(error: BaseException | None, n: int = n) -> None:
            assert error is None
            if n % _TOLD == 0 or is_liar:
                os.write(1, n.to_bytes(8, "big"))
            slots.release()

        for key, value in _pair(n):
            store.put(key, value)
        for key, _ in _pair(n - KEPT) if n > KEPT else ():
            store.delete(key)
        if is_liar:
            done(None)
        elif n % 37 == 0:
            store.sync(done)
        else:
            store.commit(done)


def wait_for(ask: Callable[[Callable[[BaseException | None], None]], None]) -> BaseException | None:
    """`wait_for(store.commit)`: what it called back with."""
    called = threading.Event()
    outcome: list[BaseException | None] = []

    def done(error: BaseException | None) -> None:
        outcome.append(error)
        called.set()

    ask(done)
    called.wait()
    return outcome[0]


def fill(store: Store, make_room: Callable[[], None]) -> dict[str, Any]:
    """Write until the disk says no, see what is left of it, make room, go on. A report in plain values."""
    written = acknowledged = 0
    error: BaseException | None = None
    while error is None:
        assert written < 100_000, "the disk never got full"
        store.put(written.to_bytes(8, "big"), bytes(1000))
        written += 1
        error = wait_for(store.commit)
        acknowledged = written if error is None else acknowledged
    again = wait_for(store.sync)
    report = {
        "written": written,
        "acknowledged": acknowledged,
        "error": str(error),
        "again": str(again),
        "failing": store.status().failing,
        "waiting": store.status().waiting,
        "visible": sum(1 for _ in store.scan(b"")),
    }
    make_room()
    after = wait_for(store.sync)
    return report | {"after": after and str(after), "failing_after": store.status().failing}


def _starve(folder: Path, make_room: Callable[[], None], store: Store) -> None:
    report = fill(store, make_room)
    store.close()
    again = open_store(folder / "node.db")
    report["reopened"] = sum(1 for _ in again.scan(b""))
    again.close()
    print(json.dumps(report))


def main(role: str, folder: Path) -> None:
    match role:
        case "pairs" | "liar":
            _write_pairs(folder, is_liar=role == "liar")
        case "rlimit":
            store = open_store(folder / "node.db")
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
            _starve(folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)), store)
        case "tmpfs":
            ballast = folder / "ballast"
            ballast.write_bytes(bytes(512 * 1024))
            _starve(folder, ballast.unlink, open_store(folder / "node.db"))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
