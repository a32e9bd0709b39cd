"""What is noted of a share between two runs: where it lies, and which units were safe there, under which stamps.

It is a hint. A unit is believed to be there only if the record names it and its file has the size, the time of change
and the inode that were noted after it was safe; all others are hashed again. Bytes that are no whole record of
this version are as good as none.
"""

from __future__ import annotations

import enum
import hashlib
import os
import struct
from collections.abc import Sequence
from typing import Any, Final

import attrs

from apps.files.core import bits
from apps.files.core.limits import MAX_FILES, MAX_UNITS
from apps.files.shell.limits import MAX_RECORD_EXTRA
from overlay.errors import BadMessage
from overlay.wire import cbor

VERSION: Final = 1
_CHECK_BYTES = 32
_STAMP = struct.Struct("<QqQ")
_NONE = bytes(_STAMP.size)
#: Longest record that is read.
MAX_RECORD: Final = MAX_RECORD_EXTRA + 2 * (MAX_UNITS // 8) + _STAMP.size * MAX_FILES


class Kind(enum.IntEnum):
    #: Shared from where it lies; never written.
    SCANNED = 0
    #: Being downloaded: it lies under a name that ends in `.part`.
    PART = 1
    #: Downloaded; from here on as if it had been scanned.
    DONE = 2


@attrs.frozen(slots=True)
class Stamp:
    """A file that has the same one is taken for unchanged. The time of change has the grain of the kernel's clock: some
    milliseconds, or 2 s on FAT."""

    size: int
    mtime_ns: int
    inode: int


def stamp_of(found: os.stat_result) -> Stamp:
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


@attrs.frozen(slots=True)
class Record:
    kind: Kind
    #: Folder around it, absolute.
    base: str
    #: Its name there.
    top: str
    #: Of `top`.
    inode: int
    #: Names are those of `names.Target.POSIX`.
    posix: bool
    #: Bits of the units that are safe.
    held: int
    #: Bits of the units that are wanted.
    wanted: int
    #: Of each file, None if it is not there.
    stamps: Sequence[Stamp | None] = attrs.field(repr=False)
    #: The name that `top` is about to get; "" if none.
    becomes: str = ""


def encode_record(record: Record, units: int) -> bytes:
    body = cbor.encode([
        VERSION, int(record.kind), os.fsencode(record.base), os.fsencode(record.top), os.fsencode(record.becomes),
        record.inode, int(record.posix), bits.to_bitfield(record.held, units), bits.to_bitfield(record.wanted, units),
        b"".join(map(_packed, record.stamps)),
    ])  # fmt: skip
    return body + hashlib.sha256(body).digest()


def _packed(stamp: Stamp | None) -> bytes:
    return _NONE if stamp is None else _STAMP.pack(stamp.size, stamp.mtime_ns, stamp.inode)


def decode_record(data: bytes, files: int, units: int) -> Record:
    """Of a share with so many files and units; BadMessage for anything but a whole record of this version."""
    body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
    if len(data) > MAX_RECORD or hashlib.sha256(body).digest() != check:
        raise BadMessage("not a whole record")
    match cbor.decode(body, max_items=16):
        case [1, int(kind), bytes(base), bytes(top), bytes(becomes), int(inode), int(posix), bytes(held),
              bytes(wanted), bytes(stamps)]:  # fmt: skip
            pass
        case _:
            raise BadMessage("a record of another version")
    if kind not in tuple(Kind) or posix not in (0, 1) or inode < 0 or len(stamps) != files * _STAMP.size:
        raise BadMessage("a record that contradicts itself")
    if not base.startswith(b"/") or b"\0" in base or not _is_name(top) or (becomes and not _is_name(becomes)):
        raise BadMessage("a record of no place")
    unpacked: list[Any] = list(_STAMP.iter_unpack(stamps))
    return Record(
        Kind(kind), os.fsdecode(base), os.fsdecode(top), inode, bool(posix), bits.decode_bitfield(held, units),
        bits.decode_bitfield(wanted, units), [Stamp(*one) if one[2] else None for one in unpacked],
        os.fsdecode(becomes),
    )  # fmt: skip


def _is_name(name: bytes) -> bool:
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name
