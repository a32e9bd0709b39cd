"""The second hashing of a hybrid share: SHA-1 of its pieces, which clients of BitTorrent v1 check by (BEP 3)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from apps.files.core.limits import MIB
from apps.files.core.v1 import PIECE_HASH_BYTES
from apps.files.shell.beneath import Walk, open_file
from apps.files.shell.hashing import Progress
from apps.files.shell.listing import Found
from apps.files.shell.record import stamp_of
from apps.files.shell.safe import read_all
from overlay.errors import LocalError

#: Read at once: a piece may have 256 MiB.
_CHUNK = 4 * MIB


def v1_pieces(base: int, top: str, files: Sequence[Found], piece_length: int, progress: Progress) -> bytes:
    """20 bytes for each piece, in the order of the files; behind each of several files stands a pad of zeros.

    LocalError if a file cannot be read, or is not what it was when it was listed."""
    fill = any(found.path for found in files)
    hashes = bytearray()
    with Walk(base) as walk:
        for found in files:
            path = (top, *found.path)
            try:
                descriptor = open_file(path[-1], walk.folder(path[:-1]))
                try:
                    for offset in range(0, found.stamp.size, piece_length):
                        hashes += _hash_piece(descriptor, offset, piece_length, fill, progress)
                    same = stamp_of(os.fstat(descriptor)) == found.stamp
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise LocalError(f"{'/'.join(path)} cannot be read: {error.strerror or error}") from None
            if not same:
                raise LocalError(
                    f"{'/'.join(path)} changed while it was hashed; share it when nothing writes to it any more"
                )
    assert len(hashes) % PIECE_HASH_BYTES == 0
    return bytes(hashes)


def _hash_piece(descriptor: int, offset: int, piece_length: int, fill: bool, progress: Progress) -> bytes:
    sha, left = hashlib.sha1(usedforsecurity=False), piece_length
    while left and (data := read_all(descriptor, offset, min(_CHUNK, left))):
        sha.update(data)
        offset, left = offset + len(data), left - len(data)
        progress.advance(len(data))
    while fill and left:
        pad = bytes(min(_CHUNK, left))
        sha.update(pad)
        left -= len(pad)
    return sha.digest()
