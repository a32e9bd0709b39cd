"""What stands in a sealed stream: frames of 1 byte kind, 3 bytes length big-endian, payload."""

from __future__ import annotations

import enum

from overlay.errors import BadMessage
from overlay.limits import MAX_END_TEXT, MAX_SPARE_FRAMES, MAX_STREAM_MESSAGE
from overlay.streams.chunks import Chunks

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
    """Bytes in as they come, frames out."""

    __slots__ = ("_chunks", "_head", "skipped", "spare")

    def __init__(self) -> None:
        self._chunks = Chunks()
        self._head: tuple[int, int] | None = None
        #: Bytes of frames of unknown kinds, heads included.
        self.skipped = 0
        #: How many more frames may come that are no messages; each message allows one.
        self.spare = MAX_SPARE_FRAMES

    def feed(self, data: bytes) -> None:
        self._chunks.feed(data)

    def clear(self) -> None:
        """Nothing of what was fed is wanted any more."""
        self._chunks.clear()

    def next(self) -> tuple[Kind, bytes] | None:
        """The next frame; None until more bytes come. BadMessage for what no version sends."""
        while True:
            if self._head is None:
                if self._chunks.size < HEAD_BYTES:
                    return None
                head = self._chunks.take(HEAD_BYTES)
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
                if self._chunks.size < length:
                    return None
                self._head = None
                return Kind(kind), self._chunks.take(length)
            some = min(length, self._chunks.size)
            self._chunks.drop(some)
            self.skipped += some
            if some < length:
                self._head = kind, length - some
                return None
            self._head = None


def _check_length(kind: int, length: int) -> None:
    most = {Kind.PING: _MAX_PROBE, Kind.PONG: _MAX_PROBE, Kind.END: 1 + MAX_END_TEXT}.get(kind, MAX_STREAM_MESSAGE)  # type: ignore[call-overload]
    if length > most:
        raise BadMessage(f"a frame of kind {kind} has at most {most} bytes, not {length}")
