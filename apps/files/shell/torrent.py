"""A .torrent file that somebody has on the disk."""

from __future__ import annotations

import os
import stat

from apps.files.core.limits import MAX_TORRENT_BYTES
from apps.files.core.metainfo import Torrent, decode_torrent
from overlay.errors import BadMessage, LocalError


def read_torrent(path: str) -> Torrent:
    """LocalError says why it cannot be read, or is none."""
    try:
        # Not to wait for who writes into a FIFO.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise LocalError(f"{path}: not a file")
            data = file.read(MAX_TORRENT_BYTES + 1)
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror or error}") from None
    try:
        return decode_torrent(data)
    except BadMessage as error:
        raise LocalError(f"{path}: no .torrent that can be fetched: {error.reason}") from None
