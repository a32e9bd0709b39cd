"""All TCP of a node: takes and makes connections, finds out what they are, and keeps their number bounded.

A connection that others made is silent until its first byte says what it is: PREFACE is ours and becomes a stream of
the core with its eight bytes unread; so does one of the bytes that the core takes beside (StreamTakes), with no byte
taken; any other is closed at once. Silent ones have few places and the oldest goes, so that who only connects locks
nobody out.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import resource
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import attrs
import trio

from overlay import limits
from overlay.runtime.address import Address
from overlay.runtime.ports import (
    StreamClose,
    StreamClosed,
    StreamEffect,
    StreamEvent,
    StreamGrant,
    StreamKeys,
    StreamOpen,
    StreamSend,
    StreamTakes,
)
from overlay.secure.handshake import MAGIC, PREFACE_BYTES
from overlay.streams.crowd import Crowd, Slot
from p2pnode.transport.binding import address_at, family_of, name_of, sockaddr_of
from p2pnode.transport.ends import end_of
from p2pnode.transport.shared import Shared
from p2pnode.transport.stream import Stream

#: The first byte of ours; no text, no TLS (0x16), no BitTorrent (0x13) begins with it.
PREFACE = MAGIC[0]
#: Connections taken before other tasks run.
ACCEPTS_PER_TURN = 16
#: Pause after an error of a listener (no descriptor, no memory), so that it does not eat a core.
ERROR_PAUSE_S = 0.05
#: What accept(2) says of a connection that was over before it was taken.
_GONE = frozenset({
    errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH,
    errno.EHOSTDOWN, errno.ENOPROTOOPT, errno.EOPNOTSUPP,
})  # fmt: skip
#: Descriptors that stay for everything else: store, files, control, interfaces.
DESCRIPTORS_KEPT = 256

Tell = Callable[[StreamEvent], None]


@attrs.define(slots=True, eq=False)
class Streams:
    """Listens from the beginning; serves from `start` on. `close` when done (or use as a context manager)."""

    _listeners: dict[socket.AddressFamily, socket.socket]
    #: Sockets at once, listeners not counted.
    most: int = attrs.field(factory=lambda: descriptors(limits.MAX_STREAM_SOCKETS))
    #: What happened, by name.
    _counters: Counter[str] = attrs.field(factory=Counter, init=False)
    _streams: dict[int, Stream] = attrs.field(factory=dict, init=False)
    _silent: Crowd = attrs.field(
        factory=lambda: Crowd(limits.MAX_SILENT_SOCKETS, limits.MAX_SILENT_PER_ADDRESS), init=False
    )
    _lingering: Crowd = attrs.field(
        factory=lambda: Crowd(limits.MAX_LINGERING, limits.MAX_LINGERING_PER_ADDRESS), init=False
    )
    #: The same of those that were never sealed.
    _plain_lingering: Crowd = attrs.field(
        factory=lambda: Crowd(limits.MAX_PLAIN_LINGERING, limits.MAX_PLAIN_LINGERING_PER_ADDRESS), init=False
    )
    #: First bytes that the core takes, beside PREFACE.
    _takes: bytes = attrs.field(default=b"", init=False)
    #: Places among those that linger, and in which crowd, by the id of the stream.
    _places: dict[int, tuple[Crowd, Slot]] = attrs.field(factory=dict, init=False)
    _ids: Iterator[int] = attrs.field(factory=lambda: itertools.count(1, 2), init=False)
    _shared: Shared = attrs.field(init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    #: None: the core takes no streams.
    _tell: Tell | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._shared = Shared(self._counters, frozenset(address.port for address in self.listen))

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def listen(self) -> tuple[Address, ...]:
        return tuple(address_at(sock.getsockname()) for sock in self._listeners.values())

    @property
    def sockets(self) -> int:
        """Open now, listeners not counted."""
        return self._shared.sockets

    def counters(self) -> dict[str, int]:
        lingering = len(self._lingering) + len(self._plain_lingering)
        now = {"open": len(self._streams), "silent": len(self._silent), "lingering": lingering}
        return {f"tcp_{name}": count for name, count in (*now.items(), *sorted(self._counters.items()))}

    def start(self, nursery: trio.Nursery, tell: Tell | None) -> None:
        """Take and make connections in `nursery`, until that is cancelled. `tell` is never called within `perform`."""
        self._nursery, self._tell = nursery, tell
        _keep_freed_memory()
        for listener in self._listeners.values():
            nursery.start_soon(self._accept, listener)

    def close(self) -> None:
        """After the tasks have ended; each has closed its socket."""
        for sock in self._listeners.values():
            sock.close()

    # --- effects ----------------------------------------------------------------------------

    def perform(self, effect: StreamEffect) -> None:
        """An effect of the core; void if its stream is over."""
        match effect:
            case StreamTakes(first):
                self._takes = first
                return
            case StreamOpen():
                self._open(effect)
                return
        stream = self._streams.get(effect.id)
        if stream is None or stream.closing:
            return
        match effect:
            case StreamSend(_, data):
                stream.send(data)
            case StreamGrant(_, n):
                stream.grant(n)
            case StreamKeys():
                stream.keys(effect)
            case StreamClose():
                stream.close()
                crowd = self._lingering if stream.sealed else self._plain_lingering
                self._places[effect.id] = crowd, crowd.enter(stream.peer, partial(self._drop, stream))

    def _drop(self, stream: Stream) -> None:
        self._counters["lingering_dropped"] += 1
        stream.drop()

    def _open(self, effect: StreamOpen) -> None:
        assert self._nursery is not None
        try:
            if not self._has_room():
                raise OSError(errno.EMFILE, "as many sockets as there may be")
            sock = self._dialler(effect.to)
        except OSError as error:
            self._nursery.start_soon(self._say_later, StreamClosed(effect.id, end_of(error)))
            return
        self._begin(effect.id, effect.to, sock, b"")

    async def _say_later(self, event: StreamClosed) -> None:
        self._counters[f"ended_{event.reason.value}"] += 1
        if self._tell is not None:
            self._tell(event)

    def _dialler(self, to: Address) -> socket.socket:
        family = family_of(to)
        listener = self._listeners.get(family)
        if listener is None:
            raise OSError(errno.EAFNOSUPPORT, "this node has no address of that family")
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            own = address_at(listener.getsockname())
            if any(own.ip):  # the other side shall see the address that datagrams come from
                sock.bind(sockaddr_of(attrs.evolve(own, port=0)))
        except BaseException:
            sock.close()
            raise
        self._shared.adopt(sock)
        return sock

    def _begin(self, id: int, peer: Address, sock: socket.socket, preface: bytes) -> None:
        assert self._nursery is not None
        assert self._tell is not None
        stream = self._streams[id] = Stream(id, peer, sock, self._shared, self._tell, preface)
        self._nursery.start_soon(self._run, stream)

    async def _run(self, stream: Stream) -> None:
        try:
            await stream.run(incoming=stream.id % 2 == 1)
        finally:
            self._shared.shut(stream.sock)
            del self._streams[stream.id]
            place = self._places.pop(stream.id, None)
            if place is not None:
                crowd, slot = place
                crowd.leave(slot)

    # --- what others open -------------------------------------------------------------------

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            failed = False
            for _ in range(ACCEPTS_PER_TURN):
                try:
                    sock, sockaddr = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    self._counters[f"accept_{name_of(error)}"] += 1
                    if error.errno in _GONE:
                        continue  # nobody has to make room for it
                    failed = not self._make_room()
                    break
                self._greet(sock, address_at(sockaddr))
            if failed:
                await trio.sleep(ERROR_PAUSE_S)

    def _greet(self, sock: socket.socket, peer: Address) -> None:
        self._counters["accepted"] += 1
        if not self._has_room():
            self._counters["accept_full"] += 1
            sock.close()
            return
        self._shared.adopt(sock)
        place = self._silent.enter(peer, partial(self._send_away, sock))
        assert self._nursery is not None
        self._nursery.start_soon(self._sniff, sock, peer, place)

    def _has_room(self) -> bool:
        return self._shared.sockets < self.most or self._make_room()

    def _make_room(self) -> bool:
        """Those that cost nobody anything go first."""
        return any(crowd.send_one_away() for crowd in (self._silent, self._plain_lingering, self._lingering))

    def _send_away(self, sock: socket.socket) -> None:
        self._counters["silent_sent_away"] += 1
        trio.lowlevel.notify_closing(sock)
        self._shared.shut(sock)

    async def _sniff(self, sock: socket.socket, peer: Address, place: Slot) -> None:
        #: What was taken of it; None: the core does not take it.
        preface: bytes | None = None
        try:
            with trio.move_on_after(limits.HANDSHAKE_S) as patience:
                preface = await self._preface(sock)
            if patience.cancelled_caught:
                self._counters["silent_too_long"] += 1
        except (OSError, trio.ClosedResourceError):
            pass  # reset by the other side; sent away
        finally:
            self._silent.leave(place)
            if preface is None:
                self._shared.shut(sock)
        if preface is not None:
            self._begin(next(self._ids), peer, sock, preface)

    async def _preface(self, sock: socket.socket) -> bytes | None:
        first = await _some(sock, 1, socket.MSG_PEEK)
        if not first or self._tell is None:
            return None
        if first in self._takes:
            self._counters["plain"] += 1
            return b""
        if first[0] != PREFACE:
            self._counters["not_ours"] += 1
            return None
        preface = b""
        while len(preface) < PREFACE_BYTES:
            more = await _some(sock, PREFACE_BYTES - len(preface), 0)
            if not more:
                return None
            preface += more
        return preface


def _keep_freed_memory() -> None:
    """Have glibc keep up to 16 MiB of freed memory for the next messages.

    It gives the end of its heap back when more than twice the largest block that was ever freed is unused there, and
    takes larger blocks from the kernel one by one (mallopt(3): M_MMAP_THRESHOLD, M_TRIM_THRESHOLD); then every page of
    every message is a page fault, a third of what it costs to receive it. Elsewhere this changes nothing.
    """
    bytearray(8 << 20)  # freed at once, and never touched: it costs no memory


async def _some(sock: socket.socket, most: int, flags: int) -> bytes:
    while True:
        try:
            return sock.recv(most, flags)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(sock)


def streams_of(bound: Sequence[socket.socket]) -> Streams:
    """The listeners among the sockets that are bound."""
    return Streams({sock.family: sock for sock in bound if sock.type is socket.SOCK_STREAM})


def descriptors(wanted: int) -> int:
    """How many sockets there may be: as wanted, or what is left of the limit of the system, which is raised first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    need = wanted + DESCRIPTORS_KEPT
    if soft < need:
        raised = need if hard == resource.RLIM_INFINITY else min(need, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return max(1, min(wanted, soft - DESCRIPTORS_KEPT))
