"""Who may ask, and how much: the Host check, the size of a body, requests at once.

On the unix socket the file mode says who may ask. The Host check keeps a web page out that resolves its own name
to this machine (DNS rebinding), which becomes possible as soon as the API is also served on a loopback port.
"""

from __future__ import annotations

import json
import math

import trio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from p2pnode.control import limits

#: Names by which this machine may be called; the port does not matter.
HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]", "p2pnode"})
_TOO_LARGE = f"the body is larger than {limits.MAX_BODY} bytes"


class Guard:
    """ASGI middleware around everything that the control API serves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._serving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not is_own_host(headers.get(b"host", b"")):
            await _refuse(send, 421, "usage", "this Host is not the node's; use http://localhost/")
        elif self._serving >= limits.MAX_REQUESTS:
            await _refuse(send, 503, "failed", f"{limits.MAX_REQUESTS} requests are being served; try again later")
        elif (declared := headers.get(b"content-length", b"0")).isdigit() and int(declared) > limits.MAX_BODY:
            await _refuse(send, 413, "usage", _TOO_LARGE)
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        got, whole = 0, False
        until = trio.current_time() + limits.BODY_S

        async def counted() -> Message:
            nonlocal got, whole
            # After the body comes only the end of the connection, which may take as long as it likes.
            with trio.CancelScope(deadline=math.inf if whole else until) as reading:
                message = await receive()
            if reading.cancelled_caught:
                raise HTTPException(408, f"the body did not come within {limits.BODY_S:g} s")
            whole = not message.get("more_body", False)
            got += len(message.get("body", b""))
            if got > limits.MAX_BODY:
                raise HTTPException(413, _TOO_LARGE)
            return message

        self._serving += 1
        try:
            await self._app(scope, counted, send)
        finally:
            self._serving -= 1


def is_own_host(header: bytes) -> bool:
    name = header.decode("latin-1").lower()
    host, colon, port = name.rpartition(":")
    if colon and port.isdecimal():
        name = host
    return name in HOSTS


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"v": 1, "error": {"code": code, "message": message, "facts": {}}}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
