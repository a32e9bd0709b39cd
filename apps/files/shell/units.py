"""Units of an open share: read with their file looked at, written only if they have the right hash."""

from __future__ import annotations

import errno
import os
import time

from apps.files.core import disk
from apps.files.core.disk import CORRUPT, FULL, GOOD, Range, Unit
from apps.files.core.limits import UNIT_BYTES
from apps.files.core.merkle import HASH_BYTES, root_of_layer
from apps.files.shell.entry import Entry
from apps.files.shell.limits import CHECKPOINT_BYTES, CHECKPOINT_S, ROOM_BYTES
from apps.files.shell.record import Kind, stamp_of
from apps.files.shell.safe import NO_ROOM, free_bytes, read_all, write_all
from overlay.errors import LocalError

_ZEROS = bytes(UNIT_BYTES)


# --- reading -------------------------------------------------------------------------------


def read(entry: Entry, ranges: tuple[Range, ...]) -> tuple[bytes | None, ...]:
    return tuple(_read(entry, *one) for one in ranges)


def _read(entry: Entry, file: int, offset: int, length: int, height: int, node: bytes) -> bytes | None:
    units = entry.layout.units_at(file, offset, length)
    if not entry.holds(units):
        return None
    try:
        with entry.file(file) as descriptor:
            data = read_all(descriptor, offset, length)
            found = stamp_of(os.fstat(descriptor))
    except (OSError, LocalError) as error:
        entry.withdraw(file, f"it cannot be read: {getattr(error, 'strerror', None) or error}")
        return None
    if entry.kind is not Kind.PART and found != entry.stamps[file]:
        entry.withdraw(file, "it has changed since it was hashed; share it again")
        return None
    if node and not disk.is_good(height, node, data):
        entry.lose_units(units)
        entry.notes.add(
            f"{'/'.join(entry.path_of(file))}: {length} bytes at {offset} are not what was hashed; they are not given "
            "to anybody (is the disk all right?)"
        )
        return None
    return data


# --- writing -------------------------------------------------------------------------------


def write(entry: Entry, units: tuple[Unit, ...], margin: int) -> tuple[int, ...]:
    if entry.kind is not Kind.PART:
        raise LocalError(f"{entry.path} is not being downloaded: nothing is written to it")
    codes = tuple(_write(entry, unit, margin) for unit in units)
    due = entry.unsaved >= CHECKPOINT_BYTES or (entry.unsaved and time.monotonic() - entry.saved_at >= CHECKPOINT_S)
    if due and not entry.saving.locked():
        try:
            entry.checkpoint()
        except OSError as error:
            _no_room(entry, error)  # the units are written; only the next ones are not taken
    return codes


def _write(entry: Entry, unit: Unit, margin: int) -> int:
    file, offset, height, node, data = unit
    numbers = entry.layout.units_at(file, offset, 1)
    place = entry.layout.unit(numbers.start) if numbers else None
    if place is None or (place.offset, place.length, place.height) != (offset, len(data), height):
        raise LocalError(f"{len(data)} bytes at {offset} are no unit of file {file}")
    if not disk.is_good(height, node, data):
        return CORRUPT
    if entry.full or not _has_room(entry, len(data), margin):
        return FULL
    try:
        with entry.file(file) as descriptor:
            if not (_is_zero(data) and _is_hole(descriptor, offset, len(data))):
                write_all(descriptor, data, offset)
        entry.put_nodes(numbers.start, node)
    except OSError as error:
        _no_room(entry, error)
        return FULL
    with entry.lock:
        entry.held |= 1 << numbers.start
        entry.dirty.add(file)
        entry.unsaved += len(data)
    return GOOD


def _has_room(entry: Entry, length: int, margin: int) -> bool:
    with entry.lock:
        entry.room -= length
        if entry.room > 0:
            return True
        entry.room = ROOM_BYTES
    with entry.at_base() as base:
        entry.full = free_bytes(base) < margin + length
    return not entry.full


def _no_room(entry: Entry, error: OSError) -> None:
    if error.errno in NO_ROOM:
        entry.full = True
    elif error.errno == errno.EROFS:
        raise LocalError(
            f"{entry.base}: the file system can only be read now; what is there is kept, resume when it can be written"
        ) from None
    else:
        raise LocalError(f"{entry.path} cannot be written: {error.strerror}") from None


def _is_zero(data: bytes | memoryview) -> bool:
    return not data[0] and not data[-1] and data == _ZEROS[: len(data)]


def _is_hole(descriptor: int, offset: int, length: int) -> bool:
    """Nothing was ever written there. A file system that knows no holes says that all is data."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        return error.errno == errno.ENXIO


# --- hashes --------------------------------------------------------------------------------


def keep_layer(entry: Entry, file: int, layer: bytes) -> None:
    units = entry.layout.units_of(file)
    if len(layer) != HASH_BYTES * len(units):
        raise LocalError(f"{len(layer)} bytes are not the hashes of {len(units)} units")
    try:
        entry.put_nodes(units.start, layer)
    except OSError as error:
        _no_room(entry, error)


def layer(entry: Entry, file: int) -> bytes:
    """b"" unless it is whole and leads to the root."""
    nodes = entry.nodes(file)
    return nodes if proves(entry, file, nodes) else b""


def proves(entry: Entry, file: int, nodes: bytes) -> bool:
    described = entry.info.files[file]
    if described.root is None:
        return False
    height = entry.layout.unit(entry.layout.units_of(file).start).height
    return root_of_layer(nodes, described.length, height) == described.root
