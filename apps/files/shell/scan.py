"""Making a share of what lies on the disk: listed, hashed, and left where it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing

import attrs

from apps.files.core.info import File, Info, make_info, piece_length_for
from apps.files.core.limits import UNIT_BYTES
from apps.files.core.merkle import Root, root_of_layer, unit_height
from apps.files.shell.hashing import Piece, Progress, hash_pieces, pieces_of
from apps.files.shell.listing import Found, list_tree
from apps.files.shell.record import Stamp
from apps.files.shell.sha1 import v1_pieces
from overlay.errors import LocalError


@attrs.frozen(slots=True)
class Scanned:
    info: Info
    base: str
    top: str
    inode: int
    #: In the order of `info.files`.
    stamps: list[Stamp | None] = attrs.field(repr=False)


def scan(
    path: str, name: str | None, piece_length: int | None, nodes_path: str, progress: Progress,
    on_skipped: Callable[[str], object], *, hybrid: bool = False,
) -> Scanned:  # fmt: skip
    """Hashes of all units, in their order, are written to the file `nodes_path`. `hybrid`: for clients of BitTorrent
    v1, too, which takes a second hashing.

    LocalError if it cannot be shared, or if anything writes to it meanwhile; what cannot be part of a share (links,
    devices, sockets) is skipped and told."""
    if not os.path.lexists(path):
        raise LocalError(f"{path}: there is no such file or folder")
    if os.path.islink(path.rstrip("/")):
        on_skipped(f"{path} is a symbolic link; what is shared is {os.path.realpath(path)}")
    base_path, top = os.path.split(os.path.realpath(path))
    if not top:
        raise LocalError(f"{path}: the root of all files cannot be shared")
    base = os.open(base_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inode = os.stat(top, dir_fd=base, follow_symlinks=False).st_ino
        listing = list_tree(base, top, progress, on_skipped)
        raw_name = os.fsencode(name or os.path.basename(os.path.abspath(path)) or top)
        if not listing.files and not listing.folders:
            raise LocalError(f"{path}: there is nothing in this folder to share")
        lengths = [found.stamp.size for found in listing.files]
        progress.total = sum(lengths) * (2 if hybrid else 1)
        if hybrid and not progress.total:
            raise LocalError(f"{path}: there is no byte in it, so BitTorrent v1 has nothing to fetch")
        piece = piece_length or piece_length_for(max(lengths, default=0))
        roots = _roots(base, top, listing.files, min(piece, UNIT_BYTES), nodes_path, progress)
        raw_paths = (tuple(map(os.fsencode, found.path)) or (raw_name,) for found in listing.files)
        files = [
            File(raw, found.stamp.size, root, found.executable)
            for raw, found, root in zip(raw_paths, listing.files, roots, strict=True)
        ]
        folders = [tuple(map(os.fsencode, folder)) for folder in listing.folders]
        pieces = v1_pieces(base, top, listing.files, piece, progress) if hybrid else None
        info = make_info(raw_name, files, piece_length=piece, folders=folders, v1_pieces=pieces)
        return Scanned(info, base_path, top, inode, [found.stamp for found in listing.files])
    finally:
        os.close(base)


def _roots(
    base: int, top: str, files: list[Found], unit_bytes: int, nodes_path: str, progress: Progress
) -> list[bytes | None]:
    roots: list[bytes | None] = [None] * len(files)
    above: Root | None = None
    pieces = _pieces(top, files, unit_bytes)
    with (
        open(nodes_path, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out,
        closing(hash_pieces(base, pieces, progress)) as results,
    ):
        for hashed in results:
            piece, found = hashed.piece, files[hashed.piece.file]
            if hashed.nodes is None and hashed.stamp is None:
                raise LocalError(f"{'/'.join(piece.path)} cannot be read: {hashed.error}")
            if hashed.nodes is None or hashed.stamp != found.stamp:
                raise LocalError(
                    f"{'/'.join(piece.path)} changed while it was hashed; share it when nothing writes to it any more"
                )
            out.write(hashed.nodes)
            if piece.length == found.stamp.size:
                roots[piece.file] = root_of_layer(hashed.nodes, piece.length, piece.height)
                continue
            above = above or Root(found.stamp.size, piece.height)
            above.add(hashed.nodes)
            if piece.offset + piece.length == found.stamp.size:
                roots[piece.file], above = above.root(), None
        out.flush()
        os.fsync(out.fileno())  # before the record that vouches for them
    return roots


def _pieces(top: str, files: list[Found], unit_bytes: int) -> Iterator[Piece]:
    for index, found in enumerate(files):
        if found.stamp.size:
            height = unit_height(found.stamp.size, unit_bytes=unit_bytes)
            yield from pieces_of(index, (top, *found.path), found.stamp.size, height, unit_bytes)
