"""A peer whose datagrams pass through other hands on their way out: the shell around an honest core lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from overlay.peer import Peer
from overlay.runtime.address import Address
from overlay.runtime.ports import Core, Effect, Interface, Now, Outcome, SendDatagram

#: What becomes of a datagram that the inner peer wants sent: nothing, itself, another, many.
Change = Callable[[SendDatagram], Sequence[Effect]]


@attrs.define(slots=True, eq=False)
class Wire:
    """A port `overlay.runtime.ports.Core` around another. Who looks into it sees the inner peer."""

    inner: Peer
    change: Change

    def start(self, now: Now, /) -> None:
        self.inner.start(now)

    def handle_datagram(self, now: Now, source: Address, data: bytes, /) -> None:
        self.inner.handle_datagram(now, source, data)

    def handle_timer(self, now: Now, /) -> None:
        self.inner.handle_timer(now)

    def handle_command(self, now: Now, command_id: int, name: str, args: dict[str, Any], /) -> None:
        self.inner.handle_command(now, command_id, name, args)

    def handle_cancel(self, now: Now, command_id: int, /) -> None:
        self.inner.handle_cancel(now, command_id)

    def handle_done(self, now: Now, effect_id: int, outcome: Outcome, /) -> None:
        self.inner.handle_done(now, effect_id, outcome)

    def handle_network(self, now: Now, interfaces: tuple[Interface, ...], /) -> None:
        self.inner.handle_network(now, interfaces)

    def next_deadline(self) -> int | None:
        return self.inner.next_deadline()

    def outbox(self) -> list[Effect]:
        out: list[Effect] = []
        for effect in self.inner.outbox():
            out += self.change(effect) if isinstance(effect, SendDatagram) else [effect]
        return out

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


_: type[Core] = Wire
