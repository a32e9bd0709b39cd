"""Which addresses this machine has, now and whenever that changes.

A cable that is pulled, a Wi-Fi that is joined, a lease that moves: the peer must know at once,
because the scope of an address and the LAN announcement follow from it. Linux tells through a
netlink socket (rtnetlink(7)); elsewhere the list is compared every few seconds.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import ifaddr
import trio

from overlay.runtime.ports import Interface

log = logging.getLogger(__name__)

#: RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, linux/rtnetlink.h.
_GROUPS = 0x1 | 0x10 | 0x100
#: One change comes as a burst: link down, addresses gone, link up, address tentative, address valid.
DEBOUNCE_S = 0.2
POLL_S = 5.0
#: With netlink at hand, in case that an event was lost.
POLL_WITH_NETLINK_S = 60.0

_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_UP, _IFF_RUNNING = 0x1, 0x40  # netdevice(7): RUNNING is false when the cable is out
_IF_INET6 = Path("/proc/net/if_inet6")
_DADFAILED, _TENTATIVE = 0x08, 0x40  # linux/if_addr.h


def list_interfaces() -> tuple[Interface, ...]:
    """Usable addresses in a fixed order: the link is up and the address is settled."""
    adapters = list(ifaddr.get_adapters())
    return interfaces_of(adapters, running=_running([adapter.name for adapter in adapters]), unsettled=_unsettled())


def interfaces_of(
    adapters: Iterable[ifaddr.Adapter], *, running: Mapping[str, bool], unsettled: frozenset[bytes] = frozenset()
) -> tuple[Interface, ...]:
    """What `list_interfaces` makes of what the system says; adapters not in `running` count as up."""
    found = []
    for adapter in adapters:
        if not running.get(adapter.name, True):
            continue
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            packed = ipaddress.ip_address(text.partition("%")[0]).packed
            if packed not in unsettled:
                found.append(Interface(packed, ip.network_prefix, adapter.index or 0))
    return tuple(sorted(found, key=lambda interface: (len(interface.ip), interface.ip, interface.zone)))


def _running(names: Iterable[str]) -> dict[str, bool]:
    if sys.platform != "linux":
        return {}
    import fcntl  # not on every platform

    flags_of: dict[str, bool] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for name in names:
            request = struct.pack("16sh22x", name.encode()[:15], 0)  # struct ifreq
            with contextlib.suppress(OSError):  # the interface may be gone by now
                (flags,) = struct.unpack_from("16xh", fcntl.ioctl(sock, _SIOCGIFFLAGS, request))
                flags_of[name] = flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING
    return flags_of


def _unsettled() -> frozenset[bytes]:
    """IPv6 addresses that still wait for duplicate address detection (RFC 4862 5.4) or failed it."""
    try:
        rows = [line.split() for line in _IF_INET6.read_text().splitlines()]
    except OSError:
        return frozenset()
    return frozenset(bytes.fromhex(row[0]) for row in rows if int(row[4], 16) & (_DADFAILED | _TENTATIVE))


async def watch_interfaces(
    changed: Callable[[tuple[Interface, ...]], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `changed` with the whole list at once and after every change, until cancelled."""
    netlink = _open_netlink()  # before the first list, so that no change falls between
    with netlink or contextlib.nullcontext():
        known = _list_or(())
        changed(known)
        task_status.started()
        while True:
            await _wait_for_change(netlink)
            listed = _list_or(known)
            if listed != known:
                known = listed
                changed(known)


def _list_or(known: tuple[Interface, ...]) -> tuple[Interface, ...]:
    try:
        return list_interfaces()
    except OSError as error:  # getifaddrs may fail while interfaces come and go
        log.warning("cannot list the interfaces: %s", error)
        return known


async def _wait_for_change(netlink: socket.socket | None) -> None:
    if netlink is None:
        await trio.sleep(POLL_S)
        return
    with trio.move_on_after(POLL_WITH_NETLINK_S):
        await trio.lowlevel.wait_readable(netlink)
        await trio.sleep(DEBOUNCE_S)
    _drain(netlink)


def _drain(netlink: socket.socket) -> None:
    """What the events say does not matter, only that there were some: the list is read anew."""
    while True:
        try:
            netlink.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # events were lost, which the new list makes good
                log.warning("netlink: %s", error)
                return


def _open_netlink() -> socket.socket | None:
    if sys.platform != "linux":
        return None
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    except OSError as error:
        log.info("no netlink (%s): the interfaces are listed every %g s", error, POLL_S)
        return None
    try:
        sock.setblocking(False)
        sock.bind((0, _GROUPS))
    except OSError as error:
        sock.close()
        log.info("no netlink (%s): the interfaces are listed every %g s", error, POLL_S)
        return None
    return sock
