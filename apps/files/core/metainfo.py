""".torrent files of BEP 52: an info dictionary with the piece layers of its files.

The layers are checked up to the roots, so whoever holds a .torrent can check every piece as it comes. Trackers and
the rest of what stands in such a file is not looked at: sources are found by other ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from apps.files.core import bencode
from apps.files.core.info import Info, info_of
from apps.files.core.limits import (
    LEAF_BYTES,
    MAX_INFO_BYTES,
    MAX_INFO_DEPTH,
    MAX_INFO_ITEMS,
    MAX_TORRENT_BYTES,
)
from apps.files.core.merkle import root_of_layer
from overlay.errors import BadMessage, LimitError, LocalError


@attrs.frozen(slots=True)
class Torrent:
    info: Info
    #: By root: 32 bytes for each piece of a file that is longer than one. Those of some files may be missing.
    layers: Mapping[bytes, bytes] = attrs.field(repr=False)


def layer_height(piece_length: int) -> int:
    """Height above the leaves at which a piece is a node."""
    return (piece_length // LEAF_BYTES).bit_length() - 1


def encode_torrent(info: Info, layers: Mapping[bytes, bytes]) -> bytes:
    """A .torrent; `layers` must have the piece layer (`Tree.layer(layer_height(piece_length))`) of every file that is
    longer than a piece. LocalError if one is missing or wrong, LimitError if it would be too large to be read back."""
    kept: dict[bytes, bytes] = {}
    for file in info.files:
        if file.root is not None and file.length > info.piece_length:
            layer = layers.get(file.root)
            if layer is None or not _leads_to(file.root, layer, file.length, info.piece_length):
                raise LocalError(f"the hashes of the pieces of {file.path!r} are not there: share or fetch it first")
            kept[file.root] = layer
    data = bencode.encode({b"info": bencode.Encoded(info.raw), b"piece layers": kept})
    if len(data) > MAX_TORRENT_BYTES:
        raise LimitError(f"the .torrent would have {len(data)} bytes, at most {MAX_TORRENT_BYTES}: take longer pieces")
    return data


def decode_torrent(data: bytes) -> Torrent:
    """What a .torrent describes, each piece layer in it checked up to its root; BadMessage if it is none.

    Tens of MiB take seconds: a pure function for `ctx.compute`."""
    fields = bencode.decode(data, max_bytes=MAX_TORRENT_BYTES, max_items=MAX_INFO_ITEMS, max_depth=MAX_INFO_DEPTH)
    if type(fields) is not dict or type(fields.get(b"info")) is not dict:
        raise BadMessage("not a .torrent: it holds no info dictionary")
    raw = bencode.encode(fields[b"info"])  # the very bytes that were hashed: there is no other encoding
    if len(raw) > MAX_INFO_BYTES:
        raise BadMessage(f"an info dictionary of more than {MAX_INFO_BYTES} bytes")
    info = info_of(raw, fields[b"info"])
    return Torrent(info, _checked(fields.get(b"piece layers", {}), info))


def _checked(layers: Any, info: Info) -> dict[bytes, bytes]:
    if type(layers) is not dict:
        raise BadMessage("the piece layers are no dictionary")
    good: dict[bytes, bytes] = {}
    checked: set[tuple[bytes, int]] = set()
    for file in info.files:
        if file.root is None or file.length <= info.piece_length or (file.root, file.length) in checked:
            continue
        layer = layers.get(file.root)
        if layer is None:
            continue
        if type(layer) is not bytes or not _leads_to(file.root, layer, file.length, info.piece_length):
            raise BadMessage("a piece layer that does not lead to the root of its file")
        checked.add((file.root, file.length))
        good[file.root] = layer
    return good


def _leads_to(root: bytes, layer: bytes, length: int, piece_length: int) -> bool:
    try:
        return root_of_layer(layer, length, layer_height(piece_length)) == root
    except BadMessage:
        return False
