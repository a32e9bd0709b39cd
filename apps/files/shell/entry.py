"""One share on the disk while it is open: where its files are, and which of its units are good."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs

from apps.files.core.info import Info
from apps.files.core.layout import Layout
from apps.files.core.merkle import HASH_BYTES
from apps.files.shell.beneath import Path, Walk, look, open_base, open_path
from apps.files.shell.descriptors import Descriptors
from apps.files.shell.gate import Gate
from apps.files.shell.limits import MAX_NOTES, MAX_SINGLE_SYNCS
from apps.files.shell.record import Kind, Record, Stamp, stamp_of
from apps.files.shell.safe import read_all, sync_file_system, write_all
from apps.files.shell.shelf import Shelf

#: In the place of a file's index: the file of hashes.
_NODES = -1


@attrs.define(slots=True, eq=False)
class Notes:
    """What a person should be told of a share, the first MAX_NOTES of it."""

    lines: list[str] = attrs.field(factory=list, init=False)
    more: int = attrs.field(default=0, init=False)

    def add(self, line: str) -> None:
        if len(self.lines) < MAX_NOTES:
            self.lines.append(line)
        else:
            self.more += 1

    def all(self) -> tuple[str, ...]:
        return (*self.lines, *([f"... and {self.more} more"] if self.more else []))


@attrs.define(slots=True, eq=False)
class Entry:
    share: bytes
    info: Info = attrs.field(repr=False)
    layout: Layout
    shelf: Shelf
    descriptors: Descriptors
    gate: Gate
    kind: Kind
    #: Folder around it, and its name there: `.part` while it is downloaded.
    base: str
    top: str
    inode: int
    posix: bool
    #: Beneath `top`: of each file, and of each empty folder.
    paths: Sequence[Path] = attrs.field(repr=False)
    folders: Sequence[Path] = attrs.field(repr=False)
    stamps: list[Stamp | None] = attrs.field(repr=False)
    #: Bits of units.
    held: int = attrs.field(default=0, repr=False)
    wanted: int = attrs.field(default=0, repr=False)
    notes: Notes = attrs.field(factory=Notes)
    #: Of a download: `base`, and the lock on `top`.
    base_descriptor: int | None = None
    lock_descriptor: int | None = None
    #: Guards `held`, `dirty` and `unsaved`.
    lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    saving: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    #: Files written since they were last made safe, and how many bytes of them, and when that was.
    dirty: set[int] = attrs.field(factory=set, init=False)
    unsaved: int = attrs.field(default=0, init=False)
    saved_at: float = attrs.field(factory=time.monotonic, init=False)
    #: The disk is; until the share is opened again.
    full: bool = attrs.field(default=False, init=False)
    #: Bytes until free space is looked at again.
    room: int = attrs.field(default=0, init=False)

    @property
    def path(self) -> str:
        return os.path.join(self.base, self.top)

    def path_of(self, file: int) -> Path:
        """From `base`."""
        return (self.top, *self.paths[file])

    def holds(self, units: range, *, of: int | None = None) -> bool:
        """Whether all of them are in `held`, or in another set."""
        some = (1 << len(units)) - 1
        return (self.held if of is None else of) >> units.start & some == some

    def holds_any(self, units: range) -> bool:
        return self.held >> units.start & (1 << len(units)) - 1 != 0

    def lose(self, file: int) -> None:
        """No unit of it counts as held any more."""
        self.lose_units(self.layout.units_of(file))

    def lose_units(self, units: range) -> None:
        with self.lock:
            self.held &= ~((1 << len(units)) - 1 << units.start)

    def withdraw(self, file: int, reason: str) -> None:
        """It is given to nobody any more, and its owner is told."""
        self.lose(file)
        self.notes.add(f"{'/'.join(self.path_of(file))}: {reason}")
        self.descriptors.drop(self.share, file=file)

    @contextmanager
    def at_base(self) -> Iterator[int]:
        """Seeds are many: the folder around one is open only while it is used."""
        if self.base_descriptor is not None:
            yield self.base_descriptor
            return
        descriptor = open_base(self.base)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def file(self, file: int) -> Iterator[int]:
        """Its descriptor, for writing while the share is being downloaded."""
        write = self.kind is Kind.PART

        def opener() -> int:
            with self.at_base() as base:
                return open_path(base, self.path_of(file), write=write)

        with self.descriptors.use((self.share, file, write), opener) as descriptor:
            yield descriptor

    # --- hashes of units --------------------------------------------------------------------

    def nodes(self, file: int) -> bytes:
        """Those of all units of a file; zeros where one is not known."""
        return self.some_nodes(self.layout.units_of(file))

    def some_nodes(self, units: range) -> bytes:
        with self._nodes() as descriptor:
            data = read_all(descriptor, HASH_BYTES * units.start, HASH_BYTES * len(units))
        return data.ljust(HASH_BYTES * len(units), b"\0")

    def knows_nodes(self, units: range) -> bool:
        """Whether that of any of them, or of a later one, was ever written."""
        with self._nodes() as descriptor:
            return os.fstat(descriptor).st_size > HASH_BYTES * units.start

    def put_nodes(self, first: int, nodes: bytes) -> None:
        with self._nodes() as descriptor:
            write_all(descriptor, nodes, HASH_BYTES * first)

    def sync_nodes(self) -> None:
        with self._nodes() as descriptor:
            os.fsync(descriptor)

    @contextmanager
    def _nodes(self) -> Iterator[int]:
        key = (self.share, _NODES, True)
        with self.descriptors.use(key, lambda: self.shelf.open_nodes(self.share)) as descriptor:
            yield descriptor

    # --- what is safe -----------------------------------------------------------------------

    def checkpoint(self, *, becomes: str = "") -> None:
        """What was written before is on the disk after this, and noted so that the next run need not look at it."""
        with self.saving:
            with self.lock:
                held, dirty = self.held, sorted(self.dirty)
                self.dirty, self.unsaved = set(), 0
            try:
                self._sync(dirty)
                self._stamp(dirty)
            except BaseException:
                with self.lock:
                    self.dirty.update(dirty)
                raise
            self.save(held, becomes=becomes)
            self.saved_at = time.monotonic()

    def save(self, held: int, *, becomes: str = "") -> None:
        record = Record(
            self.kind, self.base, self.top, self.inode, self.posix, held, self.wanted, self.stamps, becomes
        )  # fmt: skip
        self.shelf.put_record(self.share, record, self.layout.units)

    def _sync(self, files: list[int]) -> None:
        if not files:
            return
        if len(files) > MAX_SINGLE_SYNCS:
            with self.at_base() as base:
                sync_file_system(base)
        else:
            for file in files:
                with self.file(file) as descriptor:
                    os.fsync(descriptor)
        self.sync_nodes()

    def _stamp(self, files: list[int]) -> None:
        with self.at_base() as base, Walk(base) as walk:
            for file in files:
                path = self.path_of(file)
                found = look(path[-1], walk.folder(path[:-1]))
                self.stamps[file] = None if found is None else stamp_of(found)

    # --- the end ----------------------------------------------------------------------------

    def let_go(self) -> None:
        """Close everything; the lock of a download goes with it."""
        self.descriptors.drop(self.share)
        for descriptor in (self.lock_descriptor, self.base_descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self.lock_descriptor = self.base_descriptor = None
