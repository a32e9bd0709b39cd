"""Which units of a share are there: those of unchanged files by the record, all others by their hashes."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from contextlib import closing

from apps.files.core import bits
from apps.files.core.merkle import HASH_BYTES, root_of_layer
from apps.files.shell.beneath import InTheWay, Walk, look
from apps.files.shell.entry import Entry
from apps.files.shell.hashing import Piece, Progress, hash_pieces, pieces_of
from apps.files.shell.limits import JOB_BYTES
from apps.files.shell.record import Record, Stamp, stamp_of
from apps.files.shell.units import NO_HASH, proves


def verify(entry: Entry, base: int, files: Iterable[int], record: Record | None, progress: Progress) -> None:
    """Set `held` and `stamps` of the entry by what lies beneath `base`. Nothing is written."""
    trusted: list[range] = []
    doubtful: list[int] = []
    unproved: list[int] = []
    entry.stamps = [None] * len(entry.info.files)
    with Walk(base) as walk:
        for file in files:
            found = stamp_now(walk, entry, file)
            entry.stamps[file] = found
            if found is None or not entry.info.files[file].length:
                continue
            numbers = entry.layout.units_of(file)
            whole = record is not None and entry.holds(numbers, of=record.held)
            if whole and len(numbers) > 1 and not proves(entry, file, progress=progress):
                unproved.append(file)
                continue
            if record is not None and record.stamps[file] == found:
                trusted.append(numbers)
                if whole:
                    continue
            doubtful.append(file)
    units = entry.layout.units
    held = record.held & bits.of_ranges(trusted, units) if record is not None else 0
    entry.held = held
    progress.total = sum(entry.info.files[file].length for file in [*doubtful, *unproved])
    entry.held = held | bits.of_ranges(_good_units(entry, base, doubtful, progress), units)
    for file in unproved:
        if _hashed_anew(entry, base, file, progress):
            with entry.lock:
                entry.held |= bits.of_ranges([entry.layout.units_of(file)], units)


def _hashed_anew(entry: Entry, base: int, file: int, progress: Progress) -> bool:
    """Whether it is what the share says, though the hashes that were noted of it are not: they are written again. A
    power failure may have taken them, or a person."""
    length, units = entry.info.files[file].length, entry.layout.units_of(file)
    height = entry.layout.unit(units.start).height
    layer = bytearray()
    pieces = pieces_of(file, entry.path_of(file), length, height, entry.layout.unit_bytes)
    with closing(hash_pieces(base, pieces, progress)) as results:
        for hashed in results:
            if hashed.nodes is None or hashed.stamp != entry.stamps[file]:
                return False
            layer += hashed.nodes
    if root_of_layer(bytes(layer), length, height) != entry.info.files[file].root:
        return False
    entry.put_nodes(units.start, bytes(layer))
    entry.sync_nodes()
    return True


def stamp_now(walk: Walk, entry: Entry, file: int) -> Stamp | None:
    """None if there is no regular file at its place."""
    path = entry.path_of(file)
    try:
        found = look(path[-1], walk.folder(path[:-1]))
    except (FileNotFoundError, InTheWay):
        return None
    return stamp_of(found) if found is not None and stat.S_ISREG(found.st_mode) else None


def _good_units(entry: Entry, base: int, files: list[int], progress: Progress) -> Iterator[range]:
    known: dict[int, bytes] = {}
    with closing(hash_pieces(base, _candidates(entry, files, known), progress)) as results:
        for hashed in results:
            piece, found = hashed.piece, hashed.nodes
            if found is None or hashed.stamp != entry.stamps[piece.file]:
                continue  # it changes while it is read
            first = piece.offset // entry.layout.unit_bytes
            nodes = known[piece.file][HASH_BYTES * first : HASH_BYTES * first + len(found)]
            start = entry.layout.units_of(piece.file).start + first
            for index, at in enumerate(range(0, len(found), HASH_BYTES)):
                if found[at : at + HASH_BYTES] == nodes[at : at + HASH_BYTES]:
                    yield range(start + index, start + index + 1)


def _candidates(entry: Entry, files: list[int], known: dict[int, bytes]) -> Iterator[Piece]:
    """Runs of units that are not held, but whose hash is known; hashes that are all there must lead to the root."""
    for file in files:
        described, units = entry.info.files[file], entry.layout.units_of(file)
        height = entry.layout.unit(units.start).height
        assert described.root is not None
        if len(units) > 1 and not entry.knows_nodes(units):
            continue
        nodes = entry.nodes(file) if len(units) > 1 else described.root
        marks = [nodes[at : at + HASH_BYTES] != NO_HASH for at in range(0, len(nodes), HASH_BYTES)]
        if all(marks) and root_of_layer(nodes, described.length, height) != described.root:
            continue
        known[file] = nodes
        # Written after the record, but within the same tick of the clock: the stamp is that of the record.
        held = entry.held >> units.start
        marks = [mark and not held >> index & 1 for index, mark in enumerate(marks)]
        size = entry.layout.unit_bytes
        for first, end in _runs(marks, max(1, JOB_BYTES // size)):
            offset = first * size
            length = min(end * size, described.length) - offset
            yield Piece(file, entry.path_of(file), offset, length, height)


def _runs(marks: list[bool], most: int) -> Iterator[tuple[int, int]]:
    first = None
    for index, mark in enumerate([*marks, False]):
        if first is not None and (not mark or index - first == most):
            yield first, index
            first = None
        if mark and first is None:
            first = index


def is_folder(base: int, name: str) -> bool:
    found = look(name, base)
    return found is not None and stat.S_ISDIR(found.st_mode)
