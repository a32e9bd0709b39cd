"""The disk of one node for file sharing: what apps.files.core.disk asks for, for use by any thread.

    Files(Disk(folder).operations())

A shell says `leave` before the end.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import attrs

from apps.files.core import bits, disk
from apps.files.core.info import Info, decode_info
from apps.files.core.layout import layout_of
from apps.files.shell import opening, part, units
from apps.files.shell.descriptors import Descriptors
from apps.files.shell.entry import Entry, Notes
from apps.files.shell.gate import Gate
from apps.files.shell.hashing import Progress
from apps.files.shell.limits import MARGIN_BYTES
from apps.files.shell.look import look
from apps.files.shell.record import Kind
from apps.files.shell.safe import NO_ROOM, NoRoom
from apps.files.shell.scan import scan
from apps.files.shell.shelf import Shelf
from apps.files.shell.torrent import read_torrent, write_torrent
from overlay.errors import LocalError


@attrs.define(slots=True, eq=False)
class Disk:
    """`folder`: for its own notes, inside the home of the node. `margin`: bytes that a download leaves free."""

    folder: str
    margin: int = attrs.field(default=MARGIN_BYTES, kw_only=True)
    descriptors: Descriptors = attrs.field(factory=Descriptors, init=False)
    _shelf: Shelf = attrs.field(init=False)
    _entries: dict[bytes, Entry] = attrs.field(factory=dict, init=False)
    _gates: WeakValueDictionary[bytes, Gate] = attrs.field(factory=WeakValueDictionary, init=False)
    _working: dict[str, Progress] = attrs.field(factory=dict, init=False)
    _leaving: bool = attrs.field(default=False, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._shelf = Shelf(os.path.abspath(self.folder))
        self._shelf.prepare()

    def operations(self) -> dict[str, Callable[..., Any]]:
        """For `App.operations`."""
        found = {name: partial(_in_words, getattr(self, name)) for name in disk.OPERATIONS}
        return found | {"open": partial(_or_full, self.open)}

    # --- opening ----------------------------------------------------------------------------

    def scan(self, path: str, name: str | None, piece_length: int | None) -> tuple[bytes, bytes]:
        return self._scan(path, name, piece_length, hybrid=False)

    def scan_hybrid(self, path: str, name: str | None, piece_length: int | None) -> tuple[bytes, bytes]:
        return self._scan(path, name, piece_length, hybrid=True)

    def _scan(self, path: str, name: str | None, piece_length: int | None, *, hybrid: bool) -> tuple[bytes, bytes]:
        notes, nodes = Notes(), self._shelf.new_nodes()
        with self._work(path) as progress:
            try:
                scanned = scan(path, name, piece_length, nodes, progress, notes.add, hybrid=hybrid)
                share = scanned.info.id
                with self._gate(share).alone():
                    before = self._entries.get(share) or self._load(share)
                    if (
                        before is not None
                        and before.kind is not Kind.SCANNED
                        and before.path == os.path.join(scanned.base, scanned.top)
                    ):  # what was downloaded lies there; whoever removes it may want to erase it
                        if before.kind is Kind.PART:
                            self._finish_part(share, scanned.info, before.base, nodes, progress)
                        return scanned.info.raw, share
                    self._close(share)
                    self._shelf.put_info(share, scanned.info.raw)
                    self._shelf.take_nodes(share, nodes)
                    self._shelf.put_notes(share, notes.all())
                    entry = opening.of_scan(self._parts(share, scanned.info), scanned)
                    entry.notes = notes
                    self._entries[share] = entry
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(nodes)
        return scanned.info.raw, share

    def _finish_part(self, share: bytes, info: Info, base: str, nodes: str, progress: Progress) -> None:
        """All of a download is there by its hashes, and it was not renamed: a process was killed before."""
        self._close(share)
        self._shelf.take_nodes(share, nodes)
        entry = opening.for_download(self._parts(share, info), base, None, self.margin, progress)
        self._entries[share] = entry
        if entry.kind is Kind.PART:
            part.finish(entry, opening.name_of(info, posix=entry.posix))

    def open(self, share: bytes, raw: bytes, folder: str, wanted: tuple[int, ...] | None) -> tuple[str, bytes]:
        with self._work(share.hex()) as progress, self._gate(share).alone():
            before = self._close(share)
            info = before.info if before is not None and raw in (b"", before.info.raw) else self._info(share, raw)
            self._shelf.put_info(share, info.raw)
            parts = self._parts(share, info)
            if folder:
                entry = opening.for_download(parts, folder, wanted, self.margin, progress)
            else:
                entry = opening.for_seeding(parts, progress)
            self._entries[share] = entry
            if entry.kind is Kind.PART and not entry.wanted & ~entry.held:
                part.finish(entry, opening.name_of(info, posix=entry.posix))
            return entry.path, bits.to_bitfield(entry.held, entry.layout.units)

    def info(self, share: bytes) -> bytes:
        return self._shelf.info(share)

    def take_torrent(self, path: str) -> bytes:
        info = read_torrent(path).info
        self._shelf.put_info(info.id, info.raw)
        return info.id

    # --- while it is open -------------------------------------------------------------------

    def read(self, share: bytes, ranges: tuple[disk.Range, ...]) -> tuple[bytes | None, ...]:
        with self._open(share) as entry:
            return units.read(entry, ranges)

    def write(self, share: bytes, batch: tuple[disk.Unit, ...]) -> tuple[int, ...]:
        with self._open(share) as entry:
            return units.write(entry, batch, self.margin)

    def blank(self, share: bytes, first: int, count: int) -> int:
        with self._open(share) as entry:
            return units.blank(entry, first, count)

    def look(self, share: bytes) -> bytes:
        with self._open(share) as entry:
            look(entry)
            return bits.to_bitfield(entry.held, entry.layout.units)

    def keep_layer(self, share: bytes, file: int, layer: bytes) -> None:
        with self._open(share) as entry:
            units.keep_layer(entry, file, layer)

    def layer(self, share: bytes, file: int) -> bytes:
        with self._open(share) as entry:
            return units.layer(entry, file)

    def notes(self, share: bytes) -> tuple[str, ...]:
        with self._open(share) as entry:
            return entry.notes.all()

    def progress(self, what: str) -> tuple[int, int] | None:
        progress = self._working.get(what)
        return None if progress is None else (progress.done, progress.total)

    def stop(self, what: str) -> None:
        progress = self._working.get(what)
        if progress is not None:
            progress.stop = True

    def leave(self) -> None:
        """Every scan and open ends soon, those that are begun from now on at once."""
        self._leaving = True
        for progress in tuple(self._working.values()):
            progress.stop = True

    def export(self, share: bytes, path: str) -> None:
        with self._open(share) as entry:
            write_torrent(path, entry.info, partial(units.layer, entry))

    # --- the end ----------------------------------------------------------------------------

    def finish(self, share: bytes) -> str:
        with self._gate(share).alone():
            entry = self._entry(share)
            if entry.kind is Kind.PART:
                part.finish(entry, opening.name_of(entry.info, posix=entry.posix))
            return entry.path

    def forget(self, share: bytes, erase: bool) -> None:
        """A download that was not complete is kept, with what is known of it, unless it is to be erased."""
        with self._gate(share).alone():
            entry = self._entries.get(share) or self._load(share)
            if erase and entry is not None and entry.kind is not Kind.SCANNED:
                with contextlib.suppress(FileNotFoundError), entry.at_base() as base:
                    part.erase(entry, base)
                entry.let_go()
                self._entries.pop(share, None)
            self._close(share)
            if erase or entry is None or entry.kind is not Kind.PART:
                self._shelf.remove(share)

    def close(self) -> None:
        """All shares, with what was written made safe."""
        for share in tuple(self._entries):
            with self._gate(share).alone():
                self._close(share)

    # --- inside -----------------------------------------------------------------------------

    def _parts(self, share: bytes, info: Info) -> opening.Parts:
        return opening.Parts(share, info, layout_of(info), self._shelf, self.descriptors, self._gate(share))

    def _info(self, share: bytes, raw: bytes) -> Info:
        info = decode_info(raw or self._shelf.info(share) or self._unknown(share))
        if info.id != share:
            raise LocalError("an info dictionary of another share")
        return info

    def _unknown(self, share: bytes) -> bytes:
        raise LocalError(f"nothing is known here of the share {share.hex()[:16]}...; share or get it again")

    def _load(self, share: bytes) -> Entry | None:
        """As it was noted, not looked at."""
        raw = self._shelf.info(share)
        return opening.as_noted(self._parts(share, decode_info(raw))) if raw else None

    def _close(self, share: bytes) -> Entry | None:
        entry = self._entries.pop(share, None)
        if entry is not None:
            try:
                if entry.kind is Kind.PART:
                    entry.checkpoint()
            except (OSError, LocalError):  # what is not noted will be hashed
                pass
            entry.let_go()
        return entry

    def _gate(self, share: bytes) -> Gate:
        with self._lock:
            gate = self._gates.get(share)
            if gate is None:
                gate = self._gates[share] = Gate()
            return gate

    def _entry(self, share: bytes) -> Entry:
        entry = self._entries.get(share)
        if entry is None:
            raise LocalError(f"the share {share.hex()[:16]}... is not open")
        return entry

    @contextmanager
    def _open(self, share: bytes) -> Iterator[Entry]:
        with self._gate(share).shared():
            yield self._entry(share)

    @contextmanager
    def _work(self, what: str) -> Iterator[Progress]:
        progress = self._working[what] = Progress(stop=self._leaving)
        try:
            yield progress
        finally:
            if self._working.get(what) is progress:
                del self._working[what]


def _in_words(operation: Callable[..., Any], *args: Any) -> Any:
    """What is wrong with a file is no bug, and people read it."""
    try:
        return operation(*args)
    except OSError as error:
        named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        kind = NoRoom if error.errno in NO_ROOM else LocalError
        raise kind(f"{named}{error.strerror or error}") from error


def _or_full(operation: Callable[..., Any], *args: Any) -> Any:
    """The core hears of an error its text alone, and is to know this one from others: its text is the result."""
    try:
        return _in_words(operation, *args)
    except NoRoom as error:
        return str(error)
