"""Store: the Storage port of the core and the durability that a driver asks for.

One thread (the event loop's) calls the methods; writes go to a memtable and are visible at once; `commit` and `sync`
hand them to the writer's thread and call back from there. Reads look into the memtable, then into the file, inline:
7 us, where a thread hop would cost 90.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs

from p2pnode.store.memtable import MAX_MEMTABLE, Batch, Memtable
from p2pnode.store.schema import StoreError, connect, explain, prepare
from p2pnode.store.writer import Done, Writer

#: Rows that a scan reads at once: few at first (most scans end early), then enough to make SQL cheap.
_FIRST_ROWS = 32
_MOST_ROWS = 1024


@attrs.frozen(slots=True)
class StoreStatus:
    """How the disk keeps up, for `status` and metrics."""

    #: Why nothing can be written at present, None if all is well.
    failing: str | None
    #: Writes and bytes that wait for the disk.
    waiting: int
    waiting_bytes: int
    transactions: int
    #: Of the file and its log.
    disk_bytes: int


def open_store(path: Path, *, memtable_limit: int = MAX_MEMTABLE, checkpoint_pages: int = 1000) -> Store:
    """Open or create; brings older files up to date. Blocks for a moment: before serving. Raises StoreError.

    The home's lock must be held: two writers on one file would each trust their memtable.
    `checkpoint_pages`: length of the log at which it is moved into the file (sqlite's own default, 4 MB).
    """
    writing = connect(path)
    try:
        prepare(writing, path)
        writing.execute(f"PRAGMA wal_autocheckpoint={checkpoint_pages}").fetchall()
        reading = connect(path)
    except BaseException:
        writing.close()
        raise
    return Store(path, reading, Writer(writing, path), memtable_limit=memtable_limit)


class Store:
    """Made by `open_store`; `close` it."""

    def __init__(self, path: Path, reading: sqlite3.Connection, writer: Writer, *, memtable_limit: int) -> None:
        self.path = path
        self._reading = reading
        self._writer = writer
        self._memtable = Memtable(memtable_limit)
        self._is_closed = False

    # --- the Storage port ----------------------------------------------------------------------

    def get(self, key: bytes) -> bytes | None:
        waiting = self._memtable.find(key)
        if waiting is not None:
            return waiting[1]
        try:
            rows = self._reading.execute("SELECT value FROM kv WHERE key=?", (key,)).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self.path) from None
        return rows[0][0] if rows else None

    def put(self, key: bytes, value: bytes) -> None:
        """LimitError if the disk is so far behind that memory would fill up."""
        self._settle()
        self._memtable.write(key, value)

    def delete(self, key: bytes) -> None:
        """LimitError as `put`."""
        self._settle()
        self._memtable.write(key, None)

    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        # The least key greater than k is k + 0x00.
        low = after + b"\x00" if after >= prefix else prefix
        high = _end_of(prefix)
        size = _FIRST_ROWS
        while True:
            self._settle()
            rows: dict[bytes, bytes | None] = dict(self._rows(low, high, size))
            is_last = len(rows) < size
            # Asked for in key order, so the last one is the greatest.
            end = high if is_last else next(reversed(rows)) + b"\x00"
            rows |= self._memtable.between(low, end)
            for key in sorted(rows):
                if (value := rows[key]) is not None:
                    yield key, value
            if is_last or end is None:
                return
            low = end
            size = min(size * 4, _MOST_ROWS)

    def _rows(self, low: bytes, high: bytes | None, size: int) -> list[tuple[bytes, bytes]]:
        # All rows are fetched: an open cursor would hold its snapshot, and the log could not be moved away.
        try:
            if high is None:
                sql = "SELECT key, value FROM kv WHERE key>=? ORDER BY key LIMIT ?"
                return self._reading.execute(sql, (low, size)).fetchall()
            sql = "SELECT key, value FROM kv WHERE key>=? AND key<? ORDER BY key LIMIT ?"
            return self._reading.execute(sql, (low, high, size)).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self.path) from None

    # --- durability ----------------------------------------------------------------------------

    def commit(self, done: Done) -> None:
        """`done(None)` in the writer's thread once every write so far survives kill -9; else done(StoreError).

        After an error the writes are kept, visible and tried again; a later `done(None)` covers them too.
        """
        self._submit(synced=False, done=done)

    def sync(self, done: Done) -> None:
        """As `commit`, once they survive a power loss: the log is fsynced (0.2 to 4 ms on an SSD)."""
        self._submit(synced=True, done=done)

    def flush(self) -> None:
        """Hand over what was written since the last commit without waiting for it: for an idle moment."""
        if not self._memtable.is_cut:
            self._submit(synced=False, done=None)

    def close(self) -> None:
        """Write everything, checkpoint, close. Blocks: call it in a thread. Raises StoreError if writes are lost."""
        if self._is_closed:
            return
        self.flush()
        self._is_closed = True
        failed = self._writer.stop()
        self._reading.close()
        if failed is not None:
            raise failed

    def status(self) -> StoreStatus:
        self._settle()
        failing = self._writer.failing
        return StoreStatus(
            failing=None if failing is None else str(failing),
            waiting=len(self._memtable),
            waiting_bytes=self._memtable.size,
            transactions=self._writer.transactions,
            disk_bytes=sum(_size_of(self.path.with_name(self.path.name + suffix)) for suffix in ("", "-wal")),
        )

    @property
    def backlog(self) -> int:
        """Bytes that wait for the disk; at the memtable's limit `put` refuses."""
        self._settle()
        return self._memtable.size

    def _submit(self, *, synced: bool, done: Done | None) -> None:
        if self._is_closed:
            if done is not None:
                done(StoreError("the store is closed", facts={"file": str(self.path)}))
            return
        self._settle()
        self._writer.submit(self._memtable.cut(), synced=synced, done=done)

    def _settle(self) -> None:
        """Forget what has reached the file. Not between a look into the memtable and one into the file."""
        finished = self._writer.finished
        while finished:
            batch: Batch = finished.popleft()
            self._memtable.settle(batch)


def _end_of(prefix: bytes) -> bytes | None:
    """The least key after all that start with `prefix`; None if there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
