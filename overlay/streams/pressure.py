"""Back-pressure of one stream, both ways: who sends is held back, and so is the other side."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.limits import FIRST_WINDOW, STREAM_WINDOW, UNSENT_HIGH, UNSENT_LOW
from overlay.runtime.future import Future
from overlay.runtime.loop import Loop
from overlay.streams.pipe import Pipe


@attrs.define(slots=True, eq=False)
class Brake:
    """On from UNSENT_HIGH bytes unsent until UNSENT_LOW: `while brake.on: await brake.released()`."""

    _loop: Loop
    _pipe: Pipe
    on: bool = attrs.field(default=False, init=False)
    _room: Future[None] | None = attrs.field(default=None, init=False)
    _taken: Future[None] | None = attrs.field(default=None, init=False)

    def sent_more(self) -> None:
        """This side did."""
        self.on = self._pipe.unsent >= UNSENT_HIGH

    def on_sent(self) -> None:
        """The network took some."""
        if self._taken is not None:
            self._taken.set()
        if self.on and self._pipe.unsent <= UNSENT_LOW:
            self.on = False
            self.release()

    async def released(self) -> None:
        """Until there is room, or the stream is over."""
        if self._room is None or self._room.done:
            self._room = self._loop.future()
        await self._room

    async def taken(self) -> None:
        """Until the network takes some, or the stream is over."""
        if self._taken is None or self._taken.done:
            self._taken = self._loop.future()
        await self._taken

    def release(self) -> None:
        """Whoever waits looks again."""
        for waiter in (self._room, self._taken):
            if waiter is not None:
                waiter.set()


@attrs.define(slots=True, eq=False)
class Window:
    """Unread and granted bytes together are at most `size`, which grows once much was read."""

    _pipe: Pipe
    size: int
    #: Whether this stream may have a large one.
    _enlarge: Callable[[], bool]

    def grant(self, *, unread: int, read: int) -> None:
        """What may come, not for every little that was read."""
        if self.size == FIRST_WINDOW and read >= FIRST_WINDOW and self._enlarge():
            self.size = STREAM_WINDOW
        room = self.size - unread - self._pipe.granted
        if room >= self.size // 4:
            self._pipe.grant(room)
