"""What a peer reports, for any number of readers, none of which holds it up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from overlay.events import Event

#: Events a slow reader may fall behind before it misses some.
EVENTS_KEPT = 256


@attrs.define(slots=True, eq=False)
class Subscription:
    """Events for one reader: `async for event in subscription`. A reader that is slow misses some."""

    _send: trio.MemorySendChannel[Event]
    _receive: trio.MemoryReceiveChannel[Event]
    #: Events that this reader missed so far.
    missed: int = 0

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def offer(self, event: Event) -> None:
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self.missed += 1

    def end(self) -> None:
        """What waits can still be read."""
        self._send.close()


@attrs.define(slots=True, eq=False)
class Reports:
    _readers: list[Subscription] = attrs.Factory(list)

    @contextmanager
    def subscribe(self, *, kept: int = EVENTS_KEPT) -> Iterator[Subscription]:
        """What is told while the context is open; at most `kept` events wait."""
        reader = Subscription(*trio.open_memory_channel[Event](kept))
        self._readers.append(reader)
        try:
            yield reader
        finally:
            self._readers.remove(reader)

    def __len__(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    def tell(self, event: Event) -> None:
        for reader in self._readers:
            reader.offer(event)

    def end(self) -> None:
        for reader in self._readers:
            reader.end()
