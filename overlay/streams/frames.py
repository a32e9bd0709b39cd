"""What stands in a sealed stream: frames of 1 byte kind, 3 bytes length big-endian, payload."""

from __future__ import annotations

import enum
from collections import deque

from overlay.errors import BadMessage
from overlay.limits import MAX_END_TEXT, MAX_SPARE_FRAMES, MAX_STREAM_MESSAGE

HEAD_BYTES = 4
#: PING and PONG carry nothing; what a later version puts in may have this many bytes.
_MAX_PROBE = 8

Bytes = bytes | bytearray | memoryview


class Kind(enum.IntEnum):
    """Kinds of frames. Others are ignored, so that later versions may have more."""

    #: A message of the protocol of the stream; the dialler's first one names it.
    DATA = 0
    #: Are you there? Answered by PONG.
    PING = 1
    PONG = 2
    #: No more from this side, and why: 1 byte `End`, text.
    END = 3


class End(enum.IntEnum):
    """Why a side ends a stream. A number that this version does not know is read as FAILED."""

    #: All was said.
    DONE = 0
    #: No application takes this protocol here.
    NO_SUCH_PROTOCOL = 1
    #: A bound of limits.py: try again later.
    BUSY = 2
    #: It does not want to talk to this peer.
    REFUSED = 3
    #: The application failed.
    FAILED = 4
    #: The other side took nothing of what waited for it for STALLED_S.
    STALLED = 5
    #: The same peer opened a newer stream for the same protocol.
    REPLACED = 6
    #: The other side broke this protocol.
    BAD_FRAME = 7
    #: The other side answered none of the questions whether it is there.
    SILENT = 8


def encode_frame(kind: Kind, payload: Bytes) -> bytes:
    return b"".join((bytes((kind,)), len(payload).to_bytes(3, "big"), payload))


def encode_end(end: End, text: str) -> bytes:
    """The payload of END; `text` is cut to MAX_END_TEXT bytes, between characters."""
    return bytes((end,)) + text.encode(errors="replace")[:MAX_END_TEXT].decode(errors="ignore").encode()


def decode_end(payload: bytes) -> tuple[End, str]:
    """BadMessage if it is empty, too long or no text."""
    if not 1 <= len(payload) <= 1 + MAX_END_TEXT:
        raise BadMessage(f"the end of a stream has 1 to {1 + MAX_END_TEXT} bytes")
    try:
        text = payload[1:].decode()
    except UnicodeDecodeError:
        raise BadMessage("the end of a stream is told in UTF-8") from None
    known = payload[0] in tuple(End)
    return End(payload[0]) if known else End.FAILED, text


class FrameReader:
    """Bytes in as they come, frames out. How the bytes were cut makes no difference; they are copied once."""

    __slots__ = ("_at", "_chunks", "_head", "_size", "skipped", "spare")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        #: Bytes of the first chunk that were taken.
        self._at = 0
        #: Bytes in all chunks that were not taken.
        self._size = 0
        self._head: tuple[int, int] | None = None
        #: Bytes of frames of unknown kinds, heads included.
        self.skipped = 0
        #: How many more frames may come that are no messages; each message allows one.
        self.spare = MAX_SPARE_FRAMES

    def feed(self, data: bytes) -> None:
        if data:
            self._chunks.append(data)
            self._size += len(data)

    def clear(self) -> None:
        """Nothing of what was fed is wanted any more."""
        self._chunks.clear()
        self._at = self._size = 0

    def next(self) -> tuple[Kind, bytes] | None:
        """The next frame; None until more bytes come. BadMessage for what no version sends."""
        while True:
            if self._head is None:
                if self._size < HEAD_BYTES:
                    return None
                head = self._take(HEAD_BYTES)
                kind, length = head[0], int.from_bytes(head[1:], "big")
                _check_length(kind, length)
                self.spare += 1 if kind == Kind.DATA else -1
                if self.spare < 0:
                    raise BadMessage("so many frames with nothing to say")
                self._head = kind, length
                if kind > Kind.END:
                    self.skipped += HEAD_BYTES
            kind, length = self._head
            if kind <= Kind.END:
                if self._size < length:
                    return None
                self._head = None
                return Kind(kind), self._take(length)
            some = min(length, self._size)
            self._drop(some)
            self.skipped += some
            if some < length:
                self._head = kind, length - some
                return None
            self._head = None

    def _take(self, n: int) -> bytes:
        self._size -= n
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

    def _drop(self, n: int) -> None:
        self._size -= n
        while n:
            some = min(n, len(self._chunks[0]) - self._at)
            n -= some
            self._step(some)

    def _step(self, n: int) -> None:
        self._at += n
        if self._at == len(self._chunks[0]):
            self._chunks.popleft()
            self._at = 0


def _check_length(kind: int, length: int) -> None:
    most = {Kind.PING: _MAX_PROBE, Kind.PONG: _MAX_PROBE, Kind.END: 1 + MAX_END_TEXT}.get(kind, MAX_STREAM_MESSAGE)  # type: ignore[call-overload]
    if length > most:
        raise BadMessage(f"a frame of kind {kind} has at most {most} bytes, not {length}")
