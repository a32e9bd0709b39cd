"""When the disk says no: what was acknowledged stays, what was not is kept, told and tried again."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from overlay.errors import LimitError
from p2pnode.store import Store, open_store
from p2pnode.store.memtable import MAX_MEMTABLE
from p2pnode.store.schema import connect, prepare
from p2pnode.store.writer import Writer
from tests.support.store_process import fill, start, wait_for


class Faulty:
    """A connection whose `fail_at`-th statement (from 1) raises, and every later one too if it `lasts`."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.fail_at = 0
        self.lasts = False
        self.error_name = "SQLITE_FULL"
        self.statements = 0

    @property
    def in_transaction(self) -> bool:
        return self.real.in_transaction

    def close(self) -> None:
        self.real.close()

    def execute(self, sql: str) -> sqlite3.Cursor:
        self._maybe_fail(sql)
        return self.real.execute(sql)

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        self._maybe_fail(sql)
        return self.real.executemany(sql, rows)

    def _maybe_fail(self, sql: str) -> None:
        if sql == "ROLLBACK":
            return
        self.statements += 1
        if self.fail_at and (self.statements == self.fail_at or (self.lasts and self.statements > self.fail_at)):
            error = sqlite3.OperationalError("injected")
            error.sqlite_errorname = self.error_name
            raise error


def _faulty_store(file: Path) -> tuple[Store, Faulty]:
    real = connect(file)
    prepare(real, file)
    faulty = Faulty(real)
    writer = Writer(faulty, file)  # type: ignore[arg-type]
    return Store(file, connect(file), writer, memtable_limit=MAX_MEMTABLE), faulty


def _contents(file: Path) -> dict[bytes, bytes]:
    store = open_store(file)
    try:
        return dict(store.scan(b""))
    finally:
        store.close()


@pytest.mark.parametrize("statement", range(1, 7))
def test_a_fault_at_any_statement_loses_nothing(statement: int, tmp_path: Path) -> None:
    file = tmp_path / "node.db"
    store, faulty = _faulty_store(file)
    store.put(b"old", b"1")
    store.put(b"gone", b"1")
    assert wait_for(store.commit) is None
    faulty.statements, faulty.fail_at = 0, statement
    store.put(b"old", b"2")
    store.put(b"new", b"2")
    store.delete(b"gone")
    # PRAGMA, BEGIN, rows, deletions, mark, COMMIT
    assert str(wait_for(store.sync)).startswith("the disk is full")
    assert store.status().failing is not None
    assert list(store.scan(b"")) == [(b"new", b"2"), (b"old", b"2")]
    assert wait_for(store.sync) is None
    assert store.status().failing is None
    assert store.status().waiting == store.backlog == 0
    store.close()
    assert _contents(file) == {b"old": b"2", b"new": b"2"}


def test_nothing_is_tried_again_after_a_failed_fsync(tmp_path: Path) -> None:
    file = tmp_path / "node.db"
    store, faulty = _faulty_store(file)
    faulty.fail_at, faulty.error_name = 5, "SQLITE_IOERR_FSYNC"
    store.put(b"key", b"value")
    assert str(wait_for(store.sync)).startswith("the disk reports an error")
    tried = faulty.statements
    assert str(wait_for(store.sync)).startswith("the disk reports an error")
    assert str(wait_for(store.commit)).startswith("the disk reports an error")
    assert faulty.statements == tried
    assert store.get(b"key") == b"value"
    with pytest.raises(Exception, match="the disk reports an error"):
        store.close()


def test_writes_that_could_not_be_saved_make_close_say_so(tmp_path: Path) -> None:
    store, faulty = _faulty_store(tmp_path / "node.db")
    faulty.fail_at, faulty.lasts = 1, True
    store.put(b"key", b"value")
    with pytest.raises(Exception, match="the disk is full"):
        store.close()


