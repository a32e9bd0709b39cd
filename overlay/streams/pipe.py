"""One ordered stream of bytes, as the shell carries it: what is granted, what is unsent, what has arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from overlay.errors import OverlayError
from overlay.limits import MAX_HANDSHAKE_MESSAGE, STALLED_S
from overlay.runtime.address import Address
from overlay.runtime.future import Future
from overlay.runtime.loop import Loop
from overlay.runtime.ports import (
    SECOND,
    StreamClose,
    StreamEffect,
    StreamEnd,
    StreamGrant,
    StreamKeys,
    StreamSend,
)
from overlay.secure.handshake import Secured
from overlay.streams.endings import error_of


class Sink(Protocol):
    """Takes what arrives once the handshake is over."""

    def on_data(self, data: bytes) -> None: ...
    def on_sent(self) -> None: ...
    def on_cut(self, reason: StreamEnd) -> None: ...


@attrs.define(slots=True, eq=False)
class Pipe:
    """Bytes of one stream. `read` until the handshake is over, then `hand_over` to a sink."""

    id: int
    address: Address
    loop: Loop
    emit: Callable[[StreamEffect], object]
    #: Called once, at the end of it.
    forget: Callable[[Pipe], object]
    #: Set when it is connected, or fails.
    opened: Future[None] = attrs.field(init=False)
    #: Bytes that the shell has not sent yet.
    unsent: int = attrs.field(default=0, init=False)
    #: When the shell last took some of them, or when they began to wait; monotonic ns.
    taken_ns: int = attrs.field(default=0, init=False)
    #: Bytes granted that have not come.
    granted: int = attrs.field(default=0, init=False)
    over: bool = attrs.field(default=False, init=False)
    #: Why the shell says it is over, if it does.
    ended: OverlayError | None = attrs.field(default=None, init=False)
    #: It was handed over to a sink as it is.
    plain: bool = attrs.field(default=False, init=False)
    _buffer: bytearray = attrs.field(factory=bytearray, init=False)
    _arrived: Future[None] | None = attrs.field(default=None, init=False)
    _sink: Sink | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.opened = self.loop.future()

    # --- for whoever shakes hands -----------------------------------------------------------

    async def first(self, most: int) -> int:
        """The first byte, which stays; `most` are granted. OverlayError if it ends before."""
        self.grant(most)
        await self._until(1)
        return self._buffer[0]

    async def read(self, n: int) -> bytes:
        """Exactly `n` bytes, for which exactly as many are granted: the next one may be sealed. OverlayError if it
        ends before."""
        self.grant(n - len(self._buffer) - self.granted)
        await self._until(n)
        data = bytes(self._buffer[:n])
        del self._buffer[:n]
        return data

    async def _until(self, n: int) -> None:
        while len(self._buffer) < n:
            if self.ended is not None:
                raise self.ended
            self._arrived = self.loop.future()
            await self._arrived

    def hand_over(self, secured: Secured, sink: Sink) -> None:
        """From now on the shell seals and opens, and `sink` is told."""
        self.emit(StreamKeys(self.id, secured.sending, secured.receiving, secured.suite))
        self._sink = sink

    def hand_over_plain(self, sink: Sink) -> bytes:
        """There is no handshake: from now on `sink` is told. What came before."""
        self._sink, self.plain = sink, True
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    # --- for everybody ----------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if not self.over:
            if not self.unsent:
                self.taken_ns = self.loop.now.mono_ns
            self.unsent += len(data)
            self.emit(StreamSend(self.id, data))

    def grant(self, n: int) -> None:
        if n > 0 and not self.over:
            self.granted += n
            self.emit(StreamGrant(self.id, n))

    def stalled(self, now_ns: int) -> bool:
        """Whether something waits, and nothing of it was taken for STALLED_S."""
        return self.unsent > 0 and now_ns - self.taken_ns >= STALLED_S * SECOND

    def close(self) -> None:
        """What was sent still arrives, if the other side takes it. Any number of times."""
        if not self.over:
            self.over = True
            self.emit(StreamClose(self.id))
            self.forget(self)

    # --- what the shell tells ---------------------------------------------------------------

    def on_data(self, data: bytes) -> None:
        self.granted -= len(data)
        if self._sink is not None:
            self._sink.on_data(data)
        elif len(self._buffer) <= MAX_HANDSHAKE_MESSAGE:  # a shell gives no more than was granted
            self._buffer += data
            self._wake()

    def on_sent(self, n: int) -> None:
        self.unsent -= n
        self.taken_ns = self.loop.now.mono_ns
        if self._sink is not None:
            self._sink.on_sent()

    def on_closed(self, reason: StreamEnd) -> None:
        self.over = True
        self.forget(self)
        self.ended = error_of(reason, self.address)
        if not self.opened.done:
            self.opened.fail(self.ended)
        self._wake()
        if self._sink is not None:
            self._sink.on_cut(reason)

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()
