"""The streams of one application: those it opened, those it takes; all of them end with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from overlay.app_names import is_name
from overlay.errors import LocalError, Refused
from overlay.events import AppEvent, Event
from overlay.limits import MAX_APP_NAME, MAX_APP_STREAMS, MAX_APP_STREAMS_PER_PEER
from overlay.runtime.address import Address
from overlay.runtime.group import Group
from overlay.streams import End, Stream, StreamEnded, Streams

#: Talks on a stream that another peer opened. The stream is closed when it returns.
StreamHandler = Callable[[Stream], Awaitable[object]]


@attrs.define(slots=True, eq=False)
class AppStreams:
    """Names of protocols are "/<application>/<protocol>", so that two applications cannot take each other's."""

    _streams: Streams
    _app: str
    _tasks: Group
    _report: Callable[[Event], None]
    _served: list[str] = attrs.Factory(list)
    #: Tasks that talk on streams of others, by peer: one may outlive its stream.
    _talking: dict[bytes, int] = attrs.Factory(dict)

    @property
    def serving(self) -> bool:
        return bool(self._served)

    @property
    def talking(self) -> int:
        """Tasks that talk on streams of others."""
        return sum(self._talking.values())

    async def connect(self, peer: bytes, addresses: Sequence[Address], protocol: str) -> Stream:
        """Errors: `Streams.open`."""
        return await self._streams.open(peer, addresses, self._name_of(protocol))

    def accept(self, handler: StreamHandler, protocol: str) -> None:
        """LocalError if the protocol has a handler already."""
        name = self._name_of(protocol)
        self._streams.serve(name, lambda stream: self._take(handler, stream))
        self._served.append(name)

    def end(self) -> None:
        """The application is over."""
        for name in self._served:
            self._streams.unserve(name)
        self._streams.close_opened(f"/{self._app}/", "the application ended")

    def _name_of(self, protocol: str) -> str:
        if not is_name(protocol):
            raise LocalError(
                f"a protocol has a name of 1 to {MAX_APP_NAME} printable bytes without /, not {protocol!r}"
            )
        return f"/{self._app}/{protocol}"

    def _take(self, handler: StreamHandler, stream: Stream) -> None:
        here = self._talking.get(stream.peer, 0)
        if here >= MAX_APP_STREAMS_PER_PEER or self.talking >= MAX_APP_STREAMS:
            return stream.finish(End.BUSY, f"{self._app} is still busy with other streams")
        self._tasks.spawn(self._attend(handler, stream), name=f"{self._app}: stream")
        self._talking[stream.peer] = here + 1
        return None

    async def _attend(self, handler: StreamHandler, stream: Stream) -> None:
        """Whatever a stranger brings about on his stream ends that stream alone."""
        try:
            await handler(stream)
            stream.close()
        except StreamEnded:
            pass
        except Refused as error:
            stream.finish(End.REFUSED, str(error))
        except Exception as error:
            stream.finish(End.FAILED, "the application failed")
            text = f"{type(error).__name__}: {error}"
            self._report(AppEvent(self._app, "stream failed", (("peer", stream.peer), ("error", text))))
        finally:
            stream.close("the application ended")
            self._talking[stream.peer] -= 1
            if not self._talking[stream.peer]:
                del self._talking[stream.peer]
