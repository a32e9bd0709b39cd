"""Nodes with real sockets and a core that does what a test says; a test waits for what the core was given."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import attrs
import trio

from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import (
    MS,
    Now,
    StreamEffect,
    StreamEvent,
    StreamGrant,
    StreamKeys,
    StreamOpen,
    StreamSend,
)
from p2pnode.driver import Driver
from p2pnode.transport.sockets import Sockets, open_sockets
from p2pnode.transport.streams import Streams
from tests.support.toy_streams import ToyStreams

ANYWHERE = parse_address("127.0.0.1:0")
PREFACE = b"\xd2p2pn/1\x01"
ONE, TWO = bytes(range(32)), bytes(range(32, 64))


@attrs.define(slots=True, eq=False)
class Watched:
    """A toy that wakes who waits, after each event."""

    toy: ToyStreams
    news: trio.Event = attrs.Factory(trio.Event)

    def handle_stream(self, now: Now, event: StreamEvent) -> None:
        self.toy.handle_stream(now, event)
        news, self.news = self.news, trio.Event()
        news.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.toy, name)


class _NoStore:
    def commit(self, done: object) -> None: ...
    def sync(self, done: object) -> None: ...


@attrs.define(slots=True, eq=False)
class Rig:
    """One node."""

    core: Watched
    sockets: Sockets
    driver: Driver

    @property
    def streams(self) -> Streams:
        return self.sockets.streams

    @property
    def address(self) -> Address:
        return self.sockets.listen[0]

    async def do(self, *effects: StreamEffect) -> None:
        for effect in effects:
            await self.driver.command("do", effect=effect)

    async def until(self, seen: Callable[[], object]) -> None:
        """Until the core was given what makes `seen` true."""
        while not seen():
            await self.core.news.wait()

    async def data(self, id: int, n: int) -> bytes:
        await self.until(lambda: len(self.core.given.get(id, b"")) >= n or id in self.core.ended)
        return bytes(self.core.given[id])

    async def end(self, id: int) -> Any:
        await self.until(lambda: id in self.core.ended)
        return self.core.ended[id]


def virtual_now() -> Now:
    ns = round(trio.current_time() * 1e9)
    return Now(ns, ns // MS)


@asynccontextmanager
async def nodes(
    count: int = 1, *, welcome: int = 0, prepare: Callable[[Streams], object] = bool
) -> AsyncIterator[list[Rig]]:
    """Nodes that grant `welcome` to each stream; `prepare` is called before they serve."""
    with ExitStack() as stack:
        rigs = []
        for _ in range(count):
            core = Watched(ToyStreams(welcome=welcome))
            sockets = stack.enter_context(open_sockets([ANYWHERE]))
            prepare(sockets.streams)
            driver = Driver(core, sockets.udp, _NoStore(), streams=sockets.streams, clock=virtual_now)  # type: ignore[arg-type]
            rigs.append(Rig(core, sockets, driver))
        async with trio.open_nursery() as nursery:
            for rig in rigs:
                await nursery.start(rig.driver.run)
            yield rigs
            nursery.cancel_scope.cancel()
    for rig in rigs:
        assert rig.streams.sockets == 0, "a socket is left"


async def connect(rig: Rig, first: bytes = PREFACE) -> trio.SocketStream:
    """Somebody with a socket of their own."""
    stream = await trio.open_tcp_stream("127.0.0.1", rig.address.port)
    if first:
        await stream.send_all(first)
    return stream


def reset(stream: trio.SocketStream) -> None:
    """As the kernel does for a process that died with unread bytes."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def gone(stream: trio.SocketStream) -> bool:
    """Waits until the other side has closed it; whether without a word."""
    try:
        return await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return True


def keys(id: int, suite: int, *, dialler: bool) -> StreamKeys:
    return StreamKeys(id, ONE, TWO, suite) if dialler else StreamKeys(id, TWO, ONE, suite)


async def joined(a: Rig, b: Rig, suite: int | None) -> None:
    """Stream 2 of `a` is stream 1 of `b`; sealed unless `suite` is None; the preface is through."""
    await a.do(open_to(b), StreamSend(2, PREFACE))
    await b.until(lambda: 1 in b.core.opened)
    await b.do(StreamGrant(1, len(PREFACE)))
    assert await b.data(1, len(PREFACE)) == PREFACE
    b.core.given[1].clear()
    b.core.granted[1] = 0
    if suite is not None:
        await a.do(keys(2, suite, dialler=True))
        await b.do(keys(1, suite, dialler=False))


def open_to(rig: Rig) -> StreamOpen:
    return StreamOpen(2, rig.address)
