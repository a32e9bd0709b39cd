"""What the core of file sharing asks of the disk: the operations that a shell gives to the application, by name.

Each is called in a thread through `ctx.operate(name, *args)`. Arguments and results are immutable. What goes wrong
for all of a call is raised as OSError or OverlayError, and its text is shown to a person; what goes wrong for one
part of it is a code in the result. A share is named by the 32 bytes of its id, a file by its index in `Info.files`.
Units are those of apps.files.core.layout.

    scan(path, name, piece_length) -> (raw info, share id)
        Hash a file or folder for sharing; `name` and `piece_length` may be None. From now on its content is read
        where it is. LocalError for what cannot be shared.
    scan_hybrid(path, name, piece_length) -> (raw info, share id)
        The same for clients of BitTorrent v1, too: it is hashed with SHA-1 as well.
    open(share, raw info, folder, wanted) -> (path, held), or why there is no room for it (a text)
        Make ready to write, or to go on: safe names, sparse `.part` files, room. `wanted`: indices of files, or
        None for all. `raw info` is kept. `held`: bits of the units that are there and were found good (first unit in
        the highest bit): what a record of an earlier run claims is only a hint. For a share that was scanned, `raw
        info` and `folder` are empty and `held` says what has not changed. A share that was paused,
        or whose disk was full, is opened again without being forgotten in between.
    info(share) -> raw info, or b"" if it is not known here
    read(share, ((file, offset, length, height, node), ...)) -> (bytes | None, ...)
        Each is hashed in the same hop (`is_good`), so that a rotten disk is noticed and never sent; what has no `node`
        (b"") is not. None: it cannot be read, the file has changed since it was hashed, or it has not that node. At
        most BATCH_BYTES.
    write(share, ((file, offset, height, node, data), ...)) -> (code, ...)
        For each unit: hash it (`is_good`), and write it if it has that node; one hop to a thread for both. GOOD,
        CORRUPT or FULL. At most BATCH_BYTES and BATCH_UNITS. `data` may be a memoryview.
    blank(share, first, count) -> code
        These units of the share, all of one file and full, are zeros by their hashes, which the core has proved: holes
        where there can be some. GOOD or FULL.
    look(share) -> held
        As of `open`, of what is all here: files that have changed or are gone since they were hashed count no longer.
        Nothing is read. LocalError if all of it is gone.
    keep_layer(share, file, layer) -> None;  layer(share, file) -> bytes
        The nodes of a file at the height of units (merkle.unit_height), so that others can be given proofs later;
        b"" if they are not there. `scan` keeps those of what it hashed. The core has checked them up to the root.
    finish(share) -> path
        All that was wanted is there: fsync, then rename to the final names. From now on it is read there.
    progress(what) -> (bytes done, of so many) of the `scan` of this path, or the `open` of the share with this id in
        hex, that is under way; None if there is none. Of a total that is not known yet: 0.
    stop(what) -> None
        The same scan or open ends with LocalError, soon.
    notes(share) -> (text, ...)
        What a person should know: what was left out of the share, or is withdrawn, and why.
    take_torrent(path) -> share id
        The info dictionary of a .torrent file is known from now on. LocalError if it is none.
    export(share, path) -> None
        A new .torrent file with the hashes of pieces. LocalError if they are not all here.
    forget(share, erase) -> None
        Close it. With `erase` what was downloaded is deleted; what was scanned never is.
"""

from __future__ import annotations

from typing import Final

from apps.files.core.merkle import hash_unit

OPERATIONS: Final = (
    "scan", "open", "info", "read", "write", "keep_layer", "layer", "finish", "forget", "progress", "stop", "notes",
    "take_torrent", "scan_hybrid", "export", "look", "blank",
)  # fmt: skip

#: Codes of `write`.
GOOD: Final = 0
CORRUPT: Final = 1
FULL: Final = 2

#: (file, offset, length, height, node).
Range = tuple[int, int, int, int, bytes]
#: (file, offset, height, node, data).
Unit = tuple[int, int, int, bytes, bytes | memoryview]


def is_good(height: int, node: bytes, data: bytes | memoryview) -> bool:
    """Whether a unit of the right length has this node of the tree; every `read` and `write` must ask it."""
    return hash_unit(data, height) == node
