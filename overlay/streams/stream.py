"""A stream of messages with one peer: back-pressure both ways, and a question now and then whether it is there.

Bounds: the shell holds less than UNSENT_HIGH + one message + a few small frames unsent; unread and granted bytes are
at most the window. Whoever reads slowly holds back the other side, who waits; whoever takes nothing for STALLED_S loses
the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from overlay.errors import BadMessage, LocalError
from overlay.identity.node_id import node_id_of
from overlay.limits import (
    FIRST_WINDOW,
    KEEP_ALIVE_S,
    MAX_PROBES,
    MAX_STREAM_MESSAGE,
    MAX_UNREAD_MESSAGES,
    PROBE_S,
    STALLED_S,
    UNSENT_HIGH,
)
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop, Timer
from overlay.runtime.ports import SECOND, StreamEnd
from overlay.secure.handshake import Secured
from overlay.secure.noise import MAX_MESSAGE
from overlay.streams.endings import TEXTS, StreamEnded, ended_here
from overlay.streams.frames import HEAD_BYTES, Bytes, End, FrameReader, Kind, decode_end, encode_end, encode_frame
from overlay.streams.pipe import Pipe
from overlay.streams.pressure import Brake, Signal, Window

_PING = encode_frame(Kind.PING, b"")
_PONG = encode_frame(Kind.PONG, b"")
#: A shell may hold back a whole record for which too little is granted.
_RECORD = MAX_MESSAGE


class Stream:
    """Made by `Streams`. One task sends and one receives at a time; more may, in no particular order."""

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_brake",
        "_cut",
        "_ended",
        "_heard_ns",
        "_loop",
        "_on_over",
        "_pipe",
        "_probes",
        "_queue",
        "_reader",
        "_said_ns",
        "_timer",
        "_unread",
        "_window",
        "address",
        "incoming",
        "key",
        "peer",
        "protocol",
        "received",
        "sent",
    )  # fmt: skip

    def __init__(
        self, loop: Loop, pipe: Pipe, secured: Secured, *, incoming: bool, window: int,
        enlarge: Callable[[Stream], bool], on_over: Callable[[Stream], object],
    ) -> None:  # fmt: skip
        #: NodeId and Ed25519 key of the other side, proved.
        self.peer = node_id_of(secured.key)
        self.key = secured.key
        self.address: Address = pipe.address
        #: "" until both have agreed on it.
        self.protocol = ""
        #: The other side opened it.
        self.incoming = incoming
        #: Bytes of messages that `send` took and `receive` gave.
        self.sent = 0
        self.received = 0
        self._loop = loop
        self._pipe = pipe
        self._on_over = on_over
        self._reader = FrameReader()
        self._queue: deque[bytes] = deque()
        #: Bytes that were delivered and not read, heads included.
        self._unread = 0
        self._window = Window(pipe, window, lambda: enlarge(self))
        self._brake = Brake(loop, pipe)
        self._arrived = Signal(loop)
        #: The connection ended; frames may still wait to be parsed.
        self._cut: StreamEnd | None = None
        self._ended: StreamEnded | None = None
        self._heard_ns = self._said_ns = loop.now.mono_ns
        self._probes = 0
        self._timer: Timer | None = loop.call_at(self._heard_ns + PROBE_S * SECOND, self._tick)
        pipe.hand_over(secured, self)
        self._grant()

    # --- for applications -------------------------------------------------------------------

    async def send(self, message: Bytes) -> None:
        """Returns once there is room for more, which says nothing of arrival. StreamEnded; LocalError if the message
        is longer than MAX_STREAM_MESSAGE."""
        if len(message) > MAX_STREAM_MESSAGE:
            raise LocalError(f"a message has at most {MAX_STREAM_MESSAGE} bytes, not {len(message)}: send it in parts")
        while self._brake.on and self._ended is None and self._cut is None:
            await self._brake.released()
        self._check()
        self._say(encode_frame(Kind.DATA, message))
        self.sent += len(message)
        self._brake.sent_more()

    async def drain(self, most: int) -> None:
        """Returns once at most `most` bytes wait for the network: for whoever would rather decide late what to send
        than send it early. StreamEnded."""
        while self._pipe.unsent > most and self._ended is None and self._cut is None:
            await self._brake.taken()
        self._check()

    async def receive(self) -> bytes:
        """The next message. StreamEnded once all that came before the end was given; at once after `close`."""
        while not self._queue:
            if self._ended is not None:
                raise self._ended
            await self._arrived.wait()
        message = self._queue.popleft()
        self.received += len(message)
        self._unread -= HEAD_BYTES + len(message)
        if len(self._queue) == MAX_UNREAD_MESSAGES - 1:
            self._parse()
        self._grant()
        return message

    def close(self, reason: str = "") -> None:
        """This side has said all, and reads no more; what was sent still arrives. Any number of times."""
        self.finish(End.DONE, reason)
        self._queue.clear()
        self._reader.clear()
        self._unread = 0

    @property
    def ended(self) -> StreamEnded | None:
        """Why, once it is over; messages may still wait to be received."""
        return self._ended

    @property
    def unsent(self) -> int:
        """Bytes that wait for the network."""
        return self._pipe.unsent

    @property
    def unread(self) -> int:
        """Bytes that wait for `receive`, heads included."""
        return self._unread

    def __repr__(self) -> str:
        arrow = "from" if self.incoming else "to"
        return f"<Stream {self.protocol} {arrow} {self.peer.hex()[:8]} {self.address}>"

    def _check(self) -> None:
        """StreamEnded if nothing can be sent any more."""
        if self._ended is not None:
            raise self._ended
        if self._cut is not None:  # while there is more to read than is parsed
            raise StreamEnded(TEXTS[self._cut], end=self._cut, here=False)

    # --- for Streams ------------------------------------------------------------------------

    def finish(self, end: End, text: str) -> None:
        """End it from this side; what came before may still be received."""
        if self._ended is None:
            self._over(ended_here(end, text))
        if not self._pipe.over:
            self._pipe.send(encode_frame(Kind.END, encode_end(end, text)))
            self._pipe.close()

    def agreed(self, protocol: str) -> None:
        """Both sides know what is spoken: now there may be more to read than a name."""
        self.protocol = protocol
        self.sent = self.received = 0  # the name was none of the application's
        self._window.size = FIRST_WINDOW
        self._grant()

    # --- what the pipe tells ----------------------------------------------------------------

    def on_data(self, data: bytes) -> None:
        if self._ended is None:
            self._heard_ns = self._loop.now.mono_ns
            self._probes = 0
            self._unread += len(data)
            self._reader.feed(data)
            self._parse()
            self._grant()

    def on_sent(self) -> None:
        self._brake.on_sent()

    def on_cut(self, reason: StreamEnd) -> None:
        self._cut = reason
        self._stop_timer()
        self._brake.release()
        self._parse()

    # --- inside -----------------------------------------------------------------------------

    def _parse(self) -> None:
        """Frames out of what arrived, until enough messages wait: the rest then stays as it is."""
        asked = False
        while self._ended is None and len(self._queue) < MAX_UNREAD_MESSAGES:
            skipped = self._reader.skipped
            try:
                frame = self._reader.next()
                self._unread -= self._reader.skipped - skipped
                if frame is None:
                    break
                kind, payload = frame
                if kind is Kind.DATA:
                    self._queue.append(payload)
                    self._arrived.set()
                    continue
                self._unread -= HEAD_BYTES + len(payload)
                if kind is Kind.END:
                    self._told_end(*decode_end(payload))
                asked = asked or kind is Kind.PING
            except BadMessage as error:
                self.finish(End.BAD_FRAME, error.reason)
        if asked and self._ended is None and self._pipe.unsent < UNSENT_HIGH:
            self._say(_PONG)  # one for all that came together: who only asks does not fill our memory
        if self._cut is not None and self._ended is None and len(self._queue) < MAX_UNREAD_MESSAGES:
            self._over(StreamEnded(TEXTS[self._cut], end=self._cut, here=False))

    def _told_end(self, end: End, text: str) -> None:
        shown = "".join(c if c.isprintable() else "?" for c in text) or end.name.lower().replace("_", " ")
        self._over(StreamEnded(shown, end=end, here=False))
        self._pipe.close()

    def _over(self, ended: StreamEnded) -> None:
        self._ended = ended
        self._stop_timer()
        self._brake.release()
        self._arrived.set()
        self._on_over(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say(self, frame: bytes) -> None:
        self._said_ns = self._loop.now.mono_ns
        self._pipe.send(frame)

    def _grant(self) -> None:
        if self._ended is None:
            self._window.grant(unread=self._unread, read=self.received)

    def _tick(self) -> None:
        """Every few seconds while it lives."""
        now_ns, pipe = self._loop.now.mono_ns, self._pipe
        self._timer = None
        self._reader.spare += PROBE_S
        if pipe.stalled(now_ns):
            return self.finish(End.STALLED, f"nothing was taken for {STALLED_S} s")
        next_ns = now_ns + PROBE_S * SECOND
        if self._unread and pipe.granted < _RECORD:
            self._heard_ns = now_ns  # it cannot be heard: our application has not read what it said
        ask_ns = self._heard_ns + KEEP_ALIVE_S * SECOND
        if now_ns >= ask_ns:
            if self._probes == MAX_PROBES:
                return self.finish(End.SILENT, "no sign of life")
            self._probes += 1
            self._say(_PING)
        elif now_ns - self._said_ns >= KEEP_ALIVE_S * SECOND and self._unread:
            self._say(_PONG)  # a question may be stuck behind what our application has not read
        if now_ns < ask_ns < next_ns:
            next_ns = ask_ns
        self._timer = self._loop.call_at(next_ns, self._tick)
        return None
