"""The file of a recording: a line that says what it is, then framed items that are only ever appended.

A frame is the length of the item and its CRC-32, four bytes each, big-endian, then the item. Whatever ends the
writing, kill -9 or a power loss, leaves a prefix that can be read: the reader stops at the first frame that is
not whole and says where, and why; and whether that is no more than a torn end, or damage with more behind it.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from overlay.errors import BadMessage
from p2pnode.paths import HomeError
from p2pnode.record import plain

#: The number is that of the format; a reader takes no other.
MAGIC = b"p2pnode recording 1\n"
_STEM = b"p2pnode recording "
_frame = struct.Struct(">II")
#: A command holds a record (1 kB) or a list of addresses, rows of the storage come in chunks of 64 kB.
MAX_ITEM = 16 * 1024 * 1024
#: A frame behind an item of a wrong length is looked for within so many bytes, and is no longer: more than what comes
#: over a stream at once, and a second of work at most.
_LOOK_AHEAD = 512 * 1024
#: Bytes that wait for `flush` before they are written without one.
_BUFFER = 256 * 1024


class RecordingError(HomeError):
    """A recording cannot be written."""


class NotARecording(HomeError):
    """A file cannot be read as a recording."""

    code = "usage"


class Writer:
    """Appends to a new file, 0600. RecordingError if there is anything with this name, or no such folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # O_EXCL: a recording is of one run, and what is there may be one.
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            raise exists(path) from None
        except OSError as error:
            raise RecordingError(
                "the recording cannot be made", facts={"file": str(path), "reason": error.strerror or str(error)}
            ) from None
        self._waiting = [MAGIC]
        self._waiting_bytes = len(MAGIC)
        self._written = 0
        self._is_closed = False

    @property
    def size(self) -> int:
        """Bytes so far, those that wait included."""
        return self._written + self._waiting_bytes

    def append(self, item: bytes) -> None:
        """OSError if the disk refuses."""
        self._waiting += (_frame.pack(len(item), zlib.crc32(item)), item)
        self._waiting_bytes += _frame.size + len(item)
        if self._waiting_bytes >= _BUFFER:
            self.flush()

    def flush(self) -> None:
        """Hand what waits to the kernel: it survives the death of the process. OSError if the disk refuses."""
        if not self._waiting_bytes:
            return
        data = memoryview(b"".join(self._waiting))
        self._waiting, self._waiting_bytes = [], 0
        while data:
            count = os.write(self._descriptor, data)
            self._written += count
            data = data[count:]

    def close(self) -> None:
        """Without a flush."""
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)


def exists(path: Path) -> RecordingError:
    return RecordingError(
        "there is a file already, and a recording is never overwritten: it is of one run",
        facts={"file": str(path), "move it away": f"mv '{path}' '{path}.old'"},
    )


@attrs.define(slots=True)
class Reader:
    """The items of a file, in order. Iterate once; then `damage` says why they end before the file does."""

    path: Path
    _file: BinaryIO
    at: int = 0
    #: None: the file ends where an item ends.
    damage: str | None = None
    #: The damage is a last item that was cut short, as a kill leaves it, and nothing is behind it.
    torn: bool = False

    def __iter__(self) -> Iterator[Any]:
        """Ends, with `damage` set, at what is torn or was changed; `at` is where then, else the item's own place."""
        while head := self._file.read(_frame.size):
            if len(head) < _frame.size:
                self.damage, self.torn = "the last frame is torn", True
                return
            length, check = _frame.unpack(head)
            if length > MAX_ITEM:
                self.damage = f"an item of {length} bytes: none is that long"
                return
            data = self._file.read(length)
            if len(data) < length:
                self.torn = zlib.crc32(data) != check and not _has_frame(data)
                self.damage = "the last item is torn" if self.torn else "an item says a length that is not its own"
                return
            if not length or zlib.crc32(data) != check:
                self.damage = "an item does not fit its checksum"
                return
            try:
                item = plain.decode(data)
            except BadMessage as error:
                self.damage = f"an item is not to be read: {error}"
                return
            yield item
            self.at += _frame.size + length

    @property
    def file_bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        self._file.close()


def _has_frame(data: bytes) -> bool:
    """A whole frame is in it: the length that made all of it one item was changed. A torn item is none, but for one
    chance in 2 ** 32 at each byte."""
    with memoryview(data) as view:
        for at in range(min(len(data) - _frame.size, _LOOK_AHEAD)):
            length, check = _frame.unpack_from(view, at)
            begin = at + _frame.size
            if 0 < length <= min(len(data) - begin, _LOOK_AHEAD) and zlib.crc32(view[begin : begin + length]) == check:
                return True
    return False


def open_reader(path: Path) -> Reader:
    """NotARecording if it cannot be read, is none, or is one of another version."""
    facts = {"file": str(path)}
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO would wait for a writer
    except OSError as error:
        reason = error.strerror or str(error)
        raise NotARecording("the recording cannot be read", facts=facts | {"reason": reason}) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotARecording("this is not a file", facts=facts)
    file = os.fdopen(descriptor, "rb", buffering=1 << 20)
    magic = file.read(len(MAGIC))
    if magic == MAGIC:
        return Reader(path, file, len(MAGIC))
    file.close()
    if magic.startswith(_STEM):
        facts |= {"version": magic[len(_STEM) :].decode(errors="replace").strip(), "read here": "version 1"}
        raise NotARecording("this recording has another format", facts=facts)
    raise NotARecording("this is not a recording", facts=facts | {"make one": "p2pnode run --record FILE"})
