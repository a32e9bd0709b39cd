"""The store of a ledger in sqlite3: one transaction for all that a block changes, or for a whole change of branch.

One thread at a time calls it. Whatever goes wrong on the disk is a DiskError, after which the transaction can only
be rolled back: nothing of it is in the file. Once there is room again the next one goes through.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Iterable
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from apps.chain.core.limits import MAX_REORGS, MAX_UNSYNCED
from apps.chain.core.rows import (
    Account,
    ActiveRow,
    AnchorRow,
    EvidenceRow,
    HeaderRow,
    NameRow,
    Reorg,
    Status,
    Touch,
    TxRow,
)
from apps.chain.core.store import Table
from apps.chain.shell.columns import HEADER, TABLES, getter, of_active, of_header
from apps.chain.shell.reading import KEPT_FROM, ReadStore
from apps.chain.shell.schema import DiskError, connect, explain, prepare
from overlay.errors import LocalError


class _State(enum.Enum):
    IDLE = enum.auto()
    OPEN = enum.auto()
    #: The disk said no: what was written since `begin` is gone already.
    FAILED = enum.auto()


def _insert(table: str, columns: str, key: str) -> str:
    """Replaces a row in its place."""
    names = columns.split(", ")
    changes = ", ".join(f"{name}=excluded.{name}" for name in names if name not in key.split(", "))
    then = f"UPDATE SET {changes}" if changes else "NOTHING"
    return f"INSERT INTO {table}({columns}) VALUES({', '.join('?' * len(names))}) ON CONFLICT({key}) DO {then}"


_PUT_HEADER: Final = _insert("header", HEADER, "id")
_PUT: Final = {table: _insert(*names) for table, names in TABLES.items()}
_VALUES: Final[dict[Table, Callable[[Any], tuple[Any, ...]]]] = {
    table: getter(columns) for table, (_, columns, _) in TABLES.items()
} | {Table.ACTIVE: of_active}
_ANCHOR_KEY: Final = attrgetter("digest", "height", "pos", "op")


def open_store(path: Path) -> SqliteStore:
    """Open or create; brings older files up to date. DiskError. Whoever opens it holds the lock of the home."""
    db = connect(path)
    try:
        prepare(db, path)
    except BaseException:
        db.close()
        raise
    return SqliteStore(db, path)


class SqliteStore(ReadStore):
    """A Store, which is a View that can be written. Made by `open_store`; `close` it."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        super().__init__(db, path)
        self._state = _State.IDLE
        self._has_savepoint = False
        #: Why nothing is written any more: a sync failed, and nobody knows what of the file is on the disk
        #: (https://wiki.postgresql.org/wiki/Fsync_Errors).
        self._poison: DiskError | None = None
        self._sync_each = 1
        self._unsynced = 0
        self._is_full = True

    def sync_each(self, commits: int) -> None:
        """`commit` waits for the disk every so many times: 1 at the tip, up to MAX_UNSYNCED while catching up.

        Killed processes lose nothing either way; a loss of power loses whole commits, the newest ones."""
        self._sync_each = commits

    def pace(self, behind: int) -> None:
        """`sync_each` as often as is right with so many blocks still to come."""
        self.sync_each(MAX_UNSYNCED if behind > 0 else 1)

    def close(self) -> None:
        """Rolls back what is open, moves the log into the file and syncs it: one file is left, to be copied."""
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if self._poison is None:
                self._db.execute("PRAGMA synchronous=FULL")
                # Nobody waits for readers: what they hold back stays in the log.
                self._db.execute("PRAGMA busy_timeout=0").fetchall()
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error:
            pass  # nothing is lost: the log is played in when the file is opened again
        finally:
            self._db.close()

    # --- transactions ---

    def begin(self) -> None:
        if self._state is _State.OPEN:
            raise LocalError("a transaction is open already")
        if self._poison is not None:
            raise self._poison
        is_full = self._unsynced + 1 >= self._sync_each
        if is_full is not self._is_full:
            # Only outside of a transaction. FULL: COMMIT syncs the log, earlier transactions in it included.
            self._run(f"PRAGMA synchronous={'FULL' if is_full else 'NORMAL'}")
            self._is_full = is_full
        self._run("BEGIN IMMEDIATE")
        self._state = _State.OPEN

    def commit(self) -> None:
        self._check_open()
        self._run("COMMIT")
        self._state, self._has_savepoint = _State.IDLE, False
        self._unsynced = 0 if self._is_full else self._unsynced + 1

    def rollback(self) -> None:
        if self._state is _State.OPEN:
            self._run("ROLLBACK")
        elif self._state is _State.IDLE:
            raise LocalError("no transaction is open")
        self._state, self._has_savepoint = _State.IDLE, False

    def savepoint(self) -> None:
        self._check_open()
        if self._has_savepoint:
            raise LocalError("there is a savepoint already")
        self._run("SAVEPOINT here")
        self._has_savepoint = True

    def rollback_to(self) -> None:
        self._check_savepoint()
        self._run("ROLLBACK TO here")

    def release(self) -> None:
        self._check_savepoint()
        self._run("RELEASE here")
        self._has_savepoint = False

    def _check_open(self) -> None:
        if self._state is _State.IDLE:
            raise LocalError("no transaction is open")
        if self._state is _State.FAILED:
            raise LocalError("the disk failed in this transaction: it can only be rolled back")

    def _check_savepoint(self) -> None:
        self._check_open()
        if not self._has_savepoint:
            raise LocalError("there is no savepoint")

    def _run(self, sql: str, values: Any = ()) -> int:
        """Rows that were changed."""
        try:
            return self._db.execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _write(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._check_open()
        try:
            self._db.executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _failed(self, error: sqlite3.Error) -> DiskError:
        found = explain(error, self.path)
        if getattr(error, "sqlite_errorname", "") in ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"):
            found.facts["then start the node again"] = "p2pnode run"
            self._poison = found
        try:
            # Some errors have rolled back by themselves; then there is nothing to do.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            self._poison = found
        self._state, self._has_savepoint = _State.FAILED, False
        return found

    # --- blocks ---

    def put_headers(self, rows: Iterable[HeaderRow]) -> None:
        self._write(_PUT_HEADER, map(of_header, rows))

    def set_status(self, blocks: Iterable[bytes], status: Status, *, why: str = "") -> None:
        self._write("UPDATE header SET status=?, why=? WHERE id=?", [(int(status), why, block) for block in blocks])

    def put_block(self, block: bytes, raw: bytes) -> None:
        self._put_beside("body", "raw", block, raw)

    def put_undo(self, block: bytes, undo: bytes) -> None:
        self._put_beside("undo", "undo", block, undo)

    def _put_beside(self, table: str, column: str, block: bytes, data: bytes) -> None:
        self._check_open()
        sql = f"INSERT OR REPLACE INTO {table}(n, {column}) SELECT n, ? FROM header WHERE id=?"
        if self._run(sql, (data, block)) != 1:
            raise LocalError(f"the header of block {block.hex()} is not here")

    def delete_bodies(self, blocks: Iterable[bytes]) -> None:
        keys = [(block,) for block in blocks]
        for table in ("body", "undo"):
            self._write(f"DELETE FROM {table} WHERE n=(SELECT n FROM header WHERE id=?)", keys)

    def forget_below(self, height: int) -> None:
        first = max(1, self.kept_from())
        for table in ("body", "undo"):
            sql = f"DELETE FROM {table} WHERE n IN (SELECT n FROM header WHERE height>=? AND height<?)"
            self._write(sql, [(first, height)])
        self.put_note(KEPT_FROM, height.to_bytes(8, "big"))

    def add_reorg(self, reorg: Reorg) -> None:
        sql = "INSERT INTO reorg(at_ms, fork, old, old_height, new, new_height) VALUES(?, ?, ?, ?, ?, ?)"
        row = reorg.at_ms, reorg.fork, reorg.old, reorg.old_height, reorg.new, reorg.new_height
        self._write(sql, [row])
        self._write("DELETE FROM reorg WHERE n<=(SELECT max(n) FROM reorg)-?", [(MAX_REORGS,)])

    # --- the chain that counts ---

    def push_active(self, row: ActiveRow) -> None:
        self._check_open()
        next_height = self._one("SELECT max(height)+1 FROM active") or 0
        if row.height != next_height:
            raise LocalError(f"height {row.height} is not the next, {next_height}")
        self._put(Table.ACTIVE, [row])

    def pop_active(self) -> None:
        self._write("DELETE FROM active WHERE height=(SELECT max(height) FROM active)", [()])

    # --- what it says ---

    def _put(self, table: Table, rows: Iterable[Any]) -> None:
        self._write(_PUT[table], map(_VALUES[table], rows))

    def _delete(self, table: str, column: str, keys: Iterable[bytes]) -> None:
        self._write(f"DELETE FROM {table} WHERE {column}=?", [(key,) for key in keys])

    def put_accounts(self, rows: Iterable[Account]) -> None:
        self._put(Table.ACCOUNTS, rows)

    def delete_accounts(self, keys: Iterable[bytes]) -> None:
        self._delete("account", "key", keys)

    def put_names(self, rows: Iterable[NameRow]) -> None:
        self._put(Table.NAMES, rows)

    def delete_names(self, names: Iterable[bytes]) -> None:
        self._delete("name", "name", names)

    def put_anchors(self, rows: Iterable[AnchorRow]) -> None:
        self._put(Table.ANCHORS, rows)

    def delete_anchors(self, rows: Iterable[AnchorRow]) -> None:
        self._write("DELETE FROM anchor WHERE digest=? AND height=? AND pos=? AND op=?", map(_ANCHOR_KEY, rows))

    def put_evidence(self, rows: Iterable[EvidenceRow]) -> None:
        self._put(Table.EVIDENCE, rows)

    def delete_evidence(self, keys: Iterable[bytes]) -> None:
        self._delete("evidence", "key", keys)

    def put_txs(self, rows: Iterable[TxRow]) -> None:
        self._put(Table.TXS, rows)

    def delete_txs(self, txids: Iterable[bytes]) -> None:
        self._delete("tx", "txid", txids)

    def put_touches(self, rows: Iterable[Touch]) -> None:
        self._put(Table.TOUCHES, rows)

    def delete_touches(self, rows: Iterable[Touch]) -> None:
        self._write("DELETE FROM touch WHERE key=? AND height=? AND pos=?", map(_VALUES[Table.TOUCHES], rows))

    def put_note(self, name: str, value: bytes) -> None:
        """A note by name, read by `note`."""
        self._write("INSERT OR REPLACE INTO note VALUES(?, ?)", [(name, value)])
