"""Bytes in as they come, bytes out as they are wanted; each is copied once."""

from __future__ import annotations

from collections import deque


class Chunks:
    """How the bytes were cut when they came makes no difference."""

    __slots__ = ("_at", "_chunks", "size")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        #: Bytes of the first chunk that were taken.
        self._at = 0
        #: Bytes that were fed and not taken.
        self.size = 0

    def feed(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)
            self.size += len(data)

    def clear(self) -> None:
        self._chunks.clear()
        self._at = self.size = 0

    def take(self, n: int) -> bytes:
        """The next `n` bytes, which must be there."""
        self.size -= n
        if n == 0:
            return b""
        first, at = self._chunks[0], self._at
        if len(first) - at > n:
            self._at = at + n
            return first[at : at + n]
        parts = []
        while n:
            # A view: what spans chunks is copied once, by `join`.
            part = memoryview(self._chunks[0])[self._at : self._at + n]
            parts.append(part)
            n -= len(part)
            self._step(len(part))
        return b"".join(parts)

    def take_some(self, most: int) -> bytes:
        """At least one byte, if there is any, and at most so many: what came together, uncopied where that goes."""
        if not self._chunks:
            return b""
        first, at = self._chunks[0], self._at
        if at == 0 and len(first) <= most:
            self.size -= len(first)
            return self._chunks.popleft()
        return self.take(min(most, len(first) - at))

    def peek(self, n: int) -> bytes:
        """The next `n` bytes, which must be there; they stay. For a few."""
        first, at = self._chunks[0], self._at
        if len(first) - at >= n:
            return first[at : at + n]
        head = first[at:]
        for chunk in list(self._chunks)[1 : n + 1]:
            head += chunk[: n - len(head)]
        return head

    def drop(self, n: int) -> None:
        self.size -= n
        while n:
            some = min(n, len(self._chunks[0]) - self._at)
            n -= some
            self._step(some)

    def _step(self, n: int) -> None:
        self._at += n
        if self._at == len(self._chunks[0]):
            self._chunks.popleft()
            self._at = 0
