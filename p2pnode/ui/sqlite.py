"""What an error of sqlite3 means to people: what happened, the facts, the next command."""

from __future__ import annotations

import itertools
import os
import sqlite3
from pathlib import Path


def told(error: sqlite3.Error, path: Path, *, of: str, comes_back: str) -> tuple[str, dict[str, str]]:
    """(what, facts), the last of which is what to type. https://www.sqlite.org/rescode.html

    `of`: what the file is, "the store". `comes_back`: what happens if it is put aside, "records come back"."""
    name: str = getattr(error, "sqlite_errorname", None) or "SQLITE_ERROR"
    reason = f"{error} ({name})"
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return damaged(path, reason, of=of, comes_back=comes_back)
    facts = {"file": str(path), "reason": reason}
    if name == "SQLITE_FULL":
        return "the disk is full", facts | {"find room": f"df -h '{path.parent}'"}
    if name.startswith("SQLITE_IOERR"):
        return "the disk reports an error", facts | {"look": f"dmesg | tail; df -h '{path.parent}'"}
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return f"{of} cannot be written", facts | {"look": f"ls -la '{path.parent}'"}
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"another program is writing to {of}", facts | {"find it": f"fuser -v '{path}'"}
    return f"{of} failed", facts | {"look": "p2pnode doctor"}


def damaged(path: Path, reason: str, *, of: str, comes_back: str) -> tuple[str, dict[str, str]]:
    """As `told`, of a file that is not what sqlite3 would have written."""
    folder = path.parent
    aside = _fresh(folder)
    # With its -wal: sqlite would play a forgotten one into the new file. Under a node that runs it would be torn.
    afresh = f"mkdir '{aside}' && mv '{folder}/{path.name}'* '{aside}/'"
    facts = {
        "file": str(path), "reason": reason, "stop the node first": "p2pnode stop",
        "start afresh": f"{afresh}   ({comes_back})",
    }  # fmt: skip
    return f"{of} is damaged", facts


def _fresh(folder: Path) -> Path:
    """A folder in it that is not there yet."""
    names = itertools.chain(["damaged"], (f"damaged-{number}" for number in itertools.count(2)))
    return next(path for name in names if not os.path.lexists(path := folder / name))
