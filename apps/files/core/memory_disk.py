"""A disk without a disk, for swarms in the simulator and for tests: contents are made when they are read.

What was written is not kept, only that it was: a unit is written if and only if it has the right hash, and then it is
what the library says. Verification is real, and so are the bytes on the wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from apps.files.core import bits, disk, merkle
from apps.files.core.info import File, Info, make_info
from apps.files.core.layout import Layout, layout_of
from apps.files.core.limits import LEAF_BYTES, UNIT_BYTES
from overlay.errors import LocalError


def content(seed: bytes, offset: int, length: int) -> bytes:
    """Bytes of a made-up file: a hash of (seed, number of the leaf), over and over."""
    first, last = offset // LEAF_BYTES, -(-(offset + length) // LEAF_BYTES)
    leaves = [
        hashlib.sha256(seed + leaf.to_bytes(8, "big")).digest() * (LEAF_BYTES // 32) for leaf in range(first, last)
    ]
    start = offset - first * LEAF_BYTES
    return b"".join(leaves)[start : start + length]


@attrs.frozen(slots=True)
class Made:
    """A share of made-up files; the seed of each is its root's."""

    info: Info
    layout: Layout
    seeds: tuple[bytes, ...]
    trees: tuple[merkle.Tree | None, ...] = attrs.field(repr=False)

    def read(self, file: int, offset: int, length: int) -> bytes:
        return content(self.seeds[file], offset, length)


def make_share(
    name: bytes, lengths: Mapping[tuple[bytes, ...], int], *, unit_bytes: int = UNIT_BYTES, private: bool = False
) -> Made:
    """A share with files of these paths and lengths; with shorter units it has more of them for its size."""
    seeds: dict[tuple[bytes, ...], tuple[bytes, merkle.Tree | None]] = {}
    files = []
    for path, length in lengths.items():
        seed = hashlib.sha256(name + b"\0" + b"/".join(path)).digest()
        tree = None
        if length:
            height = merkle.unit_height(length, unit_bytes=unit_bytes)
            nodes = [
                merkle.hash_unit(content(seed, at, min(unit_bytes, length - at)), height)
                for at in range(0, length, unit_bytes)
            ]
            tree = merkle.make_tree(b"".join(nodes), length, height)
        seeds[path] = seed, tree
        files.append(File(path, length, tree.root if tree else None))
    info = make_info(name, files, piece_length=unit_bytes, private=private)
    return Made(info, layout_of(info), *zip(*(seeds[file.path] for file in info.files), strict=True))


@attrs.define(slots=True, eq=False)
class MemoryDisk:
    """The disk of one node; `library` has all shares of the world by id."""

    library: Mapping[bytes, Made]
    #: Units that are written until the disk is full; None: all.
    room: int | None = None
    #: By share: numbers of the units that are here.
    held: dict[bytes, set[int]] = attrs.Factory(dict)
    finished: list[bytes] = attrs.Factory(list)
    layers: dict[tuple[bytes, int], bytes] = attrs.Factory(dict)
    #: Bytes that were written and that were found corrupt.
    written: int = 0
    corrupt: int = 0
    #: Units that were written and are not what the library says: there must never be one.
    wrong: int = 0
    #: By share: units that the disk gives back with a bit changed.
    rotten: dict[bytes, set[int]] = attrs.Factory(dict)

    def operations(self) -> dict[str, Callable[..., Any]]:
        """For `App.operations`."""
        return {name: getattr(self, name) for name in disk.OPERATIONS}

    def scan(self, path: str, name: str | None, piece_length: int | None) -> tuple[bytes, bytes]:
        for share, made in self.library.items():
            if made.info.name.decode() == path:
                self.held[share] = set(range(made.layout.units))
                for index, tree in enumerate(made.trees):
                    if tree is not None:
                        self.layers[share, index] = tree.layer(tree.base)
                return made.info.raw, share
        raise LocalError(f"{path}: there is no such file or folder")

    def scan_hybrid(self, path: str, name: str | None, piece_length: int | None) -> tuple[bytes, bytes]:
        raise LocalError(f"{path}: there is no disk to hash it from once more")

    def export(self, share: bytes, path: str) -> None:
        raise LocalError(f"{path}: there is no disk to write it to")

    def open(self, share: bytes, raw: bytes, folder: str, wanted: tuple[int, ...] | None) -> tuple[str, bytes]:
        made = self.library[share]
        if raw and raw != made.info.raw:
            raise LocalError("an info dictionary of another share")
        held = sum(1 << unit for unit in self.held.setdefault(share, set()))
        return f"{folder}/{made.info.name.decode()}", bits.to_bitfield(held, made.layout.units)

    def info(self, share: bytes) -> bytes:
        return self.library[share].info.raw if share in self.held else b""

    def read(self, share: bytes, ranges: tuple[disk.Range, ...]) -> tuple[bytes | None, ...]:
        return tuple(self._read(share, *one) for one in ranges)

    def _read(self, share: bytes, file: int, offset: int, length: int, height: int, node: bytes) -> bytes | None:
        unit = self._unit(share, file, offset)
        if unit not in self.held.get(share, ()):
            return None
        data = self.library[share].read(file, offset, length)
        if unit in self.rotten.get(share, ()):
            data = bytes((data[0] ^ 1,)) + data[1:]
        if node and not disk.is_good(height, node, data):
            self.held[share].discard(unit)
            return None
        return data

    def write(self, share: bytes, units: tuple[disk.Unit, ...]) -> tuple[int, ...]:
        codes = []
        for file, offset, height, node, data in units:
            if not disk.is_good(height, node, data):
                self.corrupt += len(data)
                codes.append(disk.CORRUPT)
            elif self.room is not None and self.written + len(data) > self.room:
                codes.append(disk.FULL)
            else:
                self.written += len(data)
                self.wrong += data != self.library[share].read(file, offset, len(data))
                self.held[share].add(self._unit(share, file, offset))
                codes.append(disk.GOOD)
        return tuple(codes)

    def blank(self, share: bytes, first: int, count: int) -> int:
        for unit in range(first, first + count):
            place = self.library[share].layout.unit(unit)
            self.wrong += any(self.library[share].read(place.file, place.offset, place.length))
            self.held[share].add(unit)
        return disk.GOOD

    def look(self, share: bytes) -> bytes:
        if share not in self.held:
            raise LocalError("all of it is gone")
        return bits.to_bitfield(sum(1 << unit for unit in self.held[share]), self.library[share].layout.units)

    def keep_layer(self, share: bytes, file: int, layer: bytes) -> None:
        self.layers[share, file] = layer

    def layer(self, share: bytes, file: int) -> bytes:
        return self.layers.get((share, file), b"")

    def finish(self, share: bytes) -> str:
        self.finished.append(share)
        return f"/done/{self.library[share].info.name.decode()}"

    def progress(self, what: str) -> None:
        """Nothing takes time here."""

    def stop(self, what: str) -> None:
        """As `progress`."""

    def notes(self, share: bytes) -> tuple[str, ...]:
        return ()

    def take_torrent(self, path: str) -> bytes:
        raise LocalError(f"{path}: there is no such file")

    def forget(self, share: bytes, erase: bool) -> None:
        if erase:
            self.held.pop(share, None)

    def _unit(self, share: bytes, file: int, offset: int) -> int:
        return self.library[share].layout.units_at(file, offset, 1).start
