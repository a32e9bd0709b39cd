"""The half of a hybrid share that clients of BitTorrent v1 read: BEP 3, with the pad files of BEP 47.

Pieces of v1 go across files, those of v2 do not. So every file is followed by as many zeros as fill its last piece,
as a file of its own that clients do not write. The last file has them, too: so does libtorrent, and equal shares
should have equal ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from overlay.errors import BadMessage, LocalError

#: SHA-1.
PIECE_HASH_BYTES = 20


def hash_piece(data: bytes | memoryview, piece_length: int, fill: bool) -> bytes:
    """SHA-1 of a piece, 20 bytes: a pure function for `ctx.compute`. `fill`: with zeros to its whole length, as the
    last piece of a file in a folder; not if the share is that one file."""
    sha = hashlib.sha1(data, usedforsecurity=False)
    if fill and len(data) < piece_length:
        sha.update(bytes(piece_length - len(data)))
    return sha.digest()


def v1_half(
    files: Sequence[tuple[tuple[bytes, ...], int, bool]], piece_length: int, pieces: bytes, *, single: bool
) -> dict[bytes, Any]:
    """What a hybrid info dictionary has beside v2; `files` are (path, length, executable) in order of the tree."""
    count = sum(-(-length // piece_length) for _, length, _ in files)
    if len(pieces) != PIECE_HASH_BYTES * count or not count:
        raise LocalError(f"{len(pieces)} bytes of SHA-1 hashes for {count} pieces: a hybrid share needs one for each")
    if single:
        return {b"length": files[0][1], b"pieces": pieces}
    listed: list[dict[bytes, Any]] = []
    for path, length, executable in files:
        listed.append({b"length": length, b"path": list(path)} | ({b"attr": b"x"} if executable else {}))
        if gap := -length % piece_length:
            listed.append({b"attr": b"p", b"length": gap, b"path": [b".pad", b"%d" % gap]})
    return {b"files": listed, b"pieces": pieces}


def check_v1_half(
    fields: dict[bytes, Any], files: Sequence[tuple[tuple[bytes, ...], int]], name: bytes, piece: int, pieces: bytes
) -> None:
    """BadMessage unless BEP 3's list of files says what the file tree says: (path, length), in its order."""
    if b"files" in fields:
        total = _check_list(fields[b"files"], files, piece)
    elif len(files) == 1 and files[0] == ((name,), fields.get(b"length")):
        total = files[0][1]
    else:
        raise BadMessage("the two halves of a hybrid share do not hold the same file")
    if len(pieces) != PIECE_HASH_BYTES * -(-total // piece):
        raise BadMessage("a hybrid share with another number of pieces than hashes")


def _check_list(listed: object, files: Sequence[tuple[tuple[bytes, ...], int]], piece: int) -> int:
    """Bytes of all files, pads included."""
    if type(listed) is not list:
        raise BadMessage("the files of version 1 are no list")
    expected = iter(files)
    offset = 0
    for entry in listed:
        match entry:
            case {b"length": int(length), b"path": list(path), **rest} if length >= 0:
                attributes = rest.get(b"attr", b"")
            case {b"path": list(), b"attr": bytes(attributes), **rest} if b"l" in attributes:
                continue
            case _:
                raise BadMessage("a file of version 1 without length or path")
        if type(attributes) is not bytes:
            raise BadMessage("attributes of a file that are none")
        if b"l" in attributes:
            continue
        if b"p" in attributes:
            if length != -offset % piece:
                raise BadMessage("a pad file that does not fill its piece")
        elif (length and offset % piece) or next(expected, None) != (tuple(path), length):
            raise BadMessage("the two halves of a hybrid share do not hold the same files")
        offset += length
    if next(expected, None) is not None:
        raise BadMessage("the two halves of a hybrid share do not hold the same files")
    return offset
