"""The streams of one application: those it opened, those it takes, sealed and plain; all of them end with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs

from overlay.app_busy import Busy
from overlay.app_failures import WRONG, told_of
from overlay.app_names import is_name
from overlay.errors import LocalError, OverlayError, Refused
from overlay.events import AppEvent, Event
from overlay.limits import (
    MAX_APP_NAME,
    MAX_APP_PLAIN,
    MAX_APP_STREAMS,
    MAX_APP_STREAMS_PER_PEER,
    MAX_PLAIN_PER_ADDRESS,
)
from overlay.runtime.address import Address
from overlay.runtime.group import Group
from overlay.streams import End, Plain, Stream, StreamEnded, Streams
from overlay.streams.crowd import place_of

S = TypeVar("S", Stream, Plain)
#: Talks on a stream that another peer opened. The stream is closed when it returns.
StreamHandler = Callable[[Stream], Awaitable[object]]
#: The same on a plain stream.
PlainHandler = Callable[[Plain], Awaitable[object]]


@attrs.define(slots=True, eq=False)
class Talks:
    """Tasks of one application that talk on streams of others: so many, and so many for one peer or address."""

    _app: str
    _tasks: Group
    _report: Callable[[Event], None]
    #: A task may outlive its stream.
    _busy: Busy

    def __len__(self) -> int:
        return len(self._busy)

    def begin(self, handler: Callable[[S], Awaitable[object]], stream: S, peer: bytes, who: tuple[str, object]) -> None:
        """`peer` counts, `who` is reported."""
        if not self._busy.begin(peer):
            return stream.finish(End.BUSY, f"{self._app} is still busy with other streams")
        self._tasks.spawn(self._count(handler, stream, peer, who), name=f"{self._app}: stream")
        return None

    def also(self, handler: Callable[[S], Awaitable[object]], stream: S, who: tuple[str, object]) -> None:
        """On a stream that this side opened: it has its bounds already."""
        self._tasks.spawn(self._attend(handler, stream, who), name=f"{self._app}: stream")

    async def _count(
        self, handler: Callable[[S], Awaitable[object]], stream: S, peer: bytes, who: tuple[str, object]
    ) -> None:
        try:
            await self._attend(handler, stream, who)
        finally:
            self._busy.end(peer)

    async def _attend(self, handler: Callable[[S], Awaitable[object]], stream: S, who: tuple[str, object]) -> None:
        """Whatever a stranger brings about on a stream ends that stream alone. "stream failed": he, or this peer's
        bounds; "stream crashed": a mistake of the application."""
        try:
            await handler(stream)
            stream.close()
        except StreamEnded:
            pass
        except Refused as error:
            stream.finish(End.REFUSED, str(error))
        except OverlayError as error:
            self._failed(stream, "stream failed", who, error)
        except WRONG as error:
            self._failed(stream, "stream crashed", who, error)
        finally:
            stream.close("the application ended")

    def _failed(self, stream: Stream | Plain, event: str, who: tuple[str, object], error: BaseException) -> None:
        stream.finish(End.FAILED, "the application failed")
        self._report(AppEvent(self._app, event, (who, *told_of(error))))


@attrs.define(slots=True, eq=False)
class AppStreams:
    """Names of protocols are "/<application>/<protocol>", so that two applications cannot take each other's."""

    _streams: Streams
    _app: str
    _sealed: Talks
    _plain: Talks
    _served: list[str] = attrs.field(factory=list, init=False)
    #: It takes plain ones.
    _takes_plain: bool = attrs.field(default=False, init=False)

    @classmethod
    def of(cls, streams: Streams, app: str, tasks: Group, report: Callable[[Event], None]) -> AppStreams:
        sealed = Talks(app, tasks, report, Busy(MAX_APP_STREAMS, MAX_APP_STREAMS_PER_PEER))
        return cls(streams, app, sealed, Talks(app, tasks, report, Busy(MAX_APP_PLAIN, MAX_PLAIN_PER_ADDRESS)))

    @property
    def serving(self) -> bool:
        return bool(self._served) or self._takes_plain

    @property
    def talking(self) -> int:
        """Tasks that talk on streams of others."""
        return len(self._sealed) + len(self._plain)

    async def connect(self, peer: bytes, addresses: Sequence[Address], protocol: str) -> Stream:
        """Errors: `Streams.open`."""
        return await self._streams.open(peer, addresses, self._name_of(protocol))

    def accept(self, handler: StreamHandler, protocol: str) -> None:
        """LocalError if the protocol has a handler already."""
        name = self._name_of(protocol)

        def take(stream: Stream) -> None:
            self._sealed.begin(handler, stream, stream.peer, ("peer", stream.peer))

        self._streams.serve(name, take)
        self._served.append(name)

    async def connect_plain(self, address: Address) -> Plain:
        """Errors: `Plains.open`."""
        return await self._streams.plains.open(address, self._app)

    def accept_plain(self, first: bytes, handler: PlainHandler) -> None:
        """LocalError if the byte has a handler already."""

        def take(stream: Plain) -> None:
            self._plain.begin(handler, stream, place_of(stream.address), ("address", str(stream.address)))

        self._streams.plains.serve(first, self._app, take)
        self._takes_plain = True

    def talk(self, handler: StreamHandler, stream: Stream) -> None:
        self._sealed.also(handler, stream, ("peer", stream.peer))

    def talk_plain(self, handler: PlainHandler, stream: Plain) -> None:
        self._plain.also(handler, stream, ("address", str(stream.address)))

    def end(self) -> None:
        """The application is over."""
        for name in self._served:
            self._streams.unserve(name)
        self._streams.close_opened(f"/{self._app}/", "the application ended")
        self._streams.plains.end(self._app, "the application ended")

    def _name_of(self, protocol: str) -> str:
        if not is_name(protocol):
            raise LocalError(
                f"a protocol has a name of 1 to {MAX_APP_NAME} printable bytes without /, not {protocol!r}"
            )
        return f"/{self._app}/{protocol}"
