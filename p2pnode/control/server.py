"""Serves the control API on a unix socket with hypercorn's trio worker.

hypercorn.trio.serve shields its sends from cancellation, so one client that never reads would hold up the end of
the node for ever. Here every connection is known and can be closed: that is why TCPServer is used directly.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.types import ASGIApp

from p2pnode.api import Client, addressable
from p2pnode.control import limits
from p2pnode.control.routes import build_app
from p2pnode.control.view import NodeView
from p2pnode.ui.fail import Fail

log = logging.getLogger(__name__)

#: A unix socket refuses (EAGAIN) instead of letting wait who comes when this many do: 200 clients at once are normal.
_BACKLOG = 1024


async def serve(view: NodeView, path: Path, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve until cancelled; then requests under way have limits.GRACE_S to end, and the socket is removed.

    The caller holds the lock of the home (open_node does): only then is a socket found there stale.
    Fail if it cannot be bound, or if somebody answers there all the same.
    """
    bound = bind(path)
    remove = _remover(path)
    try:
        async with trio.SocketListener(trio.socket.from_stdlib_socket(bound)) as listener:
            await Server(build_app(view)).run(listener, task_status=task_status)
    finally:
        remove()


def _remover(path: Path) -> Callable[[], None]:
    """Removes the socket that is at `path` now; another one that took its place stays."""
    inode = path.lstat().st_ino

    def remove() -> None:
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_ino == inode:
                path.unlink()

    return remove


def bind(path: Path) -> socket.socket:
    """A listening unix socket that only this user can open. What is not a socket is never removed."""
    try:
        if stat.S_ISSOCK(path.lstat().st_mode):
            _remove_stale(path)
    except FileNotFoundError:
        pass
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with addressable(path) as address:
            bound.bind(address)
        # Nobody can connect before listen(), so there is no moment in which others could. No umask: it belongs to
        # the whole process, and other threads make files.
        path.chmod(0o600)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        facts = {"socket": str(path), "reason": error.strerror or str(error), "look": "p2pnode config paths"}
        raise Fail("the control socket cannot be made", facts=facts) from None
    return bound


def _remove_stale(path: Path) -> None:
    if not Client(path).is_alive():
        path.unlink()
        return
    facts = {"socket": str(path), "stop it": f"p2pnode --home '{path.parent}' stop"}
    raise Fail("somebody serves on the control socket of this home already", facts=facts)


class _Connection(TCPServer):
    """One that ends with its client. hypercorn waits for the next request also of who has gone, as long as of who is
    there; what it offers to change that is a method to override."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


@attrs.define(slots=True, eq=False)
class Server:
    """Connections of one listener: bounded, and each can be closed whatever it is waiting for."""

    app: ASGIApp
    _config: Config = attrs.field(init=False)
    _context: WorkerContext = attrs.field(factory=lambda: WorkerContext(None), init=False)
    _open: dict[trio.SocketStream, trio.CancelScope] = attrs.field(factory=dict, init=False)
    _stopping: trio.Event = attrs.field(factory=trio.Event, init=False)
    _all_closed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._config = Config()
        self._config.accesslog = None
        self._config.errorlog = logging.getLogger("p2pnode.control.http")
        self._config.include_server_header = False
        self._config.keep_alive_timeout = limits.KEEP_ALIVE_S

    async def run(self, listener: trio.SocketListener, *, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            try:
                task_status.started()
                await trio.serve_listeners(self._serve_one, [listener], handler_nursery=nursery)
            finally:
                await self._end()

    async def _end(self) -> None:
        self._stopping.set()
        await self._context.terminated.set()  # idle connections close at once
        with trio.CancelScope(shield=True, deadline=trio.current_time() + limits.GRACE_S):
            if self._open:
                await self._all_closed.wait()
        for stream, scope in list(self._open.items()):
            stream.socket.close()  # wakes what is shielded
            scope.cancel()

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        if len(self._open) >= limits.MAX_CONNECTIONS:
            stream.socket.close()
            return
        state = ConnectionState({"abort": stream.socket.close, "stopping": self._stopping})
        # Casts: hypercorn types ASGI and streams in its own, narrower words (and takes plain streams as well as TLS).
        app = ASGIWrapper(cast("Any", self.app))
        connection = _Connection(app, self._config, self._context, state, cast("Any", stream))
        # Shielded: the end of the node is told to a connection by _end, after its grace.
        with trio.CancelScope(shield=True) as scope:
            self._open[stream] = scope
            try:
                await connection.run()
            except* trio.BusyResourceError:
                # A request that is cut off is answered twice at the same moment: by the route, and by hypercorn.
                log.debug("a client of the control API went away in its request")
            except* Exception:
                log.exception("a connection of the control API ended in an exception")
            finally:
                del self._open[stream]
                if self._stopping.is_set() and not self._open:
                    self._all_closed.set()
