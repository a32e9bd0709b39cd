"""What a disk has of its files when the power goes: all that was synced, and of the rest some sectors and not others.

POSIX promises no order among writes that were not synced, and a disk writes sectors of 512 bytes, each whole or not at
all (https://www.sqlite.org/atomiccommit.html, "Hardware Assumptions"). That a new file has a name, and one that was
deleted none any more, is taken for granted.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import attrs

SECTOR = 512
#: Shares of what was not synced that a power cut leaves: a disk that is quick, or slow, or nothing in between.
_SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)


@attrs.frozen
class _Write:
    offset: int
    data: bytes


@attrs.frozen
class _Truncate:
    size: int


@attrs.define(eq=False)
class _File:
    synced: bytearray
    unsynced: list[_Write | _Truncate] = attrs.Factory(list)


@attrs.define(eq=False)
class Medium:
    """Of the files of one folder, which are taken to be synced now."""

    folder: Path
    #: Called before each write, truncation and sync.
    watch: Callable[[Medium], object] = attrs.field(default=lambda _: None, kw_only=True)
    _files: dict[str, _File] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._files = {path.name: _File(bytearray(path.read_bytes())) for path in self.folder.iterdir()}

    def write(self, path: Path, offset: int, data: bytes) -> None:
        self._of(path).unsynced.append(_Write(offset, data))

    def truncate(self, path: Path, size: int) -> None:
        self._of(path).unsynced.append(_Truncate(size))

    def sync(self, path: Path) -> None:
        file = self._of(path)
        for operation in file.unsynced:
            _apply(file.synced, operation)
        file.unsynced.clear()

    def cut(self, into: Path, chance: random.Random) -> None:
        """Makes a folder with the files as they would be if the power went now."""
        into.mkdir()
        for name, file in sorted(self._files.items()):
            if not (self.folder / name).exists():
                continue
            image = bytearray(file.synced)
            share = chance.choice(_SHARES)
            for operation in file.unsynced:
                for piece in _pieces(operation):
                    if chance.random() < share:
                        _apply(image, piece)
            (into / name).write_bytes(image)

    def _of(self, path: Path) -> _File:
        self.watch(self)
        assert path.parent == self.folder, path
        return self._files.setdefault(path.name, _File(bytearray()))


def _pieces(operation: _Write | _Truncate) -> list[_Write | _Truncate]:
    """What is done whole or not at all."""
    if isinstance(operation, _Truncate):
        return [operation]
    offset, data = operation.offset, operation.data
    first = SECTOR - offset % SECTOR
    ends = [*range(first, len(data), SECTOR), len(data)]
    return [_Write(offset + begin, data[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]


def _apply(image: bytearray, operation: _Write | _Truncate) -> None:
    match operation:
        case _Truncate(size):
            del image[size:]
        case _Write(offset, data):
            image.extend(bytes(max(0, offset - len(image))))
            image[offset : offset + len(data)] = data