def test_what_waits_when_a_disk_recovers_is_written_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pnode.store.writer.RETRY_S", 0.0)
    file = tmp_path / "node.db"
    store, faulty = _faulty_store(file)
    recovered = threading.Event()

    class OnRecovery(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "can write again" in record.getMessage():
                recovered.set()

    log, handler = logging.getLogger("p2pnode.store.writer"), OnRecovery()
    log.addHandler(handler)
    try:
        faulty.fail_at = 1
        store.put(b"key", b"value")
        assert wait_for(store.commit) is not None
        recovered.wait()
    finally:
        log.removeHandler(handler)
    other = sqlite3.connect(file)
    assert other.execute("SELECT key, value FROM kv").fetchall() == [(b"key", b"value")]
    other.close()
    store.close()


def test_a_database_that_may_not_grow(tmp_path: Path) -> None:
    """sqlite's own bound raises the error of a full disk, on any machine."""
    file = tmp_path / "node.db"
    writing = connect(file)
    prepare(writing, file)
    writing.execute("PRAGMA max_page_count=100").fetchall()

    def lift() -> None:
        writing.execute("PRAGMA max_page_count=100000").fetchall()

    store = Store(file, connect(file), Writer(writing, file), memtable_limit=MAX_MEMTABLE)
    report = fill(store, lift)
    store.close()
    assert report["error"].startswith("the disk is full")
    assert report["acknowledged"] == report["written"] - 1 > 50
    assert report["waiting"] == 1
    assert report["after"] is report["failing_after"] is None
    assert len(_contents(file)) == report["visible"] == report["written"]


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """A write(2) that fails in the middle, by RLIMIT_FSIZE in a process of its own."""
    child = start("rlimit", tmp_path)
    out, _ = child.communicate()
    assert child.returncode == 0
    report = json.loads(out)
    assert report["error"].startswith("the disk ")
    assert "find room" in report["error"] or "look" in report["error"]
    assert report["acknowledged"] == report["written"] - 1 > 20
    assert report["failing"] == report["again"]
    assert report["after"] is report["failing_after"] is None
    assert report["visible"] == report["reopened"] == report["written"]


def test_a_full_memtable_refuses_and_takes_again_once_it_is_written(tmp_path: Path) -> None:
    store = open_store(tmp_path / "node.db", memtable_limit=10_000)
    for n in range(8):
        store.put(b"%d" % n, bytes(1000))
    with pytest.raises(LimitError, match="behind"):
        store.put(b"8", bytes(1000))
    store.put(b"0", bytes(1000))  # the same again takes no more room
    assert wait_for(store.commit) is None
    assert store.backlog == 0
    store.put(b"8", bytes(1000))
    store.close()


def test_many_commits_become_few_transactions_answered_in_order(tmp_path: Path) -> None:
    store = open_store(tmp_path / "node.db")
    answered: list[int] = []
    busy, gate = threading.Event(), threading.Event()

    def hold(error: BaseException | None) -> None:
        busy.set()
        gate.wait()

    store.commit(hold)
    busy.wait()
    for n in range(100):
        store.put(b"%d" % n, b"value")
        store.commit(lambda error, n=n: answered.append(n))  # type: ignore[misc]
    gate.set()
    assert wait_for(store.commit) is None
    assert answered == list(range(100))
    assert store.status().transactions == 1
    store.close()


def test_a_callback_that_raises_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(tmp_path / "node.db")

    def fault(error: BaseException | None) -> None:
        raise ValueError("planted")

    store.commit(fault)
    store.put(b"key", b"value")
    assert wait_for(store.commit) is None
    assert "planted" in caplog.text
    store.close()


def test_reads_never_see_a_gap_while_the_writer_works(tmp_path: Path) -> None:
    """Between memtable and file nothing is missing for a moment, whenever a batch moves over."""
    store = open_store(tmp_path / "node.db", checkpoint_pages=8)
    for n in range(1500):
        store.put(b"%d" % (n % 97), b"%d" % n)
        store.commit(lambda error: None)
        for back in (0, 1, 13, 96):
            if n >= back:
                assert store.get(b"%d" % ((n - back) % 97)) == b"%d" % (n - back)
        if n % 50 == 0:
            assert len(list(store.scan(b""))) == min(n + 1, 97)
    store.close()
