"""Local service discovery (BEP 14) on this machine's interfaces: multicast of UDP, one socket an interface and family.

    nursery.start_soon(partial(serve, shares, port, found, interfaces=lambda: node.interfaces))

Where multicast is not to be had it does nothing and says so once: it is one way of several to find somebody.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import attrs
import trio

from apps.files.core.limits import MAX_LSD_BYTES
from apps.files.core.lsd import GROUPS, Hearing, Search, Timetable, decode_search, encode_search
from apps.files.shell.limits import (
    LSD_HEARD_PER_S,
    LSD_HOPS,
    LSD_ROUND_S,
    MAX_LSD_FINDING,
    MAX_LSD_INTERFACES,
)
from overlay.errors import BadMessage
from overlay.runtime.address import Address, address_of
from overlay.runtime.ports import SECOND, Interface

log = logging.getLogger(__name__)

#: linux/in.h and linux/in6.h: 0 has a socket hear only at interfaces at which it joined.
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29

#: Info-hashes of 20 bytes, as handshakes of BitTorrent have them: what is announced and looked for.
Shares = Callable[[], Awaitable[Sequence[bytes]]]
#: Somebody near may have what has this hash.
Found = Callable[[bytes, Address], Awaitable[object]]


async def serve(
    shares: Shares, port: int, found: Found, *, interfaces: Callable[[], Sequence[Interface]]
) -> None:
    """Announce what is shared and tell of others who do, until cancelled.

    `port`: where this node takes connections of BitTorrent. `shares` and `interfaces` are asked every LSD_ROUND_S;
    `found` is called at most LSD_FOUND_PER_MINUTE times a minute. What they raise is logged, and ends nothing.
    """
    lsd = _Lsd(port, found)
    async with trio.open_nursery() as nursery:
        try:
            while True:
                try:
                    lsd.follow(interfaces(), nursery)
                    lsd.shared = frozenset(shared := await shares())
                    await lsd.announce(shared)
                except Exception:
                    log.exception("local service discovery could not announce; trying again in %g s", LSD_ROUND_S)
                await trio.sleep(LSD_ROUND_S)
        finally:
            lsd.close()


@attrs.define(slots=True, eq=False)
class _Link:
    """One interface, one family."""

    group: Address
    sock: trio.socket.SocketType
    timetable: Timetable = attrs.field(factory=Timetable)


@attrs.define(slots=True, eq=False)
class _Lsd:
    _port: int
    _found: Found
    shared: frozenset[bytes] = attrs.field(default=frozenset(), init=False)
    #: By bytes of an address and index of the interface.
    _links: dict[tuple[int, int], _Link] = attrs.field(factory=dict, init=False)
    #: Links that could not be had: told once.
    _failed: set[tuple[int, int]] = attrs.field(factory=set, init=False)
    _hearing: Hearing = attrs.field(factory=lambda: Hearing(os.urandom(8).hex().encode()), init=False)
    _finding: int = attrs.field(default=0, init=False)

    def follow(self, interfaces: Sequence[Interface], nursery: trio.Nursery) -> None:
        """Open what is new, close what is gone."""
        self._hearing.attach(interfaces)
        wanted: dict[tuple[int, int], Interface] = {}
        for interface in interfaces:
            if len(wanted) < MAX_LSD_INTERFACES and interface.zone:
                wanted.setdefault((len(interface.ip), interface.zone), interface)
        for key in [key for key in self._links if key not in wanted]:
            self._links.pop(key).sock.close()
        self._failed &= wanted.keys()
        for key, interface in wanted.items():
            if key not in self._links:
                self._open(key, interface, nursery)

    def _open(self, key: tuple[int, int], interface: Interface, nursery: trio.Nursery) -> None:
        group = GROUPS[len(interface.ip) == 16]
        try:
            link = _Link(group, trio.socket.from_stdlib_socket(open_socket(group, interface)))
        except OSError as error:
            if key not in self._failed:
                self._failed.add(key)
                log.info("no local service discovery at interface %d: %s", interface.zone, error)
            return
        self._failed.discard(key)
        self._links[key] = link
        nursery.start_soon(self._listen, link, nursery)

    def close(self) -> None:
        for link in self._links.values():
            link.sock.close()
        self._links.clear()

    async def announce(self, shared: Sequence[bytes]) -> None:
        """At each link what is due there."""
        for link in tuple(self._links.values()):
            hashes = link.timetable.due(now_ns := _now_ns(), shared)
            if not hashes:
                continue
            data = encode_search(Search(self._port, hashes, cookie=self._hearing.cookie), link.group)
            try:
                await link.sock.sendto(data, (str(link.group).rpartition(":")[0].strip("[]"), link.group.port))
            except OSError as error:  # no cable, no route
                log.debug("an announce to %s: %s", link.group, error)
            else:
                link.timetable.said(now_ns, hashes)

    async def _listen(self, link: _Link, nursery: trio.Nursery) -> None:
        """Until its socket is closed. A flood is left to the kernel, which drops it."""
        second_ns, heard = 0, 0
        while True:
            try:
                data, sockaddr = await link.sock.recvfrom(MAX_LSD_BYTES + 1)
            except OSError as error:
                log.debug("listening at %s: %s", link.group, error)
                await trio.sleep(LSD_ROUND_S)
                continue
            except trio.ClosedResourceError:
                return
            now_ns = _now_ns()
            if now_ns - second_ns >= SECOND:
                second_ns, heard = now_ns, 0
            heard += 1
            self._take(data, sockaddr, now_ns, nursery)
            if heard >= LSD_HEARD_PER_S:
                await trio.sleep((second_ns + SECOND - now_ns) / SECOND)

    def _take(self, data: bytes, sockaddr: tuple[object, ...], now_ns: int, nursery: trio.Nursery) -> None:
        try:
            source, search = _address_at(sockaddr), decode_search(data)
        except BadMessage as error:
            log.debug("no announce from %s: %s", sockaddr[0], error)
            return
        for one, address in self._hearing.take(now_ns, source, search, self.shared):
            if self._finding < MAX_LSD_FINDING:
                self._finding += 1
                nursery.start_soon(self._tell, one, address)

    async def _tell(self, one: bytes, address: Address) -> None:
        try:
            await self._found(one, address)
        except Exception:
            log.exception("what was told of %s at %s", one.hex(), address)
        finally:
            self._finding -= 1


def open_socket(group: Address, interface: Interface) -> socket.socket:
    """Hears and sends at one interface, beside others that do: clients of BitTorrent on the same machine. OSError."""
    family = socket.AF_INET if group.is_v4 else socket.AF_INET6
    with _closed_on_error(socket.socket(family, socket.SOCK_DGRAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):  # a client that set only this one shares with those that did
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        linux = sys.platform == "linux"
        if group.is_v4:
            joined = struct.pack("4s4si", group.ip, interface.ip, interface.zone)  # struct ip_mreqn
            if linux:
                sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, LSD_HOPS)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, joined)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
        else:
            if linux:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, LSD_HOPS)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.zone)
            joined = struct.pack("16si", group.ip, interface.zone)  # struct ipv6_mreq
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, joined)
        # Bound to the group it is sent nothing but that; not every system can.
        sock.bind((socket.inet_ntop(family, group.ip) if linux else "", group.port))
        return sock


@contextmanager
def _closed_on_error(sock: socket.socket) -> Iterator[socket.socket]:
    try:
        yield sock
    except BaseException:
        sock.close()
        raise


def _address_at(sockaddr: tuple[object, ...]) -> Address:
    """Of the kernel: (host, port) or (host, port, flow, zone)."""
    host, port = str(sockaddr[0]).partition("%")[0], int(str(sockaddr[1]))
    zone = int(str(sockaddr[3])) if len(sockaddr) == 4 else 0
    family = socket.AF_INET6 if len(sockaddr) == 4 else socket.AF_INET
    return address_of(socket.inet_pton(family, host), port, zone=zone)


def _now_ns() -> int:
    return round(trio.current_time() * SECOND)
