"""What a share is: the info dictionary of BEP 52, whose SHA-256 is its id.

A hybrid one carries the list of files and the hashes of BEP 3 as well, so that clients that know only BitTorrent v1
find the same data under the SHA-1 of the same bytes. Both halves must say the same, or the two swarms of one link
would hold different files.

Names stay as they came, as bytes: apps.files.core.names says what they are called on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from apps.files.core import bencode
from apps.files.core.limits import (
    MAX_DEPTH,
    MAX_FILE_BYTES,
    MAX_FILES,
    MAX_INFO_BYTES,
    MAX_INFO_DEPTH,
    MAX_INFO_ITEMS,
    MAX_PIECE_BYTES,
    MAX_RAW_NAME,
    MAX_RAW_PATH,
    MIN_PIECE_BYTES,
    PIECES_AIMED_AT,
    UNIT_BYTES,
)
from apps.files.core.merkle import HASH_BYTES
from apps.files.core.v1 import PIECE_HASH_BYTES, check_v1_half, v1_half
from overlay.errors import BadMessage, LimitError, LocalError

#: Names of folders and the file, outermost first, as they came.
Path = tuple[bytes, ...]


@attrs.frozen(slots=True)
class File:
    path: Path
    length: int
    #: BEP 52 `pieces root`; None if and only if the file is empty.
    root: bytes | None
    #: BEP 47 attribute x.
    executable: bool = False


@attrs.frozen(slots=True)
class Info:
    #: The bencoded info dictionary itself.
    raw: bytes = attrs.field(repr=False)
    #: SHA-256 of `raw`: the id of the share.
    id: bytes
    #: SHA-1 of `raw` if the share is hybrid.
    v1_id: bytes | None
    #: As it came; may be empty.
    name: bytes
    piece_length: int
    #: In the order of the file tree: by bytes of the names, folder by folder.
    files: tuple[File, ...] = attrs.field(repr=False)
    #: Folders in which there is nothing.
    folders: tuple[Path, ...] = attrs.field(repr=False)
    #: BEP 27: to be announced nowhere.
    private: bool
    #: SHA-1 of each piece if the share is hybrid, one after another.
    v1_pieces: bytes | None = attrs.field(repr=False)
    #: Bytes of all files.
    length: int

    @property
    def short_id(self) -> bytes:
        """The 20 bytes of the id that stand in handshakes, in the DHT and at trackers of BitTorrent v2."""
        return self.id[:20]

    @property
    def is_file(self) -> bool:
        """The share is one file, not a folder (BEP 52: "a torrent containing a single file")."""
        return not self.folders and len(self.files) == 1 and self.files[0].path == (self.name,)


def piece_length_for(length: int) -> int:
    """A unit, or as much more as keeps the number of pieces of one large file at 16,384."""
    piece = UNIT_BYTES
    while length > piece * PIECES_AIMED_AT and piece < MAX_PIECE_BYTES:
        piece *= 2
    return piece


# --- making one ----------------------------------------------------------------------------


def make_info(
    name: bytes,
    files: Sequence[File],
    *,
    piece_length: int,
    folders: Sequence[Path] = (),
    private: bool = False,
    v1_pieces: bytes | None = None,
) -> Info:
    """The share of these files, in any order. Of one file alone make `files[0].path == (name,)`.

    `v1_pieces`: SHA-1 of each piece (`v1.hash_piece`) in the order of `in_tree_order`, for a hybrid share.
    LocalError if no correct peer would take it, LimitError if it is too large."""
    tree: dict[bytes, Any] = {}
    for file in files:
        folder = _folder(tree, file.path[:-1])
        entry: dict[bytes, Any] = {b"length": file.length}
        if file.root is not None:
            entry[b"pieces root"] = file.root
        if file.executable:
            entry[b"attr"] = b"x"
        if file.path[-1] in folder:
            raise LocalError(f"two files are called {file.path!r}")
        folder[file.path[-1]] = {b"": entry}
    for path in folders:
        _folder(tree, path)
    info: dict[bytes, Any] = {b"file tree": tree, b"meta version": 2, b"name": name, b"piece length": piece_length}
    if private:
        info[b"private"] = 1
    if v1_pieces is not None:
        listed = [(file.path, file.length, file.executable) for file in in_tree_order(files)]
        single = len(files) == 1 and not folders and files[0].path == (name,)
        info |= v1_half(listed, piece_length, v1_pieces, single=single)
    raw = bencode.encode(info)
    if len(raw) > MAX_INFO_BYTES:
        raise LimitError(
            f"the list of {len(files)} files takes {len(raw)} bytes, at most {MAX_INFO_BYTES}: share it in parts"
        )
    try:
        return decode_info(raw)
    except BadMessage as error:
        raise LocalError(f"this cannot be shared: {error.reason}") from None


def in_tree_order(files: Sequence[File]) -> list[File]:
    """The files as the tree has them: a folder's entries by the bytes of their names."""
    return sorted(files, key=lambda file: file.path)


