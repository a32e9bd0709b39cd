"""A stream of gossip with one peer: both sides ask for bodies on it, and each answers what the other asked.

What was asked for and is no longer wanted still comes. It is counted and dropped, so that nobody sends more than he was
asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from overlay.errors import BadMessage, LimitError, NotFound, OverlayError, Refused, RemoteError
from overlay.limits import BODY_PART, MAX_BODY_ASKS
from overlay.runtime.future import Future
from overlay.runtime.loop import Loop
from overlay.streams import End, Stream, StreamEnded
from overlay.wire.bodies import Ask, No, Part, decode_body_message, encode_body_message
from overlay.wire.registry import BodyRefusal


@attrs.define(slots=True, eq=False)
class Asked:
    """One body, as it comes: `parts` are together `size` bytes in the end."""

    size: int
    _loop: Loop
    parts: list[bytes] = attrs.field(factory=list, repr=False)
    got: int = 0
    wanted: bool = True
    #: Why no more of it comes.
    error: OverlayError | None = None
    _news: Future[None] | None = None

    @property
    def whole(self) -> bool:
        return self.got == self.size

    async def more(self) -> None:
        """Until the next part is there. Raises what ended it: NotFound (the other side does not have it), Refused (not
        to us, or not now), RemoteError (it said what it must not), StreamEnded."""
        before = self.got
        while self.got == before:
            if self.error is not None:
                raise self.error
            self._news = self._loop.future()
            await self._news

    def give_up(self) -> None:
        """It is no longer wanted."""
        self.wanted = False
        self.parts.clear()

    def on_part(self, data: bytes) -> None:
        """BadMessage unless it can be what comes next of a body of this size."""
        if len(data) != min(BODY_PART, self.size - self.got):
            raise BadMessage("a part of a body has another length than it must have")
        self.got += len(data)
        if self.wanted:
            self.parts.append(data)
        self._wake()

    def end(self, error: OverlayError) -> None:
        self.error = error
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()


@attrs.define(slots=True, eq=False)
class Line:
    """`read` in a task of its own until it ends; `answer` what is in `queue` in another one."""

    loop: Loop
    stream: Stream
    opened_ns: int
    #: When anything was last asked on it, either way; when anything came. Monotonic ns.
    used_ns: int = attrs.field(init=False)
    heard_ns: int = attrs.field(init=False)
    queue: deque[Ask] = attrs.Factory(deque)
    serving: bool = False
    #: By number, until all of it came: also what is no longer wanted.
    asked: dict[int, Asked] = attrs.Factory(dict)
    _last_number: int = 0

    def __attrs_post_init__(self) -> None:
        self.used_ns = self.heard_ns = self.opened_ns

    @property
    def live(self) -> bool:
        return self.stream.ended is None

    @property
    def idle(self) -> bool:
        """Nobody waits for anything on it."""
        return not self.queue and not self.serving and not any(asked.wanted for asked in self.asked.values())

    async def ask(self, digest: bytes, size: int) -> Asked:
        """LimitError if too much is asked for on it already, StreamEnded."""
        if len(self.asked) >= MAX_BODY_ASKS:
            raise LimitError(f"{MAX_BODY_ASKS} bodies are asked for on this stream already")
        self._last_number += 1
        number, asked = self._last_number, Asked(size, self.loop)
        self.asked[number] = asked
        self.used_ns = self.loop.now.mono_ns
        try:
            await self.stream.send(encode_body_message(Ask(number, digest)))
        except BaseException:  # nothing was sent
            self.asked.pop(number, None)
            raise
        return asked

    async def read(self, on_ask: Callable[[Line], object]) -> None:
        """Until the stream ends, whatever ends it; `on_ask` is called when something more is in `queue`."""
        error: OverlayError = Refused("this side ended it")
        try:
            while True:
                self._take(decode_body_message(await self.stream.receive()), on_ask)
        except StreamEnded as ended:
            error = ended
        except BadMessage as bad:
            error = RemoteError(bad.reason)
            self.stream.finish(End.BAD_FRAME, bad.reason)
        finally:
            self.stream.close()
            self.queue.clear()
            for asked in self.asked.values():
                asked.end(error)
            self.asked.clear()

    async def answer(self, ask: Ask, found: bytes | BodyRefusal) -> None:
        """StreamEnded."""
        if isinstance(found, BodyRefusal):
            return await self.stream.send(encode_body_message(No(ask.number, found)))
        for at in range(0, len(found), BODY_PART):
            await self.stream.send(encode_body_message(Part(ask.number, found[at : at + BODY_PART])))
        return None

    def _take(self, message: Ask | Part | No, on_ask: Callable[[Line], object]) -> None:
        self.heard_ns = self.loop.now.mono_ns
        if isinstance(message, Ask):
            if len(self.queue) >= MAX_BODY_ASKS:
                raise BadMessage(f"more than {MAX_BODY_ASKS} bodies are asked for at once")
            self.used_ns = self.heard_ns
            self.queue.append(message)
            on_ask(self)
            return
        asked = self.asked.get(message.number)
        if asked is None:
            raise BadMessage("an answer to what was not asked")
        if isinstance(message, Part):
            asked.on_part(message.data)
            if asked.whole:
                del self.asked[message.number]
            return
        del self.asked[message.number]
        if message.reason is BodyRefusal.NOT_HERE:
            asked.end(NotFound("it does not have that body"))
        else:
            asked.end(Refused("it gives us no body now"))
