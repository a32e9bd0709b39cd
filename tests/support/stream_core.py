"""A core with one stream each way and no handshake: both sides know the keys. It sends as fast as it may, or reads."""

from __future__ import annotations

from typing import Any

import attrs

from overlay.runtime.address import Address
from overlay.runtime.ports import (
    Effect,
    Interface,
    Now,
    Ok,
    Outcome,
    Result,
    StreamClose,
    StreamClosed,
    StreamData,
    StreamEvent,
    StreamGrant,
    StreamKeys,
    StreamOpen,
    StreamOpened,
    StreamSend,
    StreamSent,
)

#: Bytes unsent at which `await stream.send()` waits and goes on, and unread and granted at most (overlay/limits.py).
HIGH, LOW, WINDOW = 1 << 20, 1 << 19, 2 << 20
KEY = bytes(range(32))


@attrs.define(slots=True, eq=False)
class StreamPump:
    """`pump` sends `total` bytes and answers once the other side, who has read all of them, has closed; `read` answers
    when a stream that somebody opened has brought so many."""

    suite: int
    message: bytes
    received: int = 0
    _left: int = 0
    _wanted: int = -1
    _unsent: int = 0
    _command: int = 0
    _out: list[Effect] = attrs.Factory(list)

    def start(self, now: Now) -> None: ...
    def handle_datagram(self, now: Now, source: Address, data: bytes) -> None: ...
    def handle_timer(self, now: Now) -> None: ...
    def handle_cancel(self, now: Now, id: int) -> None: ...
    def handle_done(self, now: Now, id: int, outcome: Outcome) -> None: ...
    def handle_network(self, now: Now, interfaces: tuple[Interface, ...]) -> None: ...

    def handle_command(self, now: Now, id: int, name: str, args: dict[str, Any]) -> None:
        self._command = id
        if name == "pump":
            self._left = args["total"]
            preface = b"\xd2p2pn/1" + bytes([self.suite])
            self._unsent = len(preface)
            self._out += [StreamOpen(2, args["to"]), StreamSend(2, preface)]
            if self.suite:
                self._out.append(StreamKeys(2, KEY, KEY, self.suite))
            self._out.append(StreamGrant(2, WINDOW))
            self._send_on()
        else:
            self._wanted = args["total"]

    def handle_stream(self, now: Now, event: StreamEvent) -> None:
        match event:
            case StreamData(id, data):
                if self.received == -8:
                    assert len(data) == 8
                    if self.suite:
                        self._out.append(StreamKeys(id, KEY, KEY, self.suite))
                    self._out.append(StreamGrant(id, WINDOW))
                else:
                    self._out.append(StreamGrant(id, len(data)))
                self.received += len(data)
                if self.received == self._wanted:
                    self._out += [StreamClose(id), Result(self._command, Ok())]
            case StreamSent(_, n):
                self._unsent -= n
                if self._unsent <= LOW:
                    self._send_on()
            case StreamOpened(id, _, True):
                self.received = -8
                self._out.append(StreamGrant(id, 8))
            case StreamClosed(_, reason):
                self._out.append(Result(self._command, Ok(reason.value)))

    def next_deadline(self) -> int | None:
        return None

    def outbox(self) -> list[Effect]:
        out, self._out = self._out, []
        return out

    def _send_on(self) -> None:
        while self._left and self._unsent < HIGH:
            message = self.message[: self._left]
            self._left -= len(message)
            self._unsent += len(message)
            self._out.append(StreamSend(2, message))
