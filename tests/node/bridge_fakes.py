"""An overlay in memory for tests of the bridge, and foreign peers and sockets for the other side."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import attrs
import trio
import trio_asyncio
import umsgpack
from kademlia.network import Server

from overlay.limits import MAX_SALT, MAX_VALUE
from p2pnode.bridge import Bridge, serve_bridge


class NotThere(Exception):
    code = "not_found"


class Broken(Exception):
    code = "timed_out"


@attrs.define
class Overlay:
    """What a DHT keeps, for the commands that a bridge uses."""

    blobs: dict[str, bytes] = attrs.Factory(dict)
    signed: dict[tuple[str, bytes], tuple[int, bytes]] = attrs.Factory(dict)
    providers: dict[str, list[str]] = attrs.Factory(dict)
    #: By node: what it publishes, (kind, key or salt) -> row of the command `own`.
    lists: dict[str, dict[tuple[str, str | bytes], dict[str, Any]]] = attrs.Factory(dict)
    #: Names of the commands that were run.
    ran: list[str] = attrs.Factory(list)
    #: Every command fails with this.
    failure: Exception | None = None
    #: Commands wait here while it is not set.
    gate: trio.Event | None = None
    seq: int = 0

    def node(self, name: str) -> Callable[..., Awaitable[Any]]:
        commands = {
            "status": self._status,
            "own": self._own,
            "forget": self._forget,
            "put": self._put,
            "get": self._get,
            "provide": self._provide,
            "providers": self._providers,
        }

        async def command(what: str, /, **args: Any) -> Any:
            self.ran.append(what)
            if self.gate is not None:
                await self.gate.wait()
            await trio.lowlevel.checkpoint()
            if self.failure is not None and what != "status":
                raise self.failure
            return commands[what](name, **args)

        return command

    def _status(self, node: str) -> Any:
        return {"id": node}

    def _put(self, node: str, *, value: bytes, ttl_s: int, profile: str, salt: bytes | None = None) -> Any:
        assert len(value) <= MAX_VALUE
        if salt is None:
            key = hashlib.sha256(b"p2pnode/blob/1" + value).hexdigest()
            self.blobs[key] = value
            self._list(node, "blob", key, key, value, ttl_s)
            return {"key": key, "kind": "blob", "stored": 20, "rpcs": 40}
        assert len(salt) <= MAX_SALT
        self.seq += 1
        self.signed[node, salt] = (self.seq, value)
        self._list(node, "signed", salt, "", value, ttl_s)
        return {"key": "", "kind": "signed", "author": node, "seq": self.seq, "stored": 20, "rpcs": 40}

    def _list(self, node: str, kind: str, at: str | bytes, key: str, value: bytes, ttl_s: int) -> None:
        salt = at if kind == "signed" else None
        row = {"key": key, "kind": kind, "name": salt, "seq": self.seq, "expires_s": ttl_s, "value": value}
        self.lists.setdefault(node, {})[kind, at] = row

    def _own(self, node: str, *, values: bool) -> Any:
        return list(self.lists.get(node, {}).values())

    def _forget(self, node: str, *, key: str = "", salt: bytes = b"") -> Any:
        rows = self.lists.get(node, {})
        gone = [at for at in rows if at in (("signed", salt), ("blob", key), ("provider", key))]
        if not gone:
            raise NotThere("this node publishes nothing there")
        for at in gone:
            del rows[at]
        return {"key": key, "withdrawn": [kind for kind, _ in gone]}

    def _get(self, node: str, *, key: str = "", author: str = "", salt: bytes = b"") -> Any:
        try:
            if key:
                return {"key": key, "kind": "blob", "value": self.blobs[key], "holders": 1, "rpcs": 3}
            seq, value = self.signed[author, salt]
        except KeyError:
            raise NotThere("nobody has it") from None
        return {"kind": "signed", "value": value, "author": author, "seq": seq, "holders": 3, "rpcs": 3}

    def _provide(self, node: str, *, key: str, ttl_s: int) -> Any:
        held = self.providers.setdefault(key, [])
        if node not in held:
            held.append(node)
        self._list(node, "provider", key, key, b"", ttl_s)
        return {"key": key, "stored": 20, "rpcs": 40}

    def _providers(self, node: str, *, key: str) -> Any:
        found = [{"id": each, "address": "", "expires_s": 60.0} for each in self.providers.get(key, [])]
        return {"key": key, "providers": found, "rpcs": 9}


class Listening(Protocol):
    """A bridge, wherever it runs."""

    @property
    def port(self) -> int: ...


class Foreign:
    """One unmodified peer of the package, with its calls for trio."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @property
    def port(self) -> int:
        return self.server.transport.get_extra_info("sockname")[1]  # type: ignore[no-any-return]

    async def set(self, key: str, value: object) -> Any:
        return await trio_asyncio.aio_as_trio(self.server.set)(key, value)

    async def get(self, key: str) -> Any:
        return await trio_asyncio.aio_as_trio(self.server.get)(key)

    async def bootstrap(self, port: int) -> Any:
        return await trio_asyncio.aio_as_trio(self.server.bootstrap)([("127.0.0.1", port)])


@asynccontextmanager
async def foreign_peers(bridge: Listening, count: int) -> AsyncIterator[list[Foreign]]:
    """`count` peers that know each other through `bridge` alone."""
    peers = [Foreign(Server()) for _ in range(count)]
    async with trio_asyncio.open_loop():
        try:
            for peer in peers:
                await trio_asyncio.aio_as_trio(peer.server.listen)(0, "127.0.0.1")
                await peer.bootstrap(bridge.port)
            yield peers
        finally:
            for peer in peers:
                peer.server.stop()


@asynccontextmanager
async def running(overlay: Overlay, node: str) -> AsyncIterator[Bridge]:
    async with trio.open_nursery() as nursery:
        bridge: Bridge = await nursery.start(serve_bridge, overlay.node(node), "127.0.0.1", 0)
        try:
            yield bridge
        finally:
            nursery.cancel_scope.cancel()


class Stranger:
    """A bare UDP socket that says whatever a test wants."""

    def __init__(self, sock: trio.socket.SocketType, bridge: Bridge) -> None:
        self.sock = sock
        self.to = ("127.0.0.1", bridge.port)
        self.id = b"S" * 20

    async def send(self, data: bytes) -> None:
        await self.sock.sendto(data, self.to)

    async def call(self, name: str, *args: object, message_id: bytes = b"M" * 20) -> int:
        """Returns the bytes sent."""
        data = b"\x00" + message_id + umsgpack.packb([name, list(args)])
        await self.send(data)
        return len(data)

    async def receive(self) -> bytes:
        return await self.sock.recv(65536)

    async def answer_pings(self) -> bytes:
        """The first datagram that is not a ping of the bridge; pings are answered with `id`."""
        while True:
            data = await self.receive()
            if data[0] == 1:
                return data
            await self.send(b"\x01" + data[1:21] + umsgpack.packb(self.id))


@asynccontextmanager
async def stranger(bridge: Bridge) -> AsyncIterator[Stranger]:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        yield Stranger(sock, bridge)
