"""Files that a command is to write. What can be wrong with one is said before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from p2pnode.ui.fail import fail


def check_output(path: Path) -> None:
    """Fail (usage) if it cannot be written: a folder that is not there, a name that is a folder, rights."""
    folder = path.parent
    if not folder.is_dir():
        fail("there is no such folder", code="usage", folder=str(folder), make_it=f"mkdir -p {folder}")
    if why := _unwritable(path):
        fail("this file cannot be written", code="usage", file=str(path), reason=why)


def check_picture(path: Path, *, instead: str) -> None:
    """As `check_output`, and Fail if nothing can draw it; `instead`: what needs no library."""
    check_output(path)
    from p2pnode.ui import picture

    if not picture.available():
        fail("--png needs matplotlib, which is not installed", code="usage", install="pip install 'p2pnode[plots]'",
             without=instead)  # fmt: skip


def _unwritable(path: Path) -> str:
    """Why it cannot be written, "" if it can: tried, since rights are not all that may be in the way. What is in the
    file stays, and where none was there is none."""
    is_new = not path.exists()
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o666))
        if is_new:
            path.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""
