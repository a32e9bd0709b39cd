"""Contents of files that are the same with every run, and the shares made of them, without a disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from apps.files.core import merkle
from apps.files.core.info import File, Info, Path, in_tree_order, make_info
from apps.files.core.limits import LEAF_BYTES
from apps.files.core.metainfo import layer_height
from apps.files.core.v1 import hash_piece


def content(seed: bytes, length: int) -> bytes:
    return hashlib.shake_128(seed).digest(length)


def tree_of(data: bytes, *, unit_bytes: int = 256 * 1024) -> merkle.Tree:
    height = merkle.unit_height(len(data), unit_bytes=unit_bytes)
    return merkle.make_tree(merkle.hash_units(data, height), len(data), height)


def file_of(path: Path, data: bytes, *, executable: bool = False) -> File:
    return File(path, len(data), tree_of(data).root if data else None, executable)


def share_of(
    name: bytes, contents: Mapping[Path, bytes], piece: int, *, hybrid: bool = False, folders: tuple[Path, ...] = ()
) -> Info:
    files = [file_of(path, data) for path, data in contents.items()]
    single = list(contents) == [(name,)]
    pieces = b"".join(
        hash_piece(contents[file.path][at : at + piece], piece, not single)
        for file in in_tree_order(files)
        for at in range(0, file.length, piece)
    )
    return make_info(name, files, piece_length=piece, folders=folders, v1_pieces=pieces if hybrid else None)


def layers_of(contents: Mapping[Path, bytes], piece: int) -> dict[bytes, bytes]:
    """Piece layers of the files that are longer than a piece, taken out of trees of units."""
    layers = {}
    for data in contents.values():
        if len(data) > piece:
            tree = tree_of(data, unit_bytes=min(piece, 16 * LEAF_BYTES))
            layers[tree.root] = tree.layer(layer_height(piece))
    return layers
