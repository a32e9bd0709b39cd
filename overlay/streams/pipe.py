"""One ordered stream of bytes, as the shell carries it: what is granted, what is unsent, what has arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from overlay.errors import OverlayError
from overlay.limits import MAX_HANDSHAKE_MESSAGE
from overlay.runtime.address import Address
from overlay.runtime.future import Future
from overlay.runtime.loop import Loop
from overlay.runtime.ports import (
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
    _buffer: bytearray = attrs.field(factory=bytearray, init=False)
    _arrived: Future[None] | None = attrs.field(default=None, init=False)
    _sink: Sink | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.opened = self.loop.future()

    # --- for whoever shakes hands -----------------------------------------------------------

    async def read(self, n: int) -> bytes:
        """Exactly `n` bytes, for which exactly as many are granted: the next one may be sealed. OverlayError if it
        ends before."""
        self.grant(n - len(self._buffer) - self.granted)
        while len(self._buffer) < n:
            if self.ended is not None:
                raise self.ended
            self._arrived = self.loop.future()
            await self._arrived
        data = bytes(self._buffer[:n])
        del self._buffer[:n]
        return data

    def hand_over(self, secured: Secured, sink: Sink) -> None:
        """From now on the shell seals and opens, and `sink` is told."""
        self.emit(StreamKeys(self.id, secured.sending, secured.receiving, secured.suite))
        self._sink = sink

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
