"""One TCP connection as a stream of the core: what it sends, what it gets, and how it ends.

Two tasks, one a direction, each with at most one system call between two moments in which others run. Buffers belong
to all streams of a node; one keeps bytes of its own only while the other side or the core does not take them.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable

import attrs
import trio

from overlay import limits
from overlay.runtime.address import Address
from overlay.runtime.ports import StreamClosed, StreamData, StreamEnd, StreamEvent, StreamKeys, StreamOpened, StreamSent
from overlay.secure.noise import MAX_MESSAGE
from p2pnode.transport.binding import name_of, sockaddr_of
from p2pnode.transport.ends import end_of
from p2pnode.transport.records import MAX_PLAIN, OVERHEAD, Opener, Sealer
from p2pnode.transport.shared import Shared

#: Bytes in the clear that are given to the kernel at once: pieces of 16 KiB one by one take a core twice as long.
_OUT_CLEAR = 256 * 1024


@attrs.define(slots=True, eq=False)
class Stream:
    """`run` it once the socket is connected. The other methods are the effects of the core."""

    id: int
    peer: Address
    sock: socket.socket
    _shared: Shared
    #: Gives an event to the core, which may answer with effects for this very stream.
    _tell: Callable[[StreamEvent], None]
    #: Bytes that were taken from the socket already and not given.
    _wire: bytes = b""
    #: The core has closed it: it hears no more of it.
    closing: bool = attrs.field(default=False, init=False)
    _connected: bool = attrs.field(default=False, init=False)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    # Receiving. Opened bytes that were not granted; why sending ended; the wait for a grant.
    _granted: int = attrs.field(default=0, init=False)
    _opener: Opener | None = attrs.field(default=None, init=False)
    _opened: bytes = attrs.field(default=b"", init=False)
    _damaged: bool = attrs.field(default=False, init=False)
    _broken: StreamEnd | None = attrs.field(default=None, init=False)
    _ungranted: trio.CancelScope | None = attrs.field(default=None, init=False)
    # Sending: before the keys, after them, how much of the first of these is sent.
    _clear: deque[bytes] = attrs.field(factory=deque, init=False)
    _unsent: deque[bytes] = attrs.field(factory=deque, init=False)
    _cut: int = attrs.field(default=0, init=False)
    _sealer: Sealer | None = attrs.field(default=None, init=False)
    _more: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    @property
    def sealed(self) -> bool:
        return self._sealer is not None

    # --- effects ----------------------------------------------------------------------------

    def keys(self, keys: StreamKeys) -> None:
        """What was sent before stays in the clear; what was not given before is records."""
        self._sealer = Sealer(keys.sending, keys.suite)
        self._opener = Opener(keys.receiving, keys.suite)

    def send(self, data: bytes) -> None:
        if data:
            (self._clear if self._sealer is None else self._unsent).append(data)
            self._more.unpark_all()

    def grant(self, n: int) -> None:
        self._granted += n
        self._wake_reader()

    def close(self) -> None:
        """What is unsent is sent still, for STREAM_LINGER_S at most."""
        self.closing = True
        self._wire = self._opened = b""
        self.scope.deadline = trio.current_time() + limits.STREAM_LINGER_S
        self._more.unpark_all()
        self._wake_reader()
        if not self._connected and not self._clear:
            self.drop()

    def drop(self) -> None:
        """At once, whatever is unsent."""
        trio.lowlevel.notify_closing(self.sock)
        self._shared.shut(self.sock)
        self.scope.cancel()

    # --- life -------------------------------------------------------------------------------

    async def run(self, *, incoming: bool) -> None:
        """Connects it unless it is `incoming`, until it is over; the socket is closed then, and the core told."""
        reason = StreamEnd.RESET
        with self.scope:
            failure = None if incoming else await self._connect()
            if failure is not None:
                reason = failure
            else:
                self._connected = True
                if not self.closing:
                    self._tell(StreamOpened(self.id, self.peer, incoming))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    reason = await self._read()
                    nursery.cancel_scope.cancel()
        self._shared.shut(self.sock)
        if not self.closing:
            self.closing = True
            self._shared.counters[f"ended_{reason.value}"] += 1
            self._tell(StreamClosed(self.id, reason))

    async def _connect(self) -> StreamEnd | None:
        """Why not, or None."""
        try:
            with trio.move_on_after(limits.DIAL_S):
                try:
                    self.sock.connect(sockaddr_of(self.peer))
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self.sock)
                if code := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return end_of(OSError(code, ""))
                if self._is_own():
                    return StreamEnd.REFUSED
                self._shared.counters["dialled"] += 1
                return None
        except (OSError, OverflowError) as error:  # OverflowError: a zone or port beyond what the kernel takes
            return end_of(error) if isinstance(error, OSError) else StreamEnd.UNREACHABLE
        except trio.ClosedResourceError:
            return StreamEnd.RESET  # dropped
        return StreamEnd.TIMED_OUT

    def _is_own(self) -> bool:
        """From one address to the same one: at a port of this node it has reached itself, and at the very port it was
        sent from nobody listens, TCP has found that."""
        here, there = self.sock.getsockname(), self.sock.getpeername()
        return bool(here[0] == there[0]) and (here[1] == there[1] or there[1] in self._shared.ports)

    # --- receiving --------------------------------------------------------------------------

    async def _read(self) -> StreamEnd:
        try:
            return await self._read_on()
        except trio.ClosedResourceError:
            return StreamEnd.RESET  # dropped

    async def _read_on(self) -> StreamEnd:
        while True:
            if self.closing:
                return await self._discard()
            if not self._granted:
                if self._broken is not None:
                    return self._broken
                if await self._is_over_ungranted():
                    return self._why(StreamEnd.CLOSED)
                continue
            gave = (self._wire or self._opened) and self._give(memoryview(self._wire))
            if not gave and not self._damaged:
                try:
                    n = self._receive()
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(self.sock)
                    continue
                except OSError as error:
                    return end_of(error)
                if n == 0:  # amid a record: the process that was sending it has died
                    return self._why(StreamEnd.RESET if self._wire else StreamEnd.CLOSED)
            if self._damaged:
                return StreamEnd.DAMAGED
            await trio.lowlevel.checkpoint()

    def _why(self, end: StreamEnd) -> StreamEnd:
        """What was found when sending says more than what is read at the end."""
        return end if self._broken is None else self._broken

    def _receive(self) -> int:
        """One turn: bytes that the kernel had, 0 at the end of the stream. BlockingIOError if there are none now."""
        incoming, kept = self._shared.incoming, len(self._wire)
        # In the clear no byte is taken that is not granted; else the rest of a record at most.
        room = self._granted if self._opener is None else self._granted + MAX_MESSAGE
        n = self.sock.recv_into(incoming[kept : kept + room])
        if n:
            self._shared.counters["bytes_received"] += n
            incoming[:kept] = self._wire
            self._give(incoming[: kept + n])
        return n

    def _give(self, wire: memoryview) -> bool:
        """To the core: of `wire`, which is all that is here, as much as is granted. False if that is nothing."""
        if self._opener is None:
            data = bytes(wire[: self._granted])
            self._wire = bytes(wire[len(data) :])
        else:
            opened, kept = self._shared.opened, len(self._opened)
            opened[:kept] = self._opened
            used, end, self._damaged = self._opener.take(wire, opened, kept, self._granted)
            data = bytes(opened[: min(end, self._granted)])
            self._opened = bytes(opened[len(data) : end])
            self._wire = bytes(wire[used:])
        if not data:
            return False
        self._granted -= len(data)
        self._tell(StreamData(self.id, data))
        return True

    async def _is_over_ungranted(self) -> bool:
        """Waits for a grant (False); True if the stream ends before, and all that it brought was given."""
        with trio.CancelScope() as self._ungranted:
            if not self._wire and not self._opened:
                await trio.lowlevel.wait_readable(self.sock)
                try:
                    if not self.sock.recv(1, socket.MSG_PEEK):
                        return True
                except BlockingIOError:
                    return False
                except OSError as error:
                    self._broken = end_of(error)
                    return True
            await trio.sleep_forever()  # there is something, and nobody wants it yet
        return False

    async def _discard(self) -> StreamEnd:
        """To the end, so that what this side sent is not lost: a kernel whose bytes nobody reads resets."""
        while True:
            try:
                if not self.sock.recv_into(self._shared.incoming):
                    return StreamEnd.CLOSED
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.sock)
            except OSError as error:
                return end_of(error)
            else:
                await trio.lowlevel.checkpoint()

    def _wake_reader(self) -> None:
        if self._ungranted is not None:
            self._ungranted.cancel()

    # --- sending ----------------------------------------------------------------------------

    async def _write(self) -> None:
        try:
            while True:
                if self._clear:
                    data = self._clear.popleft()
                    if self._clear and len(data) < _OUT_CLEAR:
                        data = self._joined(data)
                    await self._pass(memoryview(data), len(data))
                elif self._unsent:
                    buffer = self._shared.buffer()
                    size, plain = self._seal(buffer)
                    await self._pass(buffer[:size], plain)
                    self._shared.give_back(buffer)
                elif self.closing:
                    self.sock.shutdown(socket.SHUT_WR)
                    return
                else:
                    await self._more.park()
        except OSError as error:
            # What the other side sent before may still be here: reading finds the end.
            self._shared.counters[f"send_{name_of(error)}"] += 1
            self._broken = end_of(error)
            self._wake_reader()
        except trio.ClosedResourceError:
            pass  # dropped

    def _joined(self, first: bytes) -> bytes:
        """With what comes after it in the clear, up to _OUT_CLEAR bytes."""
        parts, size = [first], len(first)
        while self._clear and size + len(self._clear[0]) <= _OUT_CLEAR:
            size += len(self._clear[0])
            parts.append(self._clear.popleft())
        return b"".join(parts)

    def _seal(self, buffer: memoryview) -> tuple[int, int]:
        """As much as fits into `buffer`: bytes there, and bytes of plaintext. Small ones share a record."""
        sealer, unsent = self._sealer, self._unsent
        assert sealer is not None
        end = plain = 0
        while unsent and (room := min(len(buffer) - end - OVERHEAD, MAX_PLAIN)) > 0:
            head = unsent[0]
            rest = len(head) - self._cut
            if rest > room:
                if end and room < MAX_PLAIN:
                    break  # rather a whole record in the next turn
                piece: bytes | memoryview = memoryview(head)[self._cut : self._cut + room]
                self._cut += room
            else:
                parts, size = [head if not self._cut else head[self._cut :]], rest
                unsent.popleft()
                self._cut = 0
                while unsent and size + len(unsent[0]) <= room:
                    size += len(unsent[0])
                    parts.append(unsent.popleft())
                piece = parts[0] if len(parts) == 1 else b"".join(parts)
            end = sealer.seal(piece, buffer, end)
            plain += len(piece)
        return end, plain

    async def _pass(self, wire: memoryview, plain: int) -> None:
        """To the kernel, all of it; `plain` bytes were sealed in it."""
        at = told = 0
        while at < len(wire):
            try:
                n = self.sock.send(wire[at:])
            except BlockingIOError:
                # Also of a part: a core that hears nothing for long thinks that the other side takes nothing.
                told += self._sent(plain * at // len(wire) - told)
                await trio.lowlevel.wait_writable(self.sock)
            else:
                at += n
                self._shared.counters["bytes_sent"] += n
        self._sent(plain - told)
        await trio.lowlevel.checkpoint()

    def _sent(self, n: int) -> int:
        if n and not self.closing:
            self._tell(StreamSent(self.id, n))
        return n
