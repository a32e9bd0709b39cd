"""The ports of the core: time and chance in, storage beside, effects out.

A shell (p2pnode.driver, simulations.engine) calls the `handle_*` methods of a Core with
the values below, then drains `outbox()`. It must do what each effect says and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import attrs

from overlay.events import Event
from overlay.runtime.address import Address

MS = 1_000_000
SECOND = 1_000_000_000


@attrs.frozen(slots=True)
class Now:
    """Both clocks at one instant. Integers only, so that a replay is exact."""

    #: Nanoseconds of a clock that never goes back: timers, time-outs, rates.
    mono_ns: int
    #: Milliseconds since 1970: stamps, expiry, epochs. May jump.
    wall_ms: int


@attrs.frozen(slots=True)
class Interface:
    """One local address with its on-link prefix, for `Peer.handle_network`."""

    ip: bytes
    prefix_len: int
    #: Interface index (the IPv6 zone).
    zone: int = 0


class Storage(Protocol):
    """Ordered key-value store. A write is visible at once and durable after Commit or Sync."""

    def get(self, key: bytes) -> bytes | None: ...
    def put(self, key: bytes, value: bytes) -> None: ...
    def delete(self, key: bytes) -> None: ...
    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Pairs whose key starts with `prefix` and is greater than `after`, in key order.

        The store may be written while a scan is open; pairs written meanwhile may or may not appear.
        """
        ...


#: n -> n unpredictable bytes: request ids, tokens, ephemeral keys.
Entropy = Callable[[int], bytes]


@attrs.frozen(slots=True)
class Ok:
    """Outcome of Compute, Operate, Commit or Sync that went well."""

    value: Any = None


@attrs.frozen(slots=True)
class Failed:
    """Outcome that did not; `code` is one of the codes of `overlay.runtime.ports.CODES`."""

    code: str
    message: str
    #: Label and text, for people and programs.
    facts: Mapping[str, str] = attrs.field(factory=dict)


#: Codes of a failed command and the exit code of the CLI (docs: interface).
CODES = {"failed": 1, "usage": 2, "not_found": 4, "not_verified": 5, "timed_out": 6}

Outcome = Ok | Failed


@attrs.frozen(slots=True)
class SendDatagram:
    to: Address
    data: bytes


@attrs.frozen(slots=True)
class Commit:
    """Answer with `handle_done(id)` once every put so far survives the death of the process."""

    id: int


@attrs.frozen(slots=True)
class Sync:
    """Answer with `handle_done(id)` once every put so far survives a power loss."""

    id: int


@attrs.frozen(slots=True)
class Compute:
    """Run a registered pure function on immutable values; answer with its value."""

    id: int
    function: str
    args: tuple[Any, ...]


@attrs.frozen(slots=True)
class Operate:
    """Do an impure operation (disk); answer with its result, which is recorded."""

    id: int
    operation: str
    args: tuple[Any, ...]


@attrs.frozen(slots=True)
class Result:
    """The end of command `id`: exactly one per command."""

    id: int
    outcome: Outcome


@attrs.frozen(slots=True)
class Report:
    """Something happened that people or programs may want to see."""

    event: Event


Effect = SendDatagram | Commit | Sync | Compute | Operate | Result | Report


class Core(Protocol):
    """What a shell needs of overlay.peer.Peer."""

    def start(self, now: Now, /) -> None: ...
    def handle_datagram(self, now: Now, source: Address, data: bytes, /) -> None: ...
    def handle_timer(self, now: Now, /) -> None: ...
    def handle_command(self, now: Now, id: int, name: str, args: dict[str, Any], /) -> None: ...
    def handle_cancel(self, now: Now, id: int, /) -> None: ...
    def handle_done(self, now: Now, id: int, outcome: Outcome, /) -> None: ...
    def handle_network(self, now: Now, interfaces: tuple[Interface, ...], /) -> None: ...
    def next_deadline(self) -> int | None:
        """Monotonic time in ns at which `handle_timer` is wanted; asked anew after every input."""
        ...

    def outbox(self) -> list[Effect]:
        """The effects since the last call, in order."""
        ...
