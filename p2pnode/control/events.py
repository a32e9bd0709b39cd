"""Server-sent events (WHATWG HTML 9.2): what the peer reports, one JSON object an event.

A client that reads slower than things happen is dropped: its queue is bounded, and waiting for it would stop
the rest. It sees its connection end and may open another.
"""

from __future__ import annotations

import json
import logging
import math
import re
from typing import Any

import attrs
import trio
from starlette.types import Receive, Scope, Send

from overlay.events import AppEvent, Event, GossipDelivered
from overlay.identity.node_id import format_id
from p2pnode.control import limits
from p2pnode.control.view import NodeView
from p2pnode.driver import CommandFailed
from p2pnode.ui.values import to_json

log = logging.getLogger(__name__)

#: Fields that hold NodeIds; other bytes of 32 are keys.
_IDS = frozenset({"id", "asked", "author"})


def as_json(event: Event) -> dict[str, Any]:
    """{"v": 1, "event": "peer_seen", ...}: ids in their text form, keys as hex."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
    fields = attrs.asdict(event, recurse=False)
    return {"v": 1, "event": name} | {field: _plain(field, value) for field, value in fields.items()}


def _plain(field: str, value: Any) -> Any:
    match value:
        case bytes() if field == "body":
            return to_json(value)
        case bytes() if len(value) == 32:
            return format_id(value) if field in _IDS else value.hex()
        case bytes():
            return to_json(value)
        case float() if not math.isfinite(value):
            return None
        case None | bool() | int() | float() | str():
            return value
        case tuple() if field == "fields":
            return {str(name): _plain(str(name), inner) for name, inner in value}
        case tuple() | list():
            return [_plain("", inner) for inner in value]
        case dict():
            return {str(name): _plain(str(name), inner) for name, inner in value.items()}
    return str(value)


@attrs.frozen(slots=True)
class Wanted:
    """What a client asked for in the query: `topic=NAME` subscribes as long as it listens, `app=NAME`; else all."""

    topic: str | None = None
    app: str | None = None

    def __call__(self, event: Event) -> bool:
        match event:
            case GossipDelivered(topic) if self.topic is not None:
                return topic == self.topic
            case AppEvent(app) if self.app is not None:
                return app == self.app
        return self.topic is None and self.app is None


class EventStream:
    """ASGI endpoint of /v1/events."""

    def __init__(self, view: NodeView, *, keepalive_s: float = limits.EVENT_KEEPALIVE_S) -> None:
        self._view = view
        self._keepalive_s = keepalive_s
        self.clients = 0
        #: Clients that fell behind.
        self.dropped = 0

    @property
    def is_full(self) -> bool:
        return self.clients >= limits.MAX_EVENT_CLIENTS

    async def __call__(self, scope: Scope, receive: Receive, send: Send, wanted: Wanted) -> None:
        self.clients += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, receive, nursery.cancel_scope)
                if (stopping := scope.get("state", {}).get("stopping")) is not None:
                    nursery.start_soon(self._end_with_node, stopping, nursery.cancel_scope)
                if wanted.topic is not None:
                    nursery.start_soon(self._hold, wanted.topic, nursery.cancel_scope)
                await self._serve(scope, send, nursery, wanted)
                nursery.cancel_scope.cancel()
        finally:
            self.clients -= 1

    async def _hold(self, topic: str, scope: trio.CancelScope) -> None:
        """The subscription lives as long as the client; if the core will have no more of them, so does the client."""
        try:
            await self._view.command("subscribe", topic=topic, hold=True)
        except CommandFailed as failed:
            log.warning("a client that listens to topic %s is sent away: %s", topic, failed.message)
        scope.cancel()

    async def _serve(self, scope: Scope, send: Send, nursery: trio.Nursery, wanted: Wanted) -> None:
        sender, receiver = trio.open_memory_channel[bytes](limits.EVENT_QUEUE)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        waiting = 0
        with self._view.subscribe(kept=limits.EVENT_QUEUE) as events:

            async def collect() -> None:
                """Never waits for the client, so it sees at once that the client is too slow."""
                nonlocal waiting
                with sender:
                    async for event in events:
                        try:
                            if wanted(event):
                                frame = _frame(event)
                                sender.send_nowait(frame)
                                waiting += len(frame)
                        except trio.WouldBlock:
                            break
                        if events.missed or waiting > limits.EVENT_BYTES:
                            break
                    else:
                        return  # the node ends
                self.dropped += 1
                # A send that waits for the client is shielded from cancellation in hypercorn.
                if (abort := scope.get("state", {}).get("abort")) is not None:
                    abort()

            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b": hello\n\n", "more_body": True})
            nursery.start_soon(collect)
            while True:
                data = b": still here\n\n"
                with trio.move_on_after(self._keepalive_s):
                    try:
                        data = await receiver.receive()
                        waiting -= len(data)
                    except trio.EndOfChannel:
                        break
                await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _end_with_node(self, stopping: trio.Event, scope: trio.CancelScope) -> None:
        await stopping.wait()
        scope.cancel()


def _frame(event: Event) -> bytes:
    data = as_json(event)
    return f"event: {data['event']}\ndata: {json.dumps(data)}\n\n".encode()
