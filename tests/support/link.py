"""Two peers on a link that is driven by hand: nothing moves unless the test says so.

link = Link(make("a"), make("b"))
link.start()
link.command("a", "ping", {"peer": "10.0.0.2:4433"})
link.drop(0); link.advance(0.5); link.deliver_all()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from overlay.events import Event
from overlay.runtime.address import Address
from overlay.runtime.ports import (
    SECOND,
    Commit,
    Compute,
    Core,
    Failed,
    Interface,
    Now,
    Ok,
    Operate,
    Outcome,
    Report,
    Result,
    SendDatagram,
    Sync,
)
from simulations.engine import WALL_START_MS

ADDRESSES = {"a": Address(bytes((10, 0, 0, 1)), 4433), "b": Address(bytes((10, 0, 0, 2)), 4433)}


@attrs.frozen
class InFlight:
    """A datagram on the link. `to` may be an address that nobody has."""

    side: str  # of the sender
    source: Address
    to: Address
    data: bytes


@attrs.define
class Link:
    """`wire` holds what is in flight, oldest first.

    Commit and Sync are answered at once, unless `storage_works` is off: then they gather in
    `unanswered`, as Compute and Operate always do.
    """

    a: Core
    b: Core
    wire: list[InFlight] = attrs.field(factory=list, init=False)
    #: Everything that was ever sent, also what was dropped.
    sent: list[InFlight] = attrs.field(factory=list, init=False)
    events: list[tuple[str, Event]] = attrs.field(factory=list, init=False)
    #: (side, command id) -> outcome.
    results: dict[tuple[str, int], Outcome] = attrs.field(factory=dict, init=False)
    storage_works: bool = attrs.field(default=True, init=False)
    unanswered: list[tuple[str, Commit | Sync | Compute | Operate]] = attrs.field(factory=list, init=False)
    addresses: dict[str, Address] = attrs.field(factory=lambda: dict(ADDRESSES), init=False)
    now: Now = attrs.field(default=Now(0, WALL_START_MS), init=False)
    _last_id: int = attrs.field(default=0, init=False)

    def start(self) -> None:
        for side in ("a", "b"):
            peer = self.peer(side)
            self.feed(side, peer.start)
            self.feed(side, peer.handle_network, (Interface(self.addresses[side].ip, 24),))

    def peer(self, side: str) -> Core:
        return {"a": self.a, "b": self.b}[side]

    # --- the wire ---

    def deliver(self, index: int = 0) -> None:
        """Hand over one datagram; lost if nobody has the address."""
        self._hand_over(self.wire.pop(index))

    def duplicate(self, index: int = 0) -> None:
        """Hand over a copy; the datagram stays in flight."""
        self._hand_over(self.wire[index])

    def drop(self, index: int = 0) -> InFlight:
        return self.wire.pop(index)

    def reorder(self) -> None:
        """What is in flight arrives in the opposite order."""
        self.wire.reverse()

    def deliver_all(self, *, at_most: int = 1000) -> None:
        """Until nothing is in flight, answers to answers included."""
        for _ in range(at_most):
            if not self.wire:
                return
            self.deliver()
        raise AssertionError(f"still talking after {at_most} datagrams")

    def inject(self, side: str, source: Address, data: bytes) -> None:
        """A datagram out of nowhere arrives at `side`."""
        self.feed(side, self.peer(side).handle_datagram, source, data)

    # --- time, storage, commands ---

    def advance(self, seconds: float) -> None:
        """Let time pass for both, stopping at every deadline on the way. Delivers nothing."""
        end = self.now.mono_ns + round(seconds * SECOND)
        while True:
            due = [(at, side) for side in ("a", "b") if (at := self.peer(side).next_deadline()) is not None]
            if not due or min(due)[0] > end:
                break
            at, side = min(due)
            self._set_time(max(at, self.now.mono_ns))
            self.feed(side, self.peer(side).handle_timer)
        self._set_time(end)

    def answer_storage(self, outcome: Outcome | None = None) -> None:
        """Answer what gathered while the storage did not work."""
        waiting, self.unanswered = self.unanswered, []
        for side, effect in waiting:
            self.feed(side, self.peer(side).handle_done, effect.id, outcome if outcome is not None else Ok())

    def ask(self, side: str, name: str, args: dict[str, Any] | None = None) -> int:
        """Give a command; its id. What it causes is in flight then."""
        self._last_id += 1
        self.feed(side, self.peer(side).handle_command, self._last_id, name, args or {})
        return self._last_id

    def command(self, side: str, name: str, args: dict[str, Any] | None = None, *, seconds: float = 60) -> Any:
        """Give a command that must go well; its value."""
        outcome = self.outcome(side, name, args, seconds=seconds)
        assert not isinstance(outcome, Failed), outcome
        return outcome.value

    def outcome(self, side: str, name: str, args: dict[str, Any] | None = None, *, seconds: float = 60) -> Outcome:
        """Give a command and deliver everything until it has ended, in steps of 10 ms."""
        asked = self.ask(side, name, args)
        for _ in range(round(seconds * 100)):
            self.deliver_all()
            if (side, asked) in self.results:
                break
            self.advance(0.01)
        return self.results[side, asked]

    def feed(self, side: str, handle: Callable[..., None], *args: Any) -> None:
        """One input to one peer, then its effects."""
        handle(self.now, *args)
        for effect in self.peer(side).outbox():
            match effect:
                case SendDatagram(to, data):
                    datagram = InFlight(side, self.addresses[side], to, data)
                    self.wire.append(datagram)
                    self.sent.append(datagram)
                case Result(command_id, outcome):
                    assert (side, command_id) not in self.results, "a command is answered once"
                    self.results[side, command_id] = outcome
                case Report(event):
                    self.events.append((side, event))
                case Commit(effect_id) | Sync(effect_id) if self.storage_works:
                    self.feed(side, self.peer(side).handle_done, effect_id, Ok())
                case Commit() | Sync() | Compute() | Operate():
                    self.unanswered.append((side, effect))

    def _hand_over(self, datagram: InFlight) -> None:
        for side, address in self.addresses.items():
            if address == datagram.to:
                self.inject(side, datagram.source, datagram.data)

    def _set_time(self, mono_ns: int) -> None:
        self.now = Now(mono_ns, WALL_START_MS + mono_ns // 1_000_000)
