"""Binds the addresses that a node listens at: the same port for UDP and TCP, for IPv4 and IPv6."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Sequence

import attrs

from overlay.runtime.address import Address, address_of
from p2pnode.paths import HomeError

log = logging.getLogger(__name__)

#: Asked of the kernel for datagrams; it grants at most net.core.rmem_max (Linux doubles what it reports).
BUFFER = 4 * 1024 * 1024
#: Connections that wait to be accepted; the kernel grants at most net.core.somaxconn (4,096).
BACKLOG = 256
#: Ports tried until one is free for both families and both protocols.
PORT_TRIES = 32

_CHOOSE = "p2pnode run --listen HOST:0"
_EVERYWHERE = "p2pnode run            (0.0.0.0 and [::])"
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_NAMES = {socket.SOCK_DGRAM: "udp", socket.SOCK_STREAM: "tcp"}


class CannotListen(HomeError):
    """An address cannot be had."""


class PortTaken(CannotListen):
    """Somebody else listens there."""


def name_of(error: OSError) -> str:
    """`econnreset`: for counters."""
    return errno.errorcode.get(error.errno or 0, "unknown").lower()


def address_at(sockaddr: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    """What a socket says of itself or of the other side."""
    if len(sockaddr) == 2:
        return address_of(socket.inet_aton(sockaddr[0]), sockaddr[1])
    host = sockaddr[0].partition("%")[0]
    return address_of(socket.inet_pton(socket.AF_INET6, host), sockaddr[1], zone=sockaddr[3])


def sockaddr_of(address: Address) -> tuple[str, int] | tuple[str, int, int, int]:
    """The inverse."""
    if address.is_v4:
        return socket.inet_ntop(socket.AF_INET, address.ip), address.port
    return socket.inet_ntop(socket.AF_INET6, address.ip), address.port, 0, address.zone


def family_of(address: Address) -> socket.AddressFamily:
    return socket.AF_INET if address.is_v4 else socket.AF_INET6


def bind(addresses: Sequence[Address], kinds: Sequence[socket.SocketKind]) -> list[socket.socket]:
    """Sockets of these kinds at these addresses, at most one address a family; those of SOCK_STREAM listen.

    Port 0 picks one, the same for all of them. A machine without one of the families is served on the other, if that
    is a wildcard address. CannotListen (PortTaken) if an address cannot be had.
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
        port = shared = 0
        try:
            for address in (*v4s, *v6s):
                port = address.port or shared
                for kind in kinds:
                    sock = _bind(attrs.evolve(address, port=port), kind, others=len(addresses) > 1)
                    if sock is None:
                        break
                    bound.append(sock)
                    port = sock.getsockname()[1]
                shared = port if picks else 0
        except CannotListen as error:
            for sock in bound:
                sock.close()
            if port and not address.port and isinstance(error, PortTaken):
                continue  # free for the first family or protocol only
            raise
        if not bound:
            raise CannotListen("this machine has neither IPv4 nor IPv6", facts={"look": "p2pnode doctor"})
        return bound
    raise PortTaken(f"no port was free for all protocols in {PORT_TRIES} tries", facts={"choose one": _CHOOSE})


def _bind(address: Address, kind: socket.SocketKind, *, others: bool) -> socket.socket | None:
    """None if this machine lacks the family and `others` will do instead."""
    try:
        return _bound(address, kind)
    except OSError as error:
        if others and error.errno in _NO_FAMILY and not any(address.ip):
            log.info("no IPv%d on this machine: %s", 4 if address.is_v4 else 6, error.strerror)
            return None
        raise _cannot(address, kind, error) from error


def _bound(address: Address, kind: socket.SocketKind) -> socket.socket:
    family = family_of(address)
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if kind is socket.SOCK_DGRAM:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
        else:
            # What the kernel remembers of connections that are over (TIME_WAIT) is nobody who listens.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            # One socket per family: no IPv4-mapped addresses, and the same on every system.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(sockaddr_of(address))
        if kind is socket.SOCK_STREAM:
            sock.listen(BACKLOG)  # two may bind with SO_REUSEADDR; here the second fails
    except BaseException:
        sock.close()
        raise
    return sock


def _cannot(address: Address, kind: socket.SocketKind, error: OSError) -> CannotListen:
    facts = {"address": f"{_NAMES[kind]} {address}", "reason": error.strerror or str(error)}
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