def _folder(tree: dict[bytes, Any], path: Path) -> dict[bytes, Any]:
    if len(path) > MAX_DEPTH:
        raise LocalError(f"this cannot be shared: folders nested deeper than {MAX_DEPTH}")
    for name in path:
        tree = tree.setdefault(name, {})
        if b"" in tree:
            raise LocalError(f"{name!r} is a file and a folder")
    return tree


# --- reading one ---------------------------------------------------------------------------


def decode_info(raw: bytes) -> Info:
    """The share that these bytes describe; BadMessage if they describe none, or past a bound.

    16 MiB take seconds: a pure function for `ctx.compute`."""
    fields = bencode.decode(raw, max_bytes=MAX_INFO_BYTES, max_items=MAX_INFO_ITEMS, max_depth=MAX_INFO_DEPTH)
    if type(fields) is not dict:
        raise BadMessage("not an info dictionary")
    return info_of(raw, fields)


def info_of(raw: bytes, fields: dict[bytes, Any]) -> Info:
    """As `decode_info`, of an info dictionary that is decoded already."""
    match fields.get(b"meta version"), fields.get(b"file tree"):
        case 2, dict(tree):
            pass
        case None, _:
            raise BadMessage("a share of BitTorrent v1 only: it has no SHA-256 to be named and checked by")
        case version, _:
            raise BadMessage(f"an info dictionary of version {version if type(version) is int else '?'}, not 2")
    piece, name = fields.get(b"piece length"), fields.get(b"name", b"")
    if type(piece) is not int or not MIN_PIECE_BYTES <= piece <= MAX_PIECE_BYTES or piece & piece - 1:
        raise BadMessage("the piece length is no power of two from 16 KiB to 256 MiB")
    if type(name) is not bytes or len(name) > MAX_RAW_NAME:
        raise BadMessage("the name of the share is no name")
    files: list[File] = []
    folders: list[Path] = []
    for path, entry in _walk(tree, (), 0, 0):
        if entry is None:
            folders.append(path)
        elif (file := _file(path, entry)) is not None:
            files.append(file)
        if len(files) + len(folders) > MAX_FILES:
            raise BadMessage(f"more than {MAX_FILES} files")
    length = sum(file.length for file in files)
    if not (files or folders) or length > MAX_FILE_BYTES:
        raise BadMessage("no files" if not (files or folders) else "more bytes than a file system holds")
    pieces = fields.get(b"pieces")
    if pieces is not None:
        if type(pieces) is not bytes or len(pieces) % PIECE_HASH_BYTES:
            raise BadMessage("the hashes of version 1 are no hashes")
        check_v1_half(fields, [(file.path, file.length) for file in files], name, piece, pieces)
    return Info(
        raw, hashlib.sha256(raw).digest(), hashlib.sha1(raw, usedforsecurity=False).digest() if pieces else None,
        name, piece, tuple(files), tuple(folders), fields.get(b"private") == 1, pieces or None, length,
    )  # fmt: skip


def _walk(tree: dict[bytes, Any], path: Path, depth: int, size: int) -> Iterator[tuple[Path, dict[bytes, Any] | None]]:
    """(path, entry) of each file, and (path, None) of each empty folder."""
    if depth > MAX_DEPTH:
        raise BadMessage(f"folders nested deeper than {MAX_DEPTH}")
    for name, node in tree.items():
        if type(node) is not dict or not name:
            raise BadMessage("a file without a name, or a name without a file")
        if len(name) > MAX_RAW_NAME or size + len(name) >= MAX_RAW_PATH:
            raise BadMessage(f"a path of more than {MAX_RAW_PATH} bytes")
        here = (*path, name)
        entry = node.get(b"")
        if not node:
            yield here, None
        elif entry is None:
            yield from _walk(node, here, depth + 1, size + len(name) + 1)
        elif len(node) == 1 and type(entry) is dict:
            yield here, entry
        else:
            raise BadMessage("a file that is a folder, too")


def _file(path: Path, entry: dict[bytes, Any]) -> File | None:
    length, root, attributes = entry.get(b"length"), entry.get(b"pieces root"), entry.get(b"attr", b"")
    if type(attributes) is not bytes:
        raise BadMessage("attributes of a file that are none")
    if b"l" in attributes:
        # BEP 47: a symbolic link. None is ever made, so it is as if it were not there.
        return None
    if type(length) is not int or not 0 <= length <= MAX_FILE_BYTES:
        raise BadMessage("the length of a file is no length")
    if length == 0:
        root = None
    elif type(root) is not bytes or len(root) != HASH_BYTES:
        raise BadMessage("a file without a root")
    return File(path, length, root, b"x" in attributes)
