"""A store of a chain whose disk fails somewhere, beside one in memory that shows what must be there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.chain.core.memory import MemoryStore
from apps.chain.core.rows import Account, ActiveRow, AnchorRow, EvidenceRow, HeaderRow, NameRow, Status, Touch, TxRow
from apps.chain.core.store import Store
from apps.chain.shell.schema import DiskError
from apps.chain.shell.store import SqliteStore, open_store
from overlay.errors import LocalError
from tests.support.chain_rows import KEYS, PLACES, answers
from tests.support.failing_vfs import FailingDisk

Step = Callable[[Store], None]


def headers(status: Status) -> list[HeaderRow]:
    return [
        HeaderRow(key, *PLACES[key], n, n, n, 256, 0, key, b"raw", status, n, n) for n, key in enumerate(KEYS)
    ]  # fmt: skip


def active(height: int) -> ActiveRow:
    return ActiveRow(height, KEYS[height], height, 256, KEYS[0], 1, 1, 5_000, 1)


def fill(store: Store) -> None:
    store.put_headers(headers(Status.HEADER))
    for height in range(3):
        store.put_block(KEYS[height], b"body" * 2_000)
        store.put_undo(KEYS[height], b"undo")
        store.push_active(active(height))
    store.put_accounts([Account(key, 1, 0) for key in KEYS])


def spread(store: Store) -> None:
    """As a block with many transactions."""
    ids = [bytes([n]) * 32 for n in range(250)]
    store.put_accounts([Account(key, 5, 5) for key in ids])
    store.put_txs([TxRow(key, 2, n) for n, key in enumerate(ids)])
    store.put_touches([Touch(key, 2, n) for n, key in enumerate(ids)])
    store.put_anchors([AnchorRow(key, 2, n, 0, b"tag") for n, key in enumerate(ids)])


def change_branch(store: Store) -> None:
    store.put_names([NameRow(b"name", KEYS[0], b"value", 9)])
    store.savepoint()
    for _ in range(2):
        store.pop_active()
    store.delete_accounts(KEYS[:2])
    store.push_active(active(1))
    store.rollback_to()
    store.pop_active()
    store.set_status([KEYS[4]], Status.INVALID, why="S2")
    store.put_evidence([EvidenceRow(KEYS[0], KEYS[1], 2, 0, 0)])
    store.release()


def thin(store: Store) -> None:
    store.delete_bodies(KEYS[:2])
    store.delete_txs([bytes([n]) * 32 for n in range(0, 250, 2)])
    store.put_accounts([Account(key, 7, 7) for key in KEYS])


STEPS: tuple[Step, ...] = fill, spread, change_branch, thin


def on_the_disk(file: Path) -> Any:
    """What another process would find after a kill, now."""
    copy = file.parent / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{file}{suffix}", f"{copy}/chain.db{suffix}")
    store = open_store(copy / "chain.db")
    assert store._all("PRAGMA integrity_check") == [("ok",)]
    found = answers(store)
    store.close()
    shutil.rmtree(copy)
    return found


class Life:
    """All steps on a store whose disk fails once, or until it is healed; the same in memory."""

    def __init__(self, file: Path, disk: FailingDisk) -> None:
        self.file, self.disk = file, disk
        self.memory = MemoryStore()
        self.store: SqliteStore

    def run(self) -> None:
        self.store = self._opened()
        for step in STEPS:
            before = answers(self.memory)
            self.memory.begin()
            step(self.memory)
            self.memory.commit()
            after = answers(self.memory)
            try:
                self._do(step)
            except DiskError as error:
                self._recover(step, error, before, after)
            assert answers(self.store) == after
        self.disk.heal()
        self.store.close()
        assert on_the_disk_of_one(self.file) == answers(self.memory)

    def _opened(self) -> SqliteStore:
        try:
            return open_store(self.file)
        except DiskError:
            self.disk.heal()
            return open_store(self.file)

    def _do(self, step: Step) -> None:
        self.store.begin()
        step(self.store)
        self.store.commit()

    def _recover(self, step: Step, error: DiskError, before: Any, after: Any) -> None:
        assert str(error).startswith(("the disk is full", "the disk reports an error"))
        with pytest.raises(LocalError, match=r"can only be rolled back|no transaction"):
            self.store.commit()
        try:
            self.store.rollback()
        except LocalError:  # it failed before it began
            assert error.facts
        assert answers(self.store) == before
        self.disk.heal()
        assert on_the_disk(self.file) in (before, after)
        if "then start the node again" in error.facts:
            with pytest.raises(DiskError, match="reports an error"):
                self.store.begin()
            self.store.close()
            self.store = open_store(self.file)
        if answers(self.store) == before:
            self._do(step)


def on_the_disk_of_one(file: Path) -> Any:
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    db = sqlite3.connect(file)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    store = open_store(file)
    found = answers(store)
    store.close()
    return found


def fail_at_each(folder: Path, disk: FailingDisk, code: int, *, once: bool, every: int) -> list[str]:
    """A life for each `every`-th operation that fails; what each of them was."""
    folder.mkdir()
    before = disk.count
    Life(folder / "chain.db", disk).run()
    hits = []
    for number in range(1, disk.count - before + 1, every):
        shutil.rmtree(folder)
        folder.mkdir()
        disk.fail(number, code, once=once)
        Life(folder / "chain.db", disk).run()
        hits.append(disk.hit)
    return hits
