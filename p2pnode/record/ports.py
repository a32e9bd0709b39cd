"""Chance and storage of a core that is recorded, and of its replay: what a seed and a snapshot bring back."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator

from overlay.errors import LimitError
from overlay.runtime.ports import Storage


class SeededEntropy:
    """Unguessable bytes that 32 recorded bytes bring back: BLAKE2b of a counter, keyed (RFC 7693 2.9), a PRF."""

    __slots__ = ("_count", "_seed")

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def __call__(self, n: int) -> bytes:
        out = b""
        while len(out) < n:
            out += hashlib.blake2b(self._count.to_bytes(8, "big"), key=self._seed).digest()
            self._count += 1
        return out[:n]


class RecordedStorage:
    """The Storage port of a recorded core, and of its replay: what it sees depends on nothing but what it wrote.

    `refused` hears of a write that the disk, being behind, did not take: it decides something, so it is an input.
    """

    __slots__ = ("_refused", "_storage", "_writes")

    def __init__(self, storage: Storage, refused: Callable[[int, LimitError], None]) -> None:
        self._storage = storage
        self._refused = refused
        self._writes = 0

    def get(self, key: bytes) -> bytes | None:
        return self._storage.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._writes += 1
        try:
            self._storage.put(key, value)
        except LimitError as error:
            self._refused(self._writes, error)
            raise

    def delete(self, key: bytes) -> None:
        self._writes += 1
        try:
            self._storage.delete(key)
        except LimitError as error:
            self._refused(self._writes, error)
            raise

    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """A write while it is open is seen if it lies ahead. A store may or may not show it, which depends on what
        of it is on the disk already: so after a write the scan begins anew where it is."""
        while True:
            writes = self._writes
            for key, value in self._storage.scan(prefix, after=after):
                yield key, value
                if self._writes != writes:
                    after = key
                    break
            else:
                return


class MemoryStore:
    """An ordered storage in memory that refuses the writes that are told to `refuse`, by their number."""

    def __init__(self) -> None:
        self._data: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._refusals: dict[int, str] = {}
        self._writes = 0

    def refuse(self, number: int, text: str) -> None:
        self._refusals[number] = text

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._count()
        self.load(key, value)

    def load(self, key: bytes, value: bytes) -> None:
        """As `put`, of what was there before the first write."""
        if key not in self._data:
            insort(self._keys, key)
        self._data[key] = value

    def delete(self, key: bytes) -> None:
        self._count()
        if self._data.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Not to be written while it is open: RecordedStorage sees to that."""
        at = bisect_right(self._keys, after) if after >= prefix else bisect_left(self._keys, prefix)
        while at < len(self._keys) and self._keys[at].startswith(prefix):
            key = self._keys[at]
            yield key, self._data[key]
            at += 1

    def _count(self) -> None:
        self._writes += 1
        if (text := self._refusals.pop(self._writes, None)) is not None:
            raise LimitError(text)
