"""What waits between a session and a connection, both ways. Neither side can make the other's queue grow for ever:
who fills one waits for `room`."""

from __future__ import annotations

from collections import deque

import attrs

from apps.files.core.bittorrent.limits import MAX_TRANSLATED, MAX_TRANSLATED_BYTES, SEND_BYTES
from overlay.runtime.loop import Future, Loop
from overlay.streams import End, StreamEnded


@attrs.define(slots=True, eq=False)
class _Queue:
    """Items with a size. A closed one gives nothing and takes nothing."""

    loop: Loop
    size: int = attrs.field(default=0, init=False)
    closed: bool = attrs.field(default=False, init=False)
    items: deque[bytes | memoryview] = attrs.field(factory=deque, init=False)
    _filled: Future[None] | None = attrs.field(default=None, init=False)
    _emptied: Future[None] | None = attrs.field(default=None, init=False)

    def put(self, *parts: bytes | memoryview) -> None:
        if parts and not self.closed:
            self.items += parts
            self.size += sum(map(len, parts))
            if self._filled is not None:
                self._filled.set()

    def pop(self) -> bytes | memoryview:
        part = self.items.popleft()
        self.size -= len(part)
        if self._emptied is not None and self.has_room:
            self._emptied.set()
        return part

    async def filled(self) -> None:
        """Until there is something. StreamEnded."""
        while not self.items and not self.closed:
            if self._filled is None or self._filled.done:
                self._filled = self.loop.future()
            await self._filled
        self._check()

    async def room(self) -> None:
        """StreamEnded."""
        while not self.has_room and not self.closed:
            if self._emptied is None or self._emptied.done:
                self._emptied = self.loop.future()
            await self._emptied
        self._check()

    def close(self) -> None:
        self.closed = True
        self.items.clear()
        for future in (self._filled, self._emptied):
            if future is not None:
                future.set()

    @property
    def has_room(self) -> bool:
        return len(self.items) < MAX_TRANSLATED and self.size < MAX_TRANSLATED_BYTES

    def _check(self) -> None:
        if self.closed:
            raise StreamEnded("the connection is over", end=End.DONE, here=True)


@attrs.define(slots=True, eq=False)
class Inbox:
    """Messages of "/files/1" for the session."""

    loop: Loop
    _queue: _Queue = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._queue = _Queue(self.loop)

    def put(self, message: bytes) -> None:
        self._queue.put(message)

    async def take(self) -> bytes:
        """The next one. StreamEnded."""
        await self._queue.filled()
        return bytes(self._queue.pop())

    @property
    def has_room(self) -> bool:
        return self._queue.has_room

    async def room(self) -> None:
        """StreamEnded."""
        await self._queue.room()

    def close(self) -> None:
        self._queue.close()


@attrs.define(slots=True, eq=False)
class Outbox:
    """Bytes for the client, in parts that are joined once, when they are sent."""

    loop: Loop
    _queue: _Queue = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._queue = _Queue(self.loop)

    def put(self, *parts: bytes | memoryview) -> None:
        self._queue.put(*parts)

    async def take(self) -> bytes:
        """As much as goes at once. StreamEnded."""
        await self._queue.filled()
        first = self._queue.pop()
        if not self._queue.items or len(first) + len(self._queue.items[0]) > SEND_BYTES:
            return bytes(first)
        parts, size = [first], len(first)
        while self._queue.items and size + len(self._queue.items[0]) <= SEND_BYTES:
            parts.append(self._queue.pop())
            size += len(parts[-1])
        return b"".join(parts)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._queue.size

    @property
    def has_room(self) -> bool:
        return self._queue.has_room

    async def room(self) -> None:
        """StreamEnded."""
        await self._queue.room()

    def close(self) -> None:
        self._queue.close()
