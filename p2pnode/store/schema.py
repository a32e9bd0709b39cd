"""The file itself: how it is opened, its tables, how an older one becomes a newer one, what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from p2pnode.paths import HomeError
from p2pnode.ui.sqlite import damaged, told

#: Version 1, and what each step makes of the version before: STEPS[0] leads from 1 to 2. A new file takes all steps.
#: Never edit a step that was released; append one, and commit a file of the version before as a test fixture.
CREATE = (
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE kv(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES('version', 1)",
)
STEPS: tuple[tuple[str, ...], ...] = (
    # 2: with rowids. WITHOUT ROWID keeps at most 1,002 bytes of a row in a 4 kB page, so every record of 1 kB took an
    # overflow page: 94 MB instead of 28 for 20,000 records, and a third to an eighth of the speed.
    (
        "CREATE TABLE kv2(key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)",
        "INSERT INTO kv2 SELECT key, value FROM kv ORDER BY key",
        "DROP TABLE kv",
        "ALTER TABLE kv2 RENAME TO kv",
        # A row that `sync` can change when nothing else is to be written, so that there is a frame to fsync.
        "CREATE TABLE mark(syncs INTEGER NOT NULL)",
        "INSERT INTO mark VALUES(0)",
    ),
)
VERSION = 1 + len(STEPS)

#: Bytes of write-ahead log that stay on disk after a checkpoint; a large batch may make it longer for a while.
_WAL_KEPT = 16 * 1024 * 1024

_OF = "the store"
_COMES_BACK = "the key stays; records come back from other peers"


class StoreError(HomeError):
    """The store cannot be used, or could not write."""


def connect(path: Path) -> sqlite3.Connection:
    """Open (or create, 0600) in autocommit mode: a transaction is what BEGIN and COMMIT say. Raises StoreError."""
    try:
        # sqlite3 would create it as the umask says; -wal and -shm then take its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(
            "the store cannot be opened",
            facts={"file": str(path), "reason": error.strerror or str(error), "look": "p2pnode doctor"},
        ) from None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise explain(error, path) from None
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute(f"PRAGMA journal_size_limit={_WAL_KEPT}").fetchall()
        # A transaction outlives the process (it is in the page cache), not the power: `sync` asks for FULL.
        connection.execute("PRAGMA synchronous=NORMAL")
        # macOS: fsync alone does not empty the drive's cache (fsync(2) there). No effect elsewhere.
        connection.execute("PRAGMA fullfsync=1")
    except sqlite3.Error as error:
        connection.close()
        raise explain(error, path) from None
    return connection


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or bring those of an earlier version up to date: all steps or none. Raises StoreError."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                _run(connection, CREATE)
            found = _version(connection, path)
            for step in STEPS[found - 1 :]:
                _run(connection, step)
            if found != VERSION:
                connection.execute("UPDATE meta SET value=? WHERE name='version'", (VERSION,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from None


def _run(connection: sqlite3.Connection, statements: tuple[str, ...]) -> None:
    for statement in statements:
        connection.execute(statement)


def _version(connection: sqlite3.Connection, path: Path) -> int:
    try:
        ((found,),) = connection.execute("SELECT value FROM meta WHERE name='version'").fetchall()
    except (sqlite3.OperationalError, ValueError):
        found = None
    if not isinstance(found, int) or found < 1:
        raise StoreError(
            "this file is a database of another program",
            facts={"file": str(path), "name another home": "p2pnode --home DIR …"},
        )
    if found > VERSION:
        raise StoreError(
            "this store was written by a newer p2pnode",
            facts={
                "file": str(path),
                "its version": str(found),
                "known here": f"up to {VERSION}",
                "get the newer one": "pip install --upgrade p2pnode",
            },
        )
    return found


def check_store(path: Path) -> StoreError | None:
    """What is wrong with the file, or inside it; None if nothing is. Reads all of it and writes nothing."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            rows = connection.execute("PRAGMA quick_check(1)").fetchall()
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                _version(connection, path)
        finally:
            connection.close()
    except sqlite3.Error as error:
        return explain(error, path)
    except StoreError as error:
        return error
    return None if rows == [("ok",)] else _damaged(path, str(rows[0][0]))


def _damaged(path: Path, reason: str) -> StoreError:
    what, facts = damaged(path, reason, of=_OF, comes_back=_COMES_BACK)
    return StoreError(what, facts=facts)


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """An error of sqlite3 as what happened, the facts, the next command."""
    what, facts = told(error, path, of=_OF, comes_back=_COMES_BACK)
    return StoreError(what, facts=facts)
