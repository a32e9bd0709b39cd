"""Datagrams on plain non-blocking sockets that we own.

`trio.socket` costs a task switch per datagram. One loop that waits until the kernel says readable
and then takes up to 64 datagrams moves 70,000 to 147,000 messages a second where awaiting each
moves 28,000 to 39,000 (docs/benchmarks.md). UDP may lose: a full buffer is a loss, counted.
No error of the network ends the loop; each is counted under its name.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Sequence

import attrs
import trio

from overlay import limits
from overlay.runtime.address import Address
from p2pnode.transport.binding import address_at, bind, name_of

#: Datagrams taken before their answers leave and other tasks run. If each took all that is there, two processes that
#: ask and answer 32 at once would work in turn: find_node 3,700/s with 64, 7,000/s with 8, 6,000/s with 1.
DATAGRAMS_PER_TURN = 8
#: Datagrams taken at most before a timer is asked what it wants.
DATAGRAMS_BEFORE_TIMER = 64
#: Source addresses kept as objects; working out the scope of one costs about 5 us.
MAX_SOURCES_CACHED = 8192
#: Pause after an error of a socket, so that one that errs for ever does not eat a core.
ERROR_PAUSE_S = 0.05


@attrs.define(slots=True, eq=False)
class Udp:
    """Open sockets, at most one per family. `close` when done (or use as a context manager)."""

    _v4: socket.socket | None
    _v6: socket.socket | None
    received: int = 0
    sent: int = 0
    #: What went wrong, by name: `send_eagain` (buffer full), `send_enetunreach`, `oversize`, ...
    errors: Counter[str] = attrs.Factory(Counter)
    _sources: dict[tuple[object, ...], Address] = attrs.Factory(dict)

    def __enter__(self) -> Udp:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _sockets(self) -> list[socket.socket]:
        return [sock for sock in (self._v4, self._v6) if sock is not None]

    @property
    def listen(self) -> tuple[Address, ...]:
        """Where datagrams are received: wildcard addresses if that is what is bound."""
        return tuple(address_at(sock.getsockname()) for sock in self._sockets)

    @property
    def receive_buffer(self) -> int:
        """Bytes that the kernel granted to the smaller of the sockets."""
        return min(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for sock in self._sockets)

    def counters(self) -> dict[str, int]:
        return {
            "udp_received": self.received,
            "udp_sent": self.sent,
            **{f"udp_{name}": count for name, count in sorted(self.errors.items())},
        }

    def send(self, to: Address, data: bytes) -> None:
        """Hand one datagram to the kernel, or lose it and count why."""
        sockaddr: tuple[str, int] | tuple[str, int, int, int]
        if len(to.ip) == 4:
            sock, sockaddr = self._v4, (socket.inet_ntop(socket.AF_INET, to.ip), to.port)
        else:
            sock, sockaddr = self._v6, (socket.inet_ntop(socket.AF_INET6, to.ip), to.port, 0, to.zone)
        if sock is None:
            self.errors["send_no_family"] += 1
            return
        try:
            sock.sendto(data, sockaddr)
        except OSError as error:
            self.errors[f"send_{name_of(error)}"] += 1
        except OverflowError:  # port or zone beyond what the kernel takes
            self.errors["send_bad_address"] += 1
        else:
            self.sent += 1

    async def serve(self, received: Callable[[Address, bytes], None], turn_done: Callable[[], None]) -> None:
        """Call `received` per datagram and `turn_done` after each batch, until cancelled."""
        async with trio.open_nursery() as nursery:
            for sock in self._sockets:
                nursery.start_soon(self._drain, sock, received, turn_done)

    def take(self, received: Callable[[Address, bytes], None]) -> None:
        """Hand over what is there already, up to a bound. Before a timer: were that asked first, a busy node would take
        for silent whose answers wait in the socket, and ask them again."""
        for sock in self._sockets:
            self._take(sock, received, DATAGRAMS_BEFORE_TIMER)

    async def _drain(
        self, sock: socket.socket, received: Callable[[Address, bytes], None], turn_done: Callable[[], None]
    ) -> None:
        while True:
            await trio.lowlevel.wait_readable(sock)  # always lets other tasks run
            well = self._take(sock, received, DATAGRAMS_PER_TURN)
            turn_done()
            if not well:
                await trio.sleep(ERROR_PAUSE_S)

    def _take(self, sock: socket.socket, received: Callable[[Address, bytes], None], most: int) -> bool:
        """False if the socket errs."""
        receive, sources = sock.recvfrom, self._sources
        for _ in range(most):
            try:
                data, sockaddr = receive(limits.MAX_DATAGRAM + 1)
            except BlockingIOError:
                break
            except OSError as error:  # an ICMP answer to something sent earlier, or the link went down
                self.errors[f"receive_{name_of(error)}"] += 1
                return False
            self.received += 1
            if len(data) > limits.MAX_DATAGRAM:
                self.errors["oversize"] += 1
                continue
            source = sources.get(sockaddr)
            if source is None:
                if len(sources) >= MAX_SOURCES_CACHED:
                    sources.clear()
                source = sources[sockaddr] = address_at(sockaddr)
            received(source, data)
        return True

    def close(self) -> None:
        for sock in self._sockets:
            trio.lowlevel.notify_closing(sock)
            sock.close()


def open_udp(addresses: Sequence[Address]) -> Udp:
    """Receive on these addresses: as `binding.bind` says."""
    return udp_of(bind(addresses, (socket.SOCK_DGRAM,)))


def udp_of(bound: Sequence[socket.socket]) -> Udp:
    """The datagram sockets among those that are bound."""
    by_family = {sock.family: sock for sock in bound if sock.type is socket.SOCK_DGRAM}
    return Udp(by_family.get(socket.AF_INET), by_family.get(socket.AF_INET6))
