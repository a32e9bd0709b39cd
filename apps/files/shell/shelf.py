"""What is kept of each share in a folder of the node: the info dictionary, hashes of units, the record of what is safe.

The folder belongs to the node, as its key does; still nothing in it is believed that cannot be checked. Hashes of
units are written as units come, each at 32 times its number, so that what a killed process had written can be
verified without asking anybody.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence

import attrs

from apps.files.core.limits import MAX_INFO_BYTES
from apps.files.shell.limits import MAX_NOTES, MAX_NOTES_BYTES
from apps.files.shell.record import MAX_RECORD, Record, decode_record, encode_record
from apps.files.shell.safe import sync_folder, write_whole
from overlay.errors import BadMessage
from overlay.wire import cbor

_INFO, _RECORD, _NODES, _NOTES = "info", "record", "nodes", "notes"
#: The hash file of a scan under way, before its share has an id.
_SCAN = "scan-"


@attrs.frozen(slots=True)
class Shelf:
    folder: str

    def prepare(self) -> None:
        """Scans that a killed process had begun are forgotten."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        for name in os.listdir(self.folder):
            if name.startswith(_SCAN):
                os.unlink(os.path.join(self.folder, name))

    def info(self, share: bytes) -> bytes:
        """b"" if it is not there, or not that of this share."""
        raw = _read(self._path(share, _INFO), MAX_INFO_BYTES)
        return raw if hashlib.sha256(raw).digest() == share else b""

    def put_info(self, share: bytes, raw: bytes) -> None:
        if self.info(share) != raw:
            self._put(share, _INFO, raw)

    def record(self, share: bytes, files: int, units: int) -> Record | None:
        """None if there is none that can be read."""
        try:
            return decode_record(_read(self._path(share, _RECORD), MAX_RECORD), files, units)
        except BadMessage:
            return None

    def put_record(self, share: bytes, record: Record, units: int) -> None:
        self._put(share, _RECORD, encode_record(record, units))

    def put_notes(self, share: bytes, notes: Sequence[str]) -> None:
        """What was left out of it."""
        self._put(share, _NOTES, cbor.encode([note.encode(errors="surrogateescape") for note in notes]))

    def notes(self, share: bytes) -> list[str]:
        """[] if there are none that can be read."""
        try:
            found = cbor.decode(_read(self._path(share, _NOTES), MAX_NOTES_BYTES), max_items=2 * MAX_NOTES)
        except BadMessage:
            return []
        notes = found if isinstance(found, list) else []
        return [note.decode(errors="surrogateescape") for note in notes if isinstance(note, bytes)]

    def open_nodes(self, share: bytes) -> int:
        return os.open(self._path(share, _NODES), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def new_nodes(self) -> str:
        """Path of a new file for hashes, for `take_nodes`."""
        return os.path.join(self.folder, _SCAN + os.urandom(8).hex())

    def take_nodes(self, share: bytes, path: str) -> None:
        """What is in the file is on the disk already; so is its new name after this."""
        self._make(share)
        os.replace(path, self._path(share, _NODES))
        sync_folder(self._path(share))

    def remove(self, share: bytes) -> None:
        shutil.rmtree(self._path(share), ignore_errors=True)

    def _path(self, share: bytes, *name: str) -> str:
        return os.path.join(self.folder, share.hex(), *name)

    def _make(self, share: bytes) -> None:
        if not os.path.isdir(self._path(share)):
            os.makedirs(self._path(share), mode=0o700, exist_ok=True)
            sync_folder(self.folder)

    def _put(self, share: bytes, name: str, data: bytes) -> None:
        self._make(share)
        folder = os.open(self._path(share), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            write_whole(folder, name, data)
        finally:
            os.close(folder)


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        return b""
    return data if len(data) <= most else b""
