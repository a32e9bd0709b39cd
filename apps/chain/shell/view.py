"""A chain's file read by another process than its node's: one moment of it, and no writer waits for the reader.

It works on a node that runs, on one that was stopped or killed (what is left in its log counts), and on a disk that
can only be read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from apps.chain.shell.limits import BUSY_S, CACHE_KIB, STATEMENTS
from apps.chain.shell.reading import ReadStore
from apps.chain.shell.schema import DiskError, explain, found_version, version


@contextlib.contextmanager
def open_view(path: Path) -> Iterator[ReadStore]:
    """The chain in the file as it is now, in one read transaction: whatever is asked, the answers fit together.

    DiskError if the file is missing, no chain, of another version, damaged, or cannot be read."""
    _check_readable(path)
    db, is_frozen = _opened(path)
    try:
        yield ReadStore(db, path)
    finally:
        db.close()
    if is_frozen and _has_log(path):
        facts = {"file": str(path), "reason": "a node was started meanwhile", "again": "run the command once more"}
        raise DiskError("the chain changed while it was read", facts)


def _check_readable(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        raise DiskError("there is no chain here", {"looked for": str(path), "start one": "p2pnode run"}) from None
    except OSError as error:
        facts = {"file": str(path), "reason": error.strerror or str(error), "look": f"ls -la '{path.parent}'"}
        raise DiskError("the chain cannot be read", facts) from None


def _opened(path: Path) -> tuple[sqlite3.Connection, bool]:
    """In its read transaction; True if sqlite3 was told that nobody writes to the file."""
    try:
        return _begun(path, "mode=ro"), False
    except sqlite3.OperationalError as error:
        # The log has an index in shared memory, a file beside it. Where none can be made and there is no log, nobody
        # writes, and the file alone is the chain. `immutable` would pass over a log in silence.
        if _has_log(path):
            raise _unreadable(error, path) from None
    except sqlite3.Error as error:
        raise explain(error, path) from None
    try:
        return _begun(path, "mode=ro&immutable=1"), True
    except sqlite3.Error as error:
        raise explain(error, path) from None


def _begun(path: Path, options: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, timeout=BUSY_S, isolation_level=None,
        check_same_thread=False, cached_statements=STATEMENTS,
    )  # fmt: skip
    try:
        # A folder may be a stranger's: nothing in its schema is run, and cells are checked before they are used
        # (https://www.sqlite.org/security.html).
        for pragma in (f"cache_size=-{CACHE_KIB}", "trusted_schema=OFF", "cell_size_check=ON"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        db.execute("BEGIN")
        # The first read chooses the moment: that of the version.
        found = found_version(db, path)
        if found < version():
            facts = {
                "file": str(path), "its version": str(found), "known here": str(version()),
                "bring it up to date": "p2pnode run",
            }  # fmt: skip
            raise DiskError("this chain was written by an older p2pnode", facts)
    except BaseException:
        db.close()
        raise
    return db


def _has_log(path: Path) -> bool:
    try:
        return os.stat(f"{path}-wal").st_size > 0
    except OSError:
        return False


def _unreadable(error: sqlite3.OperationalError, path: Path) -> DiskError:
    name: str = getattr(error, "sqlite_errorname", None) or ""
    if not name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return explain(error, path)
    copy = f"cp '{path}'* DIR && chain-explorer --data DIR …"
    facts = {"file": str(path), "reason": f"{error} ({name})", "copy it to where you may write": copy}
    return DiskError("the chain has a log, and nothing can be written beside it", facts)
