"""The one thread that writes: whatever waits becomes one transaction (group commit).

A batch that could not be written is kept and tried again, with the next request or after a second; who asked
meanwhile is told why. After a failed fsync nothing is tried again: the kernel may have dropped the pages
and call the next fsync a success (https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import attrs

from p2pnode.store.memtable import Batch
from p2pnode.store.schema import StoreError, explain

log = logging.getLogger(__name__)

Done = Callable[[BaseException | None], None]

#: A disk with room again is noticed this soon, without a node that spins on one without.
RETRY_S = 1.0


@attrs.frozen(slots=True, eq=False)
class _Request:
    batch: Batch
    synced: bool
    done: Done | None


class Writer:
    """Started by its constructor, ended by `stop`. Owns the connection from then on."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        #: None ends the thread.
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        #: Batches in the file that the memtable still holds; appended here, taken by the other thread.
        self.finished: deque[Batch] = deque()
        #: Why nothing can be written at present, None if all is well.
        self.failing: StoreError | None = None
        self.transactions = 0
        self._is_poisoned = False
        self._synchronous = "NORMAL"
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch, *, synced: bool, done: Done | None) -> None:
        """`done` is called in the writer's thread, once, in the order of requests."""
        self._requests.put(_Request(batch, synced, done))

    def stop(self) -> StoreError | None:
        """Write what waits, checkpoint, close; blocks for as long as that takes. Why it failed, if it did."""
        self._requests.put(None)
        self._thread.join()
        return self.failing

    def _run(self) -> None:
        unwritten: list[Batch] = []
        is_open = True
        while is_open:
            requests, is_open = self._next(patient=not unwritten)
            unwritten += [request.batch for request in requests]
            error = self._try(unwritten, synced=any(request.synced for request in requests))
            if error is None:
                self.finished.extend(unwritten)
                unwritten = []
            for request in requests:
                if request.done is not None:
                    self._tell(request.done, error)
        self._close()

    def _next(self, *, patient: bool) -> tuple[list[_Request], bool]:
        """All requests there are, waiting for the first; False with the last ones."""
        requests: list[_Request] = []
        try:
            item = self._requests.get(timeout=None if patient else RETRY_S)
            while item is not None:
                requests.append(item)
                item = self._requests.get_nowait()
        except queue.Empty:
            return requests, True
        return requests, False

    def _try(self, batches: list[Batch], *, synced: bool) -> StoreError | None:
        if self._is_poisoned:
            return self.failing
        writes: dict[bytes, bytes | None] = {}
        for batch in batches:
            writes |= batch.writes
        if not writes and not synced:
            return None
        try:
            self._write(writes, synced=synced)
        except Exception as problem:
            error = self._explain(problem)
            if self.failing is None or self.failing.what != error.what:
                log.error("nothing can be written: %s", error)
            self.failing = error
            return error
        if self.failing is not None:
            log.warning("the store can write again: %s", self._path)
            self.failing = None
        return None

    def _explain(self, problem: Exception) -> StoreError:
        if not isinstance(problem, sqlite3.Error):
            self._is_poisoned = True
            log.error("fault in the store", exc_info=problem)
            return StoreError("the store failed", facts={"file": str(self._path), "reason": repr(problem)})
        name: str = getattr(problem, "sqlite_errorname", None) or ""
        self._is_poisoned = name in ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC") or name.startswith(
            "SQLITE_CORRUPT"
        )
        return explain(problem, self._path)

    def _write(self, writes: dict[bytes, bytes | None], *, synced: bool) -> None:
        connection = self._connection
        wanted = "FULL" if synced else "NORMAL"
        if wanted != self._synchronous:
            # Only outside of a transaction. FULL: COMMIT fsyncs the log, earlier transactions in it included.
            connection.execute(f"PRAGMA synchronous={wanted}")
            self._synchronous = wanted
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Not INSERT OR REPLACE: that would give the row a new place in the file.
            connection.executemany(
                "INSERT INTO kv(key, value) VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value=excluded.value",
                [item for item in writes.items() if item[1] is not None],
            )
            connection.executemany(
                "DELETE FROM kv WHERE key=?", [(key,) for key, value in writes.items() if value is None]
            )
            if synced:
                connection.execute("UPDATE mark SET syncs=syncs+1")  # an empty COMMIT would not fsync
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.transactions += 1

    def _tell(self, done: Done, error: StoreError | None) -> None:
        try:
            done(error)
        except Exception:
            log.exception("a callback of the store raised")

    def _close(self) -> None:
        try:
            # Leaves one file, complete and synced: a home can be copied after the node has ended.
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as problem:
            # Nothing is lost: the log is played in when the store is opened again.
            log.warning("no checkpoint at the end: %s", explain(problem, self._path))
        self._connection.close()
