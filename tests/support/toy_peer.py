"""A core of thirty lines with the inputs and outputs of overlay.peer.Peer, for tests of what drives one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from overlay.events import Started
from overlay.runtime.address import Address
from overlay.runtime.ports import (
    Commit,
    Compute,
    Effect,
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


@attrs.define(slots=True, eq=False)
class ToyPeer:
    """Echoes datagrams; its commands are the methods `do_*`; `seen` has every input in order."""

    seen: list[tuple[Any, ...]] = attrs.Factory(list)
    deadline: int | None = None
    #: What the command `bug` and the datagram b"bug" raise.
    failure: Exception = attrs.Factory(lambda: ZeroDivisionError("a bug"))
    _out: list[Effect] = attrs.Factory(list)
    #: Effect id -> command id that waits for it.
    _pending: dict[int, int] = attrs.Factory(dict)

    def start(self, now: Now) -> None:
        self.seen.append(("start",))
        self._out.append(Report(Started(bytes(32))))

    def handle_datagram(self, now: Now, source: Address, data: bytes) -> None:
        self.seen.append(("datagram", source, data))
        if data == b"bug":
            raise self.failure
        self._out.append(SendDatagram(source, data))

    def handle_timer(self, now: Now) -> None:
        self.seen.append(("timer", now.mono_ns))
        self.deadline = None

    def handle_command(self, now: Now, id: int, name: str, args: dict[str, Any]) -> None:
        self.seen.append(("command", name))
        command: Callable[..., None] = getattr(self, f"do_{name}")
        command(now, id, **args)

    def handle_cancel(self, now: Now, id: int) -> None:
        self.seen.append(("cancel", id))

    def handle_done(self, now: Now, id: int, outcome: Outcome) -> None:
        self.seen.append(("done", outcome))
        self._out.append(Result(self._pending.pop(id), outcome))

    def handle_network(self, now: Now, interfaces: tuple[Interface, ...]) -> None:
        self.seen.append(("network", interfaces))

    def next_deadline(self) -> int | None:
        return self.deadline

    def outbox(self) -> list[Effect]:
        out, self._out = self._out, []
        return out

    # --- commands ---------------------------------------------------------------------------

    def do_echo(self, now: Now, id: int, value: object) -> None:
        self._out.append(Result(id, Ok(value)))

    def do_fail(self, now: Now, id: int) -> None:
        self._out.append(Result(id, Failed("not_found", "nobody has it")))

    def do_bug(self, now: Now, id: int) -> None:
        raise self.failure

    def do_wait(self, now: Now, id: int) -> None:
        """Answered never."""

    def do_late(self, now: Now, id: int, earlier: int) -> None:
        """Answers an earlier command, too."""
        self._out += [Result(earlier, Ok("late")), Result(id, Ok("now"))]

    def do_alarm(self, now: Now, id: int, at: int | None) -> None:
        self.deadline = at
        self._out.append(Result(id, Ok()))

    def do_send(self, now: Now, id: int, to: Address, data: bytes) -> None:
        self._out += [SendDatagram(to, data), Result(id, Ok())]

    def do_report(self, now: Now, id: int, count: int) -> None:
        self._out += [Report(Started(bytes([n % 256]) * 32)) for n in range(count)]
        self._out.append(Result(id, Ok()))

    def do_commit(self, now: Now, id: int) -> None:
        self._wait(id, Commit(id + 1000))

    def do_sync(self, now: Now, id: int) -> None:
        self._wait(id, Sync(id + 1000))

    def do_compute(self, now: Now, id: int, function: str, args: tuple[Any, ...]) -> None:
        self._wait(id, Compute(id + 1000, function, args))

    def do_operate(self, now: Now, id: int, operation: str, args: tuple[Any, ...]) -> None:
        self._wait(id, Operate(id + 1000, operation, args))

    def _wait(self, id: int, effect: Effect) -> None:
        self._pending[id + 1000] = id
        self._out.append(effect)
