"""Where the log goes: stderr for a person, a bounded file for later.

Standard library: the import costs 12 ms; structlog costs 110, and what a peer reports is already structured
(overlay.events). A module says `log = logging.getLogger(__name__)`.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TextIO

from p2pnode.paths import HomeError

#: Our own packages; others (hypercorn, zeroconf, trio) are heard from WARNING on, and in full from -vvv.
OURS = ("p2pnode", "overlay", "apps", "simulations")
#: A file and one older: a week of a busy node at level info, and a bound.
MAX_FILE = 16 * 1024 * 1024
OLDER_FILES = 1
_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _Lines(logging.Formatter):
    """One line a message, in local time; control characters cannot forge lines or reach a terminal."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        first, *rest = super().format(record).split("\n")
        text = "\n    ".join([first, *rest])
        return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def set_up(
    *, level: str = "warning", verbosity: int = 0, file: Path | None = None, stream: TextIO | None = None
) -> None:
    """Send the log to `stream` (stderr) and `file`; call once a process, again to change it.

    `verbosity` counts -v: each says one level more than `level`; from three on foreign libraries speak too.
    The file gets at least INFO. HomeError if it cannot be written.
    """
    wanted = max(logging.DEBUG, _LEVELS[level] - 10 * verbosity)
    shown = logging.StreamHandler(stream or sys.stderr)
    shown.setLevel(wanted)
    handlers: list[logging.Handler] = [shown]
    if file is not None:
        written = _file(file)
        written.setLevel(min(wanted, logging.INFO))
        handlers.append(written)
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, _Lines):  # ours; a test's capture stays
            root.removeHandler(old)
            old.close()
    for handler in handlers:
        handler.setFormatter(_Lines(_FORMAT))
        root.addHandler(handler)
    lowest = min(handler.level for handler in handlers)
    for name in OURS:
        logging.getLogger(name).setLevel(lowest)
    root.setLevel(lowest if verbosity >= 3 else max(lowest, logging.WARNING))


def _file(path: Path) -> logging.Handler:
    from logging.handlers import RotatingFileHandler  # 9 ms, only for --log-file

    try:
        # It may name peers and keys of records: nobody else's business.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return RotatingFileHandler(path, maxBytes=MAX_FILE, backupCount=OLDER_FILES, encoding="utf-8")
    except OSError as error:
        raise HomeError(
            "the log file cannot be written", facts={"file": str(path), "reason": error.strerror or str(error)}
        ) from None
