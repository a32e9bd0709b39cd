"""A core that does nothing but streams, as it is told from outside, and checks what it is given."""

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
    StreamClosed,
    StreamData,
    StreamEffect,
    StreamEnd,
    StreamEvent,
    StreamGrant,
    StreamOpened,
    StreamSent,
)


@attrs.define(slots=True, eq=False)
class ToyStreams:
    """`given` has the bytes of each stream, `events` everything with its time."""

    #: Grants this at once to whoever opens a stream.
    welcome: int = 0
    #: Grants as much again as it was given.
    greedy: bool = False
    events: list[tuple[int, StreamEvent]] = attrs.Factory(list)
    given: dict[int, bytearray] = attrs.Factory(dict)
    granted: dict[int, int] = attrs.Factory(dict)
    sent: dict[int, int] = attrs.Factory(dict)
    ended: dict[int, StreamEnd] = attrs.Factory(dict)
    opened: dict[int, Address] = attrs.Factory(dict)
    _out: list[Effect] = attrs.Factory(list)

    def start(self, now: Now) -> None: ...
    def handle_datagram(self, now: Now, source: Address, data: bytes) -> None: ...
    def handle_timer(self, now: Now) -> None: ...
    def handle_cancel(self, now: Now, id: int) -> None: ...
    def handle_done(self, now: Now, id: int, outcome: Outcome) -> None: ...
    def handle_network(self, now: Now, interfaces: tuple[Interface, ...]) -> None: ...

    def handle_command(self, now: Now, id: int, name: str, args: dict[str, Any]) -> None:
        """`do`: one effect."""
        self._do(args["effect"])
        self._out.append(Result(id, Ok()))

    def handle_stream(self, now: Now, event: StreamEvent) -> None:
        self.events.append((now.mono_ns, event))
        assert event.id not in self.ended, "an event after the last"
        match event:
            case StreamOpened(id, peer):
                self.opened[id] = peer
                self.given.setdefault(id, bytearray())
                if self.welcome:
                    self._grant(id, self.welcome)
            case StreamData(id, data):
                assert data
                self.given[id] += data
                assert len(self.given[id]) <= self.granted.get(id, 0), "more than was granted"
                if self.greedy:
                    self._grant(id, len(data))
            case StreamSent(id, n):
                self.sent[id] = self.sent.get(id, 0) + n
            case StreamClosed(id, reason):
                self.ended[id] = reason

    def next_deadline(self) -> int | None:
        return None

    def outbox(self) -> list[Effect]:
        out, self._out = self._out, []
        return out

    def _grant(self, id: int, n: int) -> None:
        self._do(StreamGrant(id, n))

    def _do(self, effect: StreamEffect) -> None:
        if isinstance(effect, StreamGrant):
            self.granted[effect.id] = self.granted.get(effect.id, 0) + effect.n
        self._out.append(effect)
