"""How a share comes to be open: scanned just now, scanned or downloaded before, or to be downloaded."""

from __future__ import annotations

import os
from collections.abc import Sequence

import attrs

from apps.files.core import bits
from apps.files.core.info import Info
from apps.files.core.layout import Layout
from apps.files.core.names import Target, safe_name, safe_paths
from apps.files.shell.beneath import Path, look, open_base
from apps.files.shell.descriptors import Descriptors
from apps.files.shell.entry import Entry
from apps.files.shell.gate import Gate
from apps.files.shell.hashing import Progress
from apps.files.shell.look import gone
from apps.files.shell.part import SUFFIX, Part, lock_part, make_files, new_part, target_of
from apps.files.shell.record import Kind, Record
from apps.files.shell.renamed import note_names, note_taken
from apps.files.shell.safe import check_room, new_names, rename_beside
from apps.files.shell.scan import Scanned
from apps.files.shell.shelf import Shelf
from apps.files.shell.verify import is_folder, verify
from overlay.errors import LocalError


@attrs.frozen(slots=True)
class Parts:
    """What every open share is made of."""

    share: bytes
    info: Info
    layout: Layout
    shelf: Shelf
    descriptors: Descriptors
    gate: Gate

    def record(self) -> Record | None:
        return self.shelf.record(self.share, len(self.info.files), self.layout.units)

    def entry(self, record: Record, paths: Sequence[Path], folders: Sequence[Path]) -> Entry:
        return Entry(
            self.share, self.info, self.layout, self.shelf, self.descriptors, self.gate, record.kind, record.base,
            record.top, record.inode, record.posix, paths, folders, list(record.stamps), record.held, record.wanted,
        )  # fmt: skip

    @property
    def all(self) -> int:
        return bits.all_of(self.layout.units)


def name_of(info: Info, *, posix: bool) -> str:
    """What the share is called on disk. Never hidden: in a home folder, a stranger's `.profile` would be run."""
    name = safe_name(info.name or info.id.hex()[:16].encode(), target=_target(posix))
    return "_" + name[1:] if name.startswith(".") else name


def _note_names(entry: Entry) -> None:
    name = name_of(entry.info, posix=entry.posix)
    note_names(entry, name)
    if entry.kind is Kind.DONE:
        note_taken(entry, name)


def _target(posix: bool) -> Target:
    return Target.POSIX if posix else Target.ANYWHERE


# --- scanned or downloaded before ----------------------------------------------------------


def of_scan(parts: Parts, scanned: Scanned) -> Entry:
    record = Record(
        Kind.SCANNED, scanned.base, scanned.top, scanned.inode, True, parts.all, parts.all, scanned.stamps
    )  # fmt: skip
    parts.shelf.put_record(parts.share, record, parts.layout.units)
    base = open_base(scanned.base)
    try:
        return parts.entry(record, *_paths(parts, record, base))
    finally:
        os.close(base)


def as_noted(parts: Parts) -> Entry | None:
    """Not looked at; None if nothing is noted."""
    record = parts.record()
    if record is None:
        return None
    try:
        base = open_base(record.base)
    except OSError:
        return parts.entry(record, [() for _ in parts.info.files], ())
    try:
        record = _renamed(record, base)
        return parts.entry(record, *_paths(parts, record, base))
    finally:
        os.close(base)


def for_seeding(parts: Parts, progress: Progress) -> Entry:
    """Of what was shared: what has changed since is not offered, and noted."""
    entry = as_noted(parts)
    if entry is None:
        raise LocalError(f"where the share {parts.share.hex()[:16]}... lies is not known any more; share it again")
    if not os.path.lexists(entry.path):
        raise LocalError(gone(entry))
    if entry.kind is Kind.PART:
        raise LocalError(f"{entry.path} is a download that has not come to its end; get it again")
    record = parts.record()
    with entry.at_base() as base:
        verify(entry, base, range(len(parts.info.files)), record, progress)
    if entry.kind is Kind.SCANNED:
        for note in parts.shelf.notes(parts.share):
            entry.notes.add(note)
    else:
        _note_names(entry)
    for file, described in enumerate(parts.info.files):
        if entry.stamps[file] is None:
            entry.notes.add(f"{'/'.join(entry.path_of(file))}: it is gone; it is no longer offered")
        elif described.length and not entry.holds(parts.layout.units_of(file)):
            entry.notes.add(f"{'/'.join(entry.path_of(file))}: it has changed since it was hashed; share it again")
    entry.save(entry.held)
    return entry


def _paths(parts: Parts, record: Record, base: int) -> tuple[Sequence[Path], Sequence[Path]]:
    """Of files and empty folders, beneath `top`."""
    files, folders = [file.path for file in parts.info.files], parts.info.folders
    if record.kind is not Kind.SCANNED:
        if parts.info.is_file:
            return [()], ()
        safe = safe_paths([*files, *folders], target=_target(record.posix))
        return safe[: len(files)], safe[len(files) :]
    if parts.info.is_file and not is_folder(base, record.top):
        return [()], ()
    return [tuple(map(os.fsdecode, path)) for path in files], [tuple(map(os.fsdecode, path)) for path in folders]


