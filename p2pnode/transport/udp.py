"""Datagrams on plain non-blocking sockets that we own.

`trio.socket` costs a task switch per datagram. One loop that waits until the kernel says readable
and then takes up to 64 datagrams moves 70,000 to 147,000 messages a second where awaiting each
moves 28,000 to 39,000 (docs/benchmarks.md). UDP may lose: a full buffer is a loss, counted.
No error of the network ends the loop; each is counted under its name.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence

import attrs
import trio

from overlay import limits
from overlay.runtime.address import Address, address_of
from p2pnode.paths import HomeError

log = logging.getLogger(__name__)

#: Datagrams taken before their answers leave and other tasks run. If each took all that is there, two processes that
#: ask and answer 32 at once would work in turn: find_node 3,700/s with 64, 7,000/s with 8, 6,000/s with 1.
DATAGRAMS_PER_TURN = 8
#: Asked of the kernel; it grants at most net.core.rmem_max (Linux doubles what it reports).
BUFFER = 4 * 1024 * 1024
#: Source addresses kept as objects; working out the scope of one costs about 5 us.
MAX_SOURCES_CACHED = 8192
#: Pause after an error of a socket, so that one that errs for ever does not eat a core.
ERROR_PAUSE_S = 0.05
#: Ports tried until one is free for both families.
PORT_TRIES = 32

_CHOOSE = "p2pnode run --listen HOST:0"
_EVERYWHERE = "p2pnode run            (0.0.0.0 and [::])"
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "unknown").lower()


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
        return tuple(_address(sock.getsockname()) for sock in self._sockets)

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
            self.errors[f"send_{_name(error)}"] += 1
        except OverflowError:  # port or zone beyond what the kernel takes
            self.errors["send_bad_address"] += 1
        else:
            self.sent += 1

    async def serve(self, received: Callable[[Address, bytes], None], turn_done: Callable[[], None]) -> None:
        """Call `received` per datagram and `turn_done` after each batch, until cancelled."""
        async with trio.open_nursery() as nursery:
            for sock in self._sockets:
                nursery.start_soon(self._drain, sock, received, turn_done)

    async def _drain(
        self, sock: socket.socket, received: Callable[[Address, bytes], None], turn_done: Callable[[], None]
    ) -> None:
        receive, sources = sock.recvfrom, self._sources
        while True:
            await trio.lowlevel.wait_readable(sock)  # always lets other tasks run
            failed = False
            for _ in range(DATAGRAMS_PER_TURN):
                try:
                    data, sockaddr = receive(limits.MAX_DATAGRAM + 1)
                except BlockingIOError:
                    break
                except OSError as error:  # an ICMP answer to something sent earlier, or the link went down
                    self.errors[f"receive_{_name(error)}"] += 1
                    failed = True
                    break
                self.received += 1
                if len(data) > limits.MAX_DATAGRAM:
                    self.errors["oversize"] += 1
                    continue
                source = sources.get(sockaddr)
                if source is None:
                    if len(sources) >= MAX_SOURCES_CACHED:
                        sources.clear()
                    source = sources[sockaddr] = _address(sockaddr)
                received(source, data)
            turn_done()
            if failed:
                await trio.sleep(ERROR_PAUSE_S)

    def close(self) -> None:
        for sock in self._sockets:
            trio.lowlevel.notify_closing(sock)
            sock.close()


def _address(sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    if len(sockaddr) == 2:
        return address_of(socket.inet_aton(sockaddr[0]), sockaddr[1])
    host = sockaddr[0].partition("%")[0]
    return address_of(socket.inet_pton(socket.AF_INET6, host), sockaddr[1], zone=sockaddr[3])


class CannotListen(HomeError):
    """An address cannot be had."""


class PortTaken(CannotListen):
    """Somebody else listens there."""


def open_udp(addresses: Sequence[Address]) -> Udp:
    """Receive on these addresses, at most one a family. Port 0 picks one, the same for both families.

    A machine without one of the families is served on the other, if that is a wildcard address.
    CannotListen (PortTaken) if an address cannot be had.
    """
    v4s = [address for address in addresses if address.is_v4]
    v6s = [address for address in addresses if not address.is_v4]
    if not addresses or len(v4s) > 1 or len(v6s) > 1:
        raise CannotListen(
            "a node listens on one IPv4 address, one IPv6 address or both",
            facts={"asked for": ", ".join(map(str, addresses)) or "nothing", "all of them": _EVERYWHERE},
        )
    picks = all(address.port == 0 for address in addresses)
    for _ in range(PORT_TRIES):
        bound: list[socket.socket] = []
        port = 0
        try:
            for address in (*v4s, *v6s):
                wanted = attrs.evolve(address, port=address.port or port)
                if (sock := _bind(wanted, others=len(addresses) > 1)) is not None:
                    bound.append(sock)
                    port = sock.getsockname()[1] if picks else 0
        except CannotListen as error:
            for sock in bound:
                sock.close()
            if picks and port and isinstance(error, PortTaken):
                continue  # free for the first family only
            raise
        if not bound:
            raise CannotListen("this machine has neither IPv4 nor IPv6", facts={"look": "p2pnode doctor"})
        by_family = {sock.family: sock for sock in bound}
        return Udp(by_family.get(socket.AF_INET), by_family.get(socket.AF_INET6))
    raise PortTaken(f"no port was free for IPv4 and IPv6 in {PORT_TRIES} tries", facts={"choose one": _CHOOSE})


def _bind(address: Address, *, others: bool) -> socket.socket | None:
    """None if this machine lacks the family and `others` will do instead."""
    try:
        return _bound(address)
    except OSError as error:
        if others and error.errno in _NO_FAMILY and not any(address.ip):
            log.info("no IPv%d on this machine: %s", 4 if address.is_v4 else 6, error.strerror)
            return None
        raise _cannot(address, error) from error


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET if address.is_v4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        if address.is_v4:
            sock.bind((socket.inet_ntop(family, address.ip), address.port))
        else:
            # One socket per family: no IPv4-mapped addresses, and the same on every system.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((socket.inet_ntop(family, address.ip), address.port, 0, address.zone))
    except BaseException:
        sock.close()
        raise
    return sock


def _cannot(address: Address, error: OSError) -> CannotListen:
    facts = {"address": f"udp {address}", "reason": error.strerror or str(error)}
    match error.errno:
        case errno.EADDRINUSE:
            return PortTaken("another program listens there already", facts=facts | {"any free port": _CHOOSE})
        case errno.EADDRNOTAVAIL:
            return CannotListen(
                "no interface of this machine has this address", facts=facts | {"see all": "ip address"}
            )
        case errno.EACCES:
            return CannotListen("ports below 1024 need a privilege", facts=facts | {"choose a higher one": _CHOOSE})
    return CannotListen("cannot listen there", facts=facts | {"look": "p2pnode doctor"})
