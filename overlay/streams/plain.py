"""A stream of bytes as they are, for protocols of others: nobody has proved who he is, and nothing is sealed.

Back-pressure and bounds are those of `Stream`: less than UNSENT_HIGH and what one `send` gave are unsent, unread and
granted bytes are at most the window, whoever takes nothing for STALLED_S loses the stream. There is no END: a side that
closes has said all, and one that dies may have had more to say; TCP alone tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable

from overlay.errors import LocalError
from overlay.limits import FIRST_WINDOW, MAX_STREAM_MESSAGE, PLAIN_IDLE_S, PROBE_S
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop, Timer
from overlay.runtime.ports import SECOND, StreamEnd
from overlay.streams.chunks import Chunks
from overlay.streams.endings import TEXTS, StreamEnded, ended_here
from overlay.streams.frames import Bytes, End
from overlay.streams.pipe import Pipe
from overlay.streams.pressure import Brake, Signal, Window

#: Bytes of the length before a frame.
_LENGTH = 4


class Plain:
    """Made by `Plains`. One task reads at a time; more may send, whole pieces in no particular order."""

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_brake",
        "_chunks",
        "_ended",
        "_heard_ns",
        "_loop",
        "_on_over",
        "_pipe",
        "_timer",
        "_window",
        "address",
        "idle_s",
        "incoming",
        "received",
        "sent",
    )  # fmt: skip

    def __init__(
        self, loop: Loop, pipe: Pipe, *, incoming: bool, enlarge: Callable[[Plain], bool],
        on_over: Callable[[Plain], object],
    ) -> None:  # fmt: skip
        #: The other end, as this side sees it.
        self.address: Address = pipe.address
        #: The other side opened it.
        self.incoming = incoming
        #: If nothing comes for so long, the stream is over. May be changed; noticed within PROBE_S.
        self.idle_s = PLAIN_IDLE_S
        #: Bytes that `send` took and `read` gave.
        self.sent = 0
        self.received = 0
        self._loop = loop
        self._pipe = pipe
        self._on_over = on_over
        self._chunks = Chunks()
        self._window = Window(pipe, FIRST_WINDOW, lambda: enlarge(self))
        self._brake = Brake(loop, pipe)
        self._arrived = Signal(loop)
        self._ended: StreamEnded | None = None
        self._heard_ns = loop.now.mono_ns
        self._timer: Timer | None = loop.call_at(self._heard_ns + PROBE_S * SECOND, self._tick)
        self._chunks.feed(pipe.hand_over_plain(self))
        self._grant()

    # --- for applications -------------------------------------------------------------------

    async def read(self, n: int) -> bytes:
        """Exactly `n` bytes. StreamEnded if it ends before; LocalError for more than MAX_STREAM_MESSAGE. One that is
        cancelled has taken nothing."""
        if n > MAX_STREAM_MESSAGE:
            raise LocalError(f"at most {MAX_STREAM_MESSAGE} bytes are read at once, not {n}")
        if self._chunks.size < n:
            await self._until(n)
        return self._taken(self._chunks.take(n))

    async def read_some(self, most: int) -> bytes:
        """What is there, and at least one byte of it; never more than `most`. StreamEnded at the end."""
        if not self._chunks.size:
            await self._until(1)
        return self._taken(self._chunks.take_some(most))

    async def read_frame(self, most: int) -> bytes:
        """What stands behind its length, 4 bytes big-endian, in one step. StreamEnded if it ends before, or if the
        length is over `most`, which ends it. `most` is at most MAX_STREAM_MESSAGE."""
        if self._chunks.size < _LENGTH:
            await self._until(_LENGTH)
        length = int.from_bytes(self._chunks.peek(_LENGTH), "big")
        if length > most:
            self.finish(End.BAD_FRAME, f"a message of {length} bytes, where {most} are the most")
            assert self._ended is not None
            raise self._ended
        if self._chunks.size < _LENGTH + length:
            await self._until(_LENGTH + length)
        self._chunks.drop(_LENGTH)
        self.received += _LENGTH
        return self._taken(self._chunks.take(length))

    async def send(self, data: Bytes) -> None:
        """Returns once there is room for more, which says nothing of arrival. StreamEnded; LocalError for more than
        MAX_STREAM_MESSAGE."""
        if len(data) > MAX_STREAM_MESSAGE:
            raise LocalError(f"at most {MAX_STREAM_MESSAGE} bytes are sent at once, not {len(data)}")
        while self._brake.on and self._ended is None:
            await self._brake.released()
        if self._ended is not None:
            raise self._ended
        if data:
            self._pipe.send(bytes(data))
            self.sent += len(data)
            self._brake.sent_more()

    def close(self, reason: str = "") -> None:
        """This side has said all, and reads no more; what was sent still arrives. Any number of times."""
        self.finish(End.DONE, reason)
        self._chunks.clear()

    @property
    def ended(self) -> StreamEnded | None:
        """Why, once it is over; bytes may still wait to be read."""
        return self._ended

    @property
    def unsent(self) -> int:
        """Bytes that wait for the network."""
        return self._pipe.unsent

    @property
    def unread(self) -> int:
        """Bytes that wait for `read`."""
        return self._chunks.size

    def __repr__(self) -> str:
        return f"<Plain {'from' if self.incoming else 'to'} {self.address}>"

    # --- for Plains -------------------------------------------------------------------------

    def finish(self, end: End, text: str) -> None:
        """End it from this side, who alone learns why; what came before may still be read."""
        if self._ended is None:
            self._over(ended_here(end, text))
        self._pipe.close()

    # --- what the pipe tells ----------------------------------------------------------------

    def on_data(self, data: bytes) -> None:
        self._heard_ns = self._loop.now.mono_ns
        self._chunks.feed(data)
        self._arrived.set()
        self._grant()

    def on_sent(self) -> None:
        self._brake.on_sent()

    def on_cut(self, reason: StreamEnd) -> None:
        if self._ended is None:
            self._over(StreamEnded(TEXTS[reason], end=reason, here=False))

    # --- inside -----------------------------------------------------------------------------

    async def _until(self, n: int) -> None:
        """So many bytes are there."""
        while self._chunks.size < n:
            if self._ended is not None:
                raise self._ended
            await self._arrived.wait()

    def _taken(self, data: bytes) -> bytes:
        self.received += len(data)
        self._grant()
        return data

    def _grant(self) -> None:
        if self._ended is None:
            self._window.grant(unread=self._chunks.size, read=self.received)

    def _over(self, ended: StreamEnded) -> None:
        self._ended = ended
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._brake.release()
        self._arrived.set()
        self._on_over(self)

    def _tick(self) -> None:
        """Every few seconds while it lives."""
        now_ns, pipe = self._loop.now.mono_ns, self._pipe
        self._timer = None
        if pipe.stalled(now_ns):
            return self.finish(End.STALLED, "it took nothing of what waited for it")
        if not pipe.granted:
            self._heard_ns = now_ns  # it cannot be heard: our application has not read what it said
        over_ns = self._heard_ns + self.idle_s * SECOND
        if now_ns >= over_ns:
            return self.finish(End.SILENT, f"nothing came for {self.idle_s} s")
        self._timer = self._loop.call_at(min(now_ns + PROBE_S * SECOND, over_ns), self._tick)
        return None
