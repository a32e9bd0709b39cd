"""Back-pressure of one stream, both ways: who sends is held back, and so is the other side."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.limits import FIRST_WINDOW, STREAM_WINDOW, UNSENT_HIGH, UNSENT_LOW
from overlay.runtime.future import Future
from overlay.runtime.loop import Loop
from overlay.streams.pipe import Pipe


@attrs.define(slots=True, eq=False)
class Signal:
    """Something may have changed: `while not it_has: await signal.wait()`."""

    _loop: Loop
    _future: Future[None] | None = attrs.field(default=None, init=False)

    async def wait(self) -> None:
        if self._future is None or self._future.done:
            self._future = self._loop.future()
        await self._future

    def set(self) -> None:
        """Whoever waits looks again."""
        if self._future is not None:
            self._future.set()


@attrs.define(slots=True, eq=False)
class Brake:
    """On from UNSENT_HIGH bytes unsent until UNSENT_LOW: `while brake.on: await brake.released()`."""

    _loop: Loop
    _pipe: Pipe
    on: bool = attrs.field(default=False, init=False)
    _room: Signal = attrs.field(init=False)
    _taken: Signal = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._room, self._taken = Signal(self._loop), Signal(self._loop)

    def sent_more(self) -> None:
        """This side did."""
        self.on = self._pipe.unsent >= UNSENT_HIGH

    def on_sent(self) -> None:
        """The network took some."""
        self._taken.set()
        if self.on and self._pipe.unsent <= UNSENT_LOW:
            self.on = False
            self.release()

    async def released(self) -> None:
        """Until there is room, or the stream is over."""
        await self._room.wait()

    async def taken(self) -> None:
        """Until the network takes some, or the stream is over."""
        await self._taken.wait()

    def release(self) -> None:
        """Whoever waits looks again."""
        self._room.set()
        self._taken.set()


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
