"""The ports of the core: time and chance in, storage beside, effects out.

A shell (p2pnode.driver, simulations.engine) calls the `handle_*` methods of a Core with
the values below, then drains `outbox()`. It must do what each effect says and nothing else.
"""

from __future__ import annotations

import enum
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


@attrs.frozen(slots=True)
class StreamOpen:
    """Connect an ordered stream of bytes. `id` is even and new; StreamOpened or StreamClosed follows.

    Streams that others open have odd ids, which the shell gives.
    """

    id: int
    to: Address


@attrs.frozen(slots=True)
class StreamKeys:
    """The handshake is over: from the next byte on in either direction the shell seals and opens records with
    these (docs/protocol/streams.md). A swarm carries plaintext and ignores them.

    Before it the bytes of a stream, preface included, pass as they are. A peer grants no byte beyond the handshake
    before it gives the keys, so the shell has shown it no record.
    """

    id: int
    #: 32 bytes each.
    sending: bytes
    receiving: bytes
    #: 1 AESGCM, 2 ChaChaPoly: overlay.secure.noise.Suite, the last byte of the preface.
    suite: int


@attrs.frozen(slots=True)
class StreamSend:
    """The shell owns `data` until StreamSent has told all of it; a peer bounds what it has given and not been told.
    Void if the stream has ended."""

    id: int
    data: bytes


@attrs.frozen(slots=True)
class StreamGrant:
    """The peer takes `n` more bytes. Until then the other side is held back: a stream begins with none granted."""

    id: int
    n: int


@attrs.frozen(slots=True)
class StreamClose:
    """No more of this stream, no event of it either. What was given to StreamSend before still arrives, if the
    other side takes it; what it sent and this side was not given is lost."""

    id: int


@attrs.frozen(slots=True)
class StreamTakes:
    """Of the connections that others open, the peer also takes those whose first byte is one of these, from now on
    and instead of those named before. Each comes as a stream with no byte taken; no StreamKeys follows."""

    first: bytes


StreamEffect = StreamTakes | StreamOpen | StreamKeys | StreamSend | StreamGrant | StreamClose
Effect = SendDatagram | Commit | Sync | Compute | Operate | Result | Report | StreamEffect


class StreamEnd(enum.Enum):
    """Why a stream is over."""

    #: The other side closed it, and all that it sent before was given.
    CLOSED = "closed"
    #: Nobody there takes streams.
    REFUSED = "refused"
    #: The process at the other end died; what was on its way is lost.
    RESET = "reset"
    #: Nothing was acknowledged for too long; what was on its way may be lost.
    TIMED_OUT = "timed_out"
    #: A record did not open: somebody changed bytes on the way, or the other side has other keys.
    DAMAGED = "damaged"
    #: There is no way to that address, or none that this machine may take.
    UNREACHABLE = "unreachable"
    #: This node holds as many streams as it may.
    FULL = "full"


@attrs.frozen(slots=True)
class StreamOpened:
    """Connected. `peer`: the other end, as this side sees it."""

    id: int
    peer: Address
    #: The other side opened it.
    incoming: bool


@attrs.frozen(slots=True)
class StreamData:
    """The next bytes; never more than were granted. How they were cut when they were sent does not show."""

    id: int
    data: bytes


@attrs.frozen(slots=True)
class StreamSent:
    """`n` more bytes were taken by the network: the shell holds them no longer. Not that they arrived."""

    id: int
    n: int


@attrs.frozen(slots=True)
class StreamClosed:
    """The last event of a stream, unless the peer closed it itself: then there is none."""

    id: int
    reason: StreamEnd


StreamEvent = StreamOpened | StreamData | StreamSent | StreamClosed


class StreamCore(Protocol):
    """A Core that takes streams has this, too. A shell refuses those that others open to a core without."""

    def handle_stream(self, now: Now, event: StreamEvent, /) -> None: ...


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
