"""How streams end, in words: for applications, for whoever opens one, for counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from overlay.errors import BadMessage, LimitError, OverlayError, Refused, RemoteError, TimedOut
from overlay.runtime.address import Address
from overlay.runtime.ports import StreamEnd
from overlay.streams.frames import End

if TYPE_CHECKING:
    from overlay.streams.pipe import Pipe
    from overlay.streams.stream import Stream

#: Of a connection that ended without a word of the other side.
TEXTS: Final = {
    StreamEnd.CLOSED: "the other side went without a word",
    StreamEnd.REFUSED: "nobody takes streams there",
    StreamEnd.RESET: "the other side died",
    StreamEnd.TIMED_OUT: "the network did not carry it any more",
    StreamEnd.DAMAGED: "bytes were changed on their way",
    StreamEnd.UNREACHABLE: "there is no way there any more",
    StreamEnd.FULL: "this node holds as many streams as it may",
}


class StreamEnded(OverlayError):
    """The stream is over."""

    def __init__(self, text: str, *, end: End | StreamEnd, here: bool) -> None:
        super().__init__(text)
        #: `End`: a side said so. `StreamEnd`: the connection broke off without a word.
        self.end = end
        #: This side ended it.
        self.here = here

    @property
    def clean(self) -> bool:
        """Whether a side said that all was said: nothing is missing of what the other side sent."""
        return self.end is End.DONE


def ended_here(end: End, text: str) -> StreamEnded:
    """By this side, for this reason."""
    return StreamEnded(text or "this side has closed the stream", end=end, here=True)


def error_of(reason: StreamEnd, address: Address) -> OverlayError:
    """What it means for somebody who waits for a stream with `address`."""
    match reason:
        case StreamEnd.REFUSED:
            return Refused(f"nobody takes streams at {address}")
        case StreamEnd.TIMED_OUT:
            return TimedOut(f"{address} does not answer")
        case StreamEnd.UNREACHABLE:
            return TimedOut(f"there is no way to {address}")
        case StreamEnd.FULL:
            return LimitError("this node holds as many streams as it may")
        case StreamEnd.CLOSED:
            return Refused(f"{address} closed the stream in its handshake: another network, or no room for us")
        case StreamEnd.RESET | StreamEnd.DAMAGED:
            return RemoteError(f"the stream with {address} broke off: {reason.value}")


def explained(error: BaseException, address: Address) -> BaseException:
    """What whoever opened a stream is told of what went wrong in its handshake or in agreeing."""
    match error:
        case StreamEnded(end=End.DONE | End.NO_SUCH_PROTOCOL | End.BUSY | End.REFUSED):
            return Refused(f"{address} does not take this stream: {error}")
        case StreamEnded(end=StreamEnd.CLOSED):
            return Refused(f"{address} closed the stream when it knew who we are: are both clocks right?")
        case StreamEnded():
            return RemoteError(f"the stream with {address} broke off: {error}")
        case TimedOut():
            return TimedOut(f"{address} did not finish the handshake in time")
        case RemoteError(reason=reason):
            return RemoteError(f"the handshake with {address} failed: {reason}")
    return error


def give_up(pipe: Pipe, stream: Stream | None, error: BaseException | None) -> None:
    """Leave nothing, and say why to whoever has proved who he is."""
    if stream is None:
        pipe.close()
        return
    match error:
        case BadMessage():
            stream.finish(End.BAD_FRAME, error.reason)
        case LimitError():
            stream.finish(End.BUSY, str(error))
        case Refused():
            stream.finish(End.REFUSED, str(error))
        case None:
            stream.finish(End.BUSY, "it took too long")
        case _:
            stream.finish(End.FAILED, "it was given up")


def count_of(error: OverlayError) -> str:
    match error:
        case TimedOut():
            return "handshake timed out"
        case BadMessage():
            return "bad handshake"
        case LimitError():
            return "no room"
        case Refused():
            return "handshake refused"
    return "handshake broke off"
