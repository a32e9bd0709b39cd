"""A .torrent file that somebody has on the disk, or wants there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from apps.files.core.info import Info
from apps.files.core.limits import MAX_TORRENT_BYTES, UNIT_BYTES
from apps.files.core.merkle import make_tree, unit_height
from apps.files.core.metainfo import Torrent, decode_torrent, encode_torrent, layer_height
from apps.files.shell.safe import write_all
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


def write_torrent(path: str, info: Info, layer: Callable[[int], bytes]) -> None:
    """A new file with the piece layers, made of the hashes of units that `layer` gives for a file.

    LocalError if they are not all there, if there is something of this name, or if it cannot be written."""
    data = encode_torrent(info, _piece_layers(info, layer))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            write_all(descriptor, data, 0)
            os.fsync(descriptor)
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(descriptor)
    except FileExistsError:
        raise LocalError(f"{path}: there is something of this name already; choose another one") from None
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror or error}") from None


def _piece_layers(info: Info, layer: Callable[[int], bytes]) -> dict[bytes, bytes]:
    layers: dict[bytes, bytes] = {}
    for index, file in enumerate(info.files):
        if file.root is not None and file.length > info.piece_length and file.root not in layers:
            height = unit_height(file.length, unit_bytes=min(UNIT_BYTES, info.piece_length))
            try:
                layers[file.root] = make_tree(layer(index), file.length, height).layer(layer_height(info.piece_length))
            except BadMessage:  # not all of them are here; whoever writes them says so
                continue
    return layers
