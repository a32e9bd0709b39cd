"""The file of a chain: how it is opened, its tables, how an older one becomes a newer one, what its errors mean.

Small rows with random keys are WITHOUT ROWID: the table is its own index. Headers, bodies and undo are ordinary
tables under one number: their rows are large, and stand in the order in which they came.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from apps.chain.shell.limits import BUSY_S, CACHE_KIB, CHECKPOINT_PAGES, STATEMENTS, WAL_KEPT_BYTES
from overlay.errors import LocalError
from p2pnode.ui.sqlite import damaged as sqlite_damaged
from p2pnode.ui.sqlite import told

#: In the folder of the application.
FILE_NAME: Final = "chain.db"
#: PRAGMA application_id: "xnch".
APPLICATION: Final = 0x786E6368

#: Version 1, and what each step makes of the version before: STEPS[0] leads from 1 to 2. A new file takes all steps.
#: Never edit a step that was released; append one, and commit a file of the version before as a test fixture.
CREATE: Final = (
    # Numbers that may be 2**63 or more (work, difficulty) are bytes: their length, then the big-endian number.
    "CREATE TABLE header(n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, height INTEGER NOT NULL, parent BLOB NOT NULL,"
    " work BLOB NOT NULL, time INTEGER NOT NULL, solve_s INTEGER NOT NULL, difficulty BLOB NOT NULL,"
    " txs INTEGER NOT NULL, miner BLOB NOT NULL, raw BLOB NOT NULL, status INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " seen_ms INTEGER NOT NULL, trusted INTEGER NOT NULL, why TEXT NOT NULL)",
    # Children of a block are looked for at the next height: an index of parents would be a third random one.
    "CREATE INDEX header_height ON header(height)",
    "CREATE INDEX header_work ON header(work) WHERE status >= 0",
    "CREATE INDEX header_seq ON header(seq) WHERE seq > 0",
    # n: of the header. Apart from each other, as undo comes later and would write the body again.
    "CREATE TABLE body(n INTEGER PRIMARY KEY, raw BLOB NOT NULL)",
    "CREATE TABLE undo(n INTEGER PRIMARY KEY, undo BLOB NOT NULL)",
    "CREATE TABLE reorg(n INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, fork INTEGER NOT NULL, old BLOB NOT NULL,"
    " old_height INTEGER NOT NULL, new BLOB NOT NULL, new_height INTEGER NOT NULL)",
    "CREATE TABLE active(height INTEGER PRIMARY KEY, id BLOB NOT NULL, time INTEGER NOT NULL, difficulty BLOB NOT NULL,"
    " miner BLOB NOT NULL, txs INTEGER NOT NULL, operations INTEGER NOT NULL, size INTEGER NOT NULL,"
    " fees INTEGER NOT NULL)",
    # For an explorer alone (core.store.Index), as are name_owner and anchor_tag: which blocks are of a miner.
    "CREATE INDEX active_miner ON active(miner)",
    "CREATE TABLE account(key BLOB PRIMARY KEY NOT NULL, balance INTEGER NOT NULL, nonce INTEGER NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE name(name BLOB PRIMARY KEY NOT NULL, owner BLOB NOT NULL, value BLOB NOT NULL,"
    " expires INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX name_owner ON name(owner)",
    "CREATE TABLE anchor(digest BLOB NOT NULL, height INTEGER NOT NULL, pos INTEGER NOT NULL, op INTEGER NOT NULL,"
    " tag BLOB NOT NULL, PRIMARY KEY(digest, height, pos, op)) WITHOUT ROWID",
    "CREATE INDEX anchor_tag ON anchor(tag) WHERE tag <> x''",
    "CREATE TABLE evidence(key BLOB PRIMARY KEY NOT NULL, culprit BLOB NOT NULL, height INTEGER NOT NULL,"
    " pos INTEGER NOT NULL, op INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE tx(txid BLOB PRIMARY KEY NOT NULL, height INTEGER NOT NULL, pos INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE touch(key BLOB NOT NULL, height INTEGER NOT NULL, pos INTEGER NOT NULL,"
    " PRIMARY KEY(key, height, pos)) WITHOUT ROWID",
    # What else is kept, by name.
    "CREATE TABLE note(name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
)
STEPS: tuple[tuple[str, ...], ...] = ()

_OF = "the chain"
_COMES_BACK = "the keys stay; blocks come back from other peers"


class DiskError(LocalError):
    """The chain's file cannot be used, or not be written."""

    def __init__(self, what: str, facts: Mapping[str, str]) -> None:
        super().__init__(f"{what} ({'; '.join(f'{label}: {text}' for label, text in facts.items())})")
        self.what = what
        #: Label and text, in order; the last one is what to do.
        self.facts = dict(facts)


def explain(error: sqlite3.Error, path: Path) -> DiskError:
    return DiskError(*told(error, path, of=_OF, comes_back=_COMES_BACK))


def damaged(path: Path, reason: str) -> DiskError:
    return DiskError(*sqlite_damaged(path, reason, of=_OF, comes_back=_COMES_BACK))


def connect(path: Path) -> sqlite3.Connection:
    """Open (or create, 0600) for writing; a transaction is what BEGIN and COMMIT say. Raises DiskError."""
    try:
        # sqlite3 would create it as the umask says; -wal and -shm then take its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        facts = {"file": str(path), "reason": error.strerror or str(error), "look": f"ls -la '{path.parent}'"}
        raise DiskError("the chain cannot be opened", facts) from None
    try:
        db = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS
        )
    except sqlite3.Error as error:
        raise explain(error, path) from None
    try:
        for pragma in (
            "journal_mode=WAL", f"journal_size_limit={WAL_KEPT_BYTES}", f"wal_autocheckpoint={CHECKPOINT_PAGES}",
            f"cache_size=-{CACHE_KIB}", "synchronous=FULL",
            # macOS: fsync alone does not empty the drive's cache (fsync(2) there). No effect elsewhere.
            "fullfsync=1",
        ):  # fmt: skip
            db.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error as error:
        db.close()
        raise explain(error, path) from None
    return db


def version() -> int:
    """Of a file as it is written now."""
    return 1 + len(STEPS)


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Create the tables, or bring those of an earlier version up to date: all steps or none. Raises DiskError."""
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                _run(db, CREATE)
                db.execute(f"PRAGMA application_id={APPLICATION}")
                db.execute("PRAGMA user_version=1")
            found = found_version(db, path)
            for step in STEPS[found - 1 :]:
                _run(db, step)
            if found != version():
                db.execute(f"PRAGMA user_version={version()}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    except sqlite3.Error as error:
        raise explain(error, path) from None


def _run(db: sqlite3.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        db.execute(statement)


def found_version(db: sqlite3.Connection, path: Path) -> int:
    """Of the file that is open. DiskError if it is no chain, or one of a newer version; sqlite3.Error."""
    ((application,),) = db.execute("PRAGMA application_id").fetchall()
    ((found,),) = db.execute("PRAGMA user_version").fetchall()
    if application != APPLICATION or found < 1:
        facts = {"file": str(path), "name another": "chain-explorer --data DIR …"}
        raise DiskError("this file is no chain", facts)
    if found > version():
        facts = {
            "file": str(path), "its version": str(found), "known here": f"up to {version()}",
            "get the newer one": "pip install --upgrade p2pnode",
        }  # fmt: skip
        raise DiskError("this chain was written by a newer p2pnode", facts)
    return int(found)
