"""Units of an open share: read with their file looked at, written only if they have the right hash."""

from __future__ import annotations

import errno
import os
import time

from apps.files.core import disk
from apps.files.core.disk import CORRUPT, FULL, GOOD, Range, Unit
from apps.files.core.limits import UNIT_BYTES
from apps.files.core.merkle import HASH_BYTES, ZERO, Root
from apps.files.shell.entry import Entry
from apps.files.shell.hashing import Progress
from apps.files.shell.limits import CHECKPOINT_BYTES, CHECKPOINT_S, NODES_AT_ONCE, ROOM_BYTES
from apps.files.shell.record import Kind, stamp_of
from apps.files.shell.safe import NO_ROOM, PASSING, free_bytes, is_hole, read_all, segments, write_all
from overlay.errors import LocalError

_ZEROS = bytes(UNIT_BYTES)
_NOT_GIVEN = "they are not given to anybody (is the disk all right?)"
#: In the place of a hash that is not known.
NO_HASH = bytes(HASH_BYTES)


# --- reading -------------------------------------------------------------------------------


def read(entry: Entry, ranges: tuple[Range, ...]) -> tuple[bytes | None, ...]:
    """OSError if nothing can be read at this moment (PASSING): of the files that says nothing."""
    return tuple(_read(entry, *one) for one in ranges)


def _read(entry: Entry, file: int, offset: int, length: int, height: int, node: bytes) -> bytes | None:
    units = entry.layout.units_at(file, offset, length)
    if not entry.holds(units):
        return None
    try:
        with entry.file(file) as descriptor:
            data = read_all(descriptor, offset, length)
            found = stamp_of(os.fstat(descriptor))
    except OSError as error:
        if error.errno in PASSING:
            raise
        if error.errno == errno.EIO:  # a bad place of the disk: the rest of the file may be all right
            entry.lose_units(units)
            entry.notes.add(f"{'/'.join(entry.path_of(file))}: {length} bytes at {offset} cannot be read; {_NOT_GIVEN}")
        else:
            entry.withdraw(file, f"it cannot be read: {error.strerror or error}")
        return None
    except LocalError as error:
        entry.withdraw(file, f"it cannot be read: {error}")
        return None
    if entry.kind is not Kind.PART and found != entry.stamps[file]:
        entry.withdraw(file, "it has changed since it was hashed; share it again")
        return None
    if node and not disk.is_good(height, node, data):
        entry.lose_units(units)
        entry.notes.add(
            f"{'/'.join(entry.path_of(file))}: {length} bytes at {offset} are not what was hashed; {_NOT_GIVEN}"
        )
        return None
    return data


# --- writing -------------------------------------------------------------------------------


def write(entry: Entry, units: tuple[Unit, ...], margin: int) -> tuple[int, ...]:
    _check_open(entry)
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
            if not (_is_zero(data) and is_hole(descriptor, offset, len(data))):
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


def blank(entry: Entry, first: int, count: int) -> int:
    """Zeros are written only over what is there: a part of another download, or of a file system without holes."""
    _check_open(entry)
    place = entry.layout.unit(first)
    numbers = range(first, first + count)
    size = entry.layout.unit_bytes
    if not count or entry.layout.units_at(place.file, place.offset, count * size) != numbers:
        raise LocalError(f"{count} units from {first} on are not of one file")
    if entry.layout.unit(numbers[-1]).length != size:
        raise LocalError(f"unit {numbers[-1]} is not full")
    try:
        with entry.file(place.file) as descriptor:
            for start, end in segments(descriptor, place.offset, place.offset + count * size):
                for at in range(start, end, len(_ZEROS)):
                    write_all(descriptor, _ZEROS[: end - at], at)
        entry.put_nodes(first, ZERO[place.height] * count)
    except OSError as error:
        _no_room(entry, error)
        return FULL
    with entry.lock:
        entry.held |= (1 << count) - 1 << first
        entry.dirty.add(place.file)
    return GOOD


def _check_open(entry: Entry) -> None:
    if entry.kind is not Kind.PART:
        raise LocalError(f"{entry.path} is not being downloaded: nothing is written to it")


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
    return entry.nodes(file) if proves(entry, file) else b""


def proves(entry: Entry, file: int, *, progress: Progress | None = None) -> bool:
    """Whether the hashes of its units that are here are all there, and lead to the root. 17 ms for 8 GiB."""
    described = entry.info.files[file]
    if described.root is None:
        return False
    units = entry.layout.units_of(file)
    root = Root(described.length, entry.layout.unit(units.start).height)
    for at in range(0, len(units), NODES_AT_ONCE):
        if progress is not None:
            progress.advance(0)
        nodes = entry.some_nodes(units[at : at + NODES_AT_ONCE])
        if NO_HASH in nodes:  # one is not known, so no need to hash the rest
            return False
        root.add(nodes)
    return root.root() == described.root