def _renamed(record: Record, base: int) -> Record:
    """A process may have died between the rename at the end and the note of it."""
    if record.kind is not Kind.PART or not record.becomes:
        return record
    found = look(record.becomes, base)
    if found is None or found.st_ino != record.inode:
        return record
    old = look(record.top, base)
    if old is not None and old.st_ino == record.inode:  # a file with both names
        os.unlink(record.top, dir_fd=base)
    return attrs.evolve(record, kind=Kind.DONE, top=record.becomes, becomes="")


# --- to be downloaded ----------------------------------------------------------------------


def for_download(parts: Parts, folder: str, wanted: tuple[int, ...] | None, margin: int, progress: Progress) -> Entry:
    """Ready to write, or to go on, or finished already."""
    units = parts.all if wanted is None else parts.layout.set_of(wanted)
    files = list(range(len(parts.info.files))) if wanted is None else sorted(set(wanted))
    os.makedirs(folder, exist_ok=True)
    folder = os.path.realpath(folder)
    base = open_base(folder)
    entry: Entry | None = None
    try:
        record = parts.record()
        if record is not None and record.kind is Kind.SCANNED:
            entry = _unchanged(parts, units, progress)
            if entry is not None:
                os.close(base)
                return entry
            record = None
        if record is not None and record.base == folder:
            record = _renamed(record, base)
            if record.kind is Kind.DONE:
                entry = _done(parts, record, base, units, progress)
                if not units & ~entry.held and all(entry.stamps[file] is not None for file in files):
                    entry.wanted |= units
                    entry.save(entry.held)
                    _note_names(entry)
                    os.close(base)
                    return entry
                record = _part_again(entry, base)
        else:
            record = None
        entry = _part(parts, record, base, folder, progress)
        entry.wanted = units
        check_room(base, parts.layout.bytes_of(units & ~entry.held), margin, folder)
        make_files(entry, base, files, folders=wanted is None)
        entry.save(entry.held)
        _note_names(entry)
        return entry
    except BaseException:
        if entry is not None:
            entry.base_descriptor = None
            entry.let_go()
        os.close(base)
        raise


def _unchanged(parts: Parts, units: int, progress: Progress) -> Entry | None:
    """What was shared from here need not be downloaded."""
    try:
        entry = for_seeding(parts, progress)
    except LocalError:
        return None
    return None if units & ~entry.held else entry


def _part(parts: Parts, record: Record | None, base: int, folder: str, progress: Progress) -> Entry:
    """Locked; what is there already is verified."""
    locked: Part | None = None
    if record is not None:
        found = look(record.top, base)
        if found is not None and found.st_ino == record.inode:
            locked = lock_part(base, record.top)
    if locked is None:
        record = None
    posix = record.posix if record is not None else target_of(base) is Target.POSIX
    if locked is None:
        locked = new_part(base, name_of(parts.info, posix=posix), is_file=parts.info.is_file)
    noted = record or Record(Kind.PART, folder, locked.top, locked.inode, posix, 0, 0, [None] * len(parts.info.files))
    entry = parts.entry(noted, *_paths(parts, noted, base))
    entry.lock_descriptor, entry.base_descriptor = locked.descriptor, base
    try:
        entry.save(entry.held)  # from now on it is known whose it is
        verify(entry, base, range(len(parts.info.files)), record, progress)
    except BaseException:
        entry.base_descriptor = None  # closed by whoever opened it
        entry.let_go()
        raise
    return entry


def _done(parts: Parts, record: Record, base: int, units: int, progress: Progress) -> Entry:
    """What was downloaded before is left alone, whatever became of it: it is its owner's now."""
    entry = parts.entry(record, *_paths(parts, record, base))
    if look(record.top, base) is None:
        raise LocalError(gone(entry))
    verify(entry, base, range(len(parts.info.files)), record, progress)
    if lost := record.held & ~entry.held:
        first = parts.layout.unit((lost & -lost).bit_length() - 1).file
        raise LocalError(
            f"{os.path.join(record.base, *entry.path_of(first))} has changed since it was downloaded, and is left as"
            " it is; remove the share, then get it again if you want it"
        )
    return entry


def _part_again(entry: Entry, base: int) -> Record:
    """More is wanted of a folder that was finished: it is a `.part` again until that is there."""
    for top in new_names(entry.top, suffix=SUFFIX):
        if rename_beside(base, entry.top, top):
            break
    else:
        raise LocalError(f"{entry.path}: too many downloads of this name are there already; remove some")
    entry.kind, entry.top = Kind.PART, top
    entry.save(entry.held)
    record = entry.shelf.record(entry.share, len(entry.info.files), entry.layout.units)
    assert record is not None
    return record
