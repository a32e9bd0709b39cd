"""SHA-256 of files that people name: what is anchored, and what proofs are about."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path

from p2pnode.ui.fail import fail
from p2pnode.ui.render import one_line


def digest_of_file(path: str | Path) -> bytes | None:
    """None if nothing is there. Fail (usage) if it cannot be read, or is no file: a pipe or a device has no end, and
    other bytes each time."""
    name = one_line(str(path))
    try:
        # Of a pipe without a writer `open` would wait for one.
        with open(path, "rb", opener=lambda where, flags: os.open(where, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                fail("neither a file nor a digest: a pipe or a device", code="usage", this=name,
                     expected="a file, or 64 hex digits (SHA-256)")  # fmt: skip
            return hashlib.file_digest(file, "sha256").digest()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        fail("a folder has no digest", code="usage", folder=name, name_its_files=f"{name}/*")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
            return None  # no name of a file, such as the digits of something else
        fail("the file cannot be read", code="usage", file=name, reason=error.strerror or str(error))


def digest_of_own(path: Path) -> bytes:
    """The same of a file that must be there."""
    found = digest_of_file(path)
    if found is None:
        fail("no such file", code="usage", file=one_line(str(path)))
    return found
