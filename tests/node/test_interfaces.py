"""Addresses of this machine, and how changes of them are heard."""

from __future__ import annotations

import socket

import ifaddr
import pytest
import trio
import trio.testing

from overlay.runtime.address import parse_address
from overlay.runtime.ports import Interface
from p2pnode.transport import interfaces
from p2pnode.transport.interfaces import interfaces_of, list_interfaces, watch_interfaces

LOOPBACK = Interface(b"\x7f\0\0\1", 8, 1)
LINK_LOCAL = parse_address("[fe80::5]:0").ip


def adapter(name: str, index: int, *ips: tuple[str, int]) -> ifaddr.Adapter:
    made = [ifaddr.IP((ip, 0, index) if ":" in ip else ip, prefix, name) for ip, prefix in ips]
    return ifaddr.Adapter(name, name, made, index=index)


ADAPTERS = [
    adapter("eth0", 2, ("fe80::5%eth0", 64), ("192.168.1.7", 24)),
    adapter("eth1", 3, ("10.0.0.1", 8)),
    adapter("lo", 1, ("127.0.0.1", 8)),
]


def test_the_order_is_fixed_and_the_index_is_the_zone() -> None:
    found = interfaces_of(ADAPTERS, running={})
    assert found == interfaces_of(ADAPTERS[::-1], running={})
    assert found == (
        Interface(b"\x0a\0\0\1", 8, 3), LOOPBACK, Interface(b"\xc0\xa8\1\7", 24, 2), Interface(LINK_LOCAL, 64, 2),
    )  # fmt: skip


def test_a_link_without_carrier_has_no_addresses() -> None:
    assert interfaces_of(ADAPTERS, running={"eth0": False, "eth1": False, "lo": True}) == (LOOPBACK,)


def test_an_address_that_is_still_being_checked_is_not_there_yet() -> None:
    found = interfaces_of(ADAPTERS, running={}, unsettled=frozenset({LINK_LOCAL}))
    assert LINK_LOCAL not in [interface.ip for interface in found]


def test_this_machine_has_a_loopback() -> None:
    assert b"\x7f\0\0\1" in [interface.ip for interface in list_interfaces()]


async def test_changes_are_heard_by_event_and_told_once(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    now: list[tuple[Interface, ...]] = [(LOOPBACK,)]
    heard: list[tuple[Interface, ...]] = []
    monkeypatch.setattr(interfaces, "_open_netlink", lambda: ours)
    monkeypatch.setattr(interfaces, "list_interfaces", lambda: now[0])
    with kernels:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch_interfaces, heard.append)
            assert heard == [(LOOPBACK,)]

            kernels.send(b"something else happened")
            await trio.sleep(1)
            assert len(heard) == 1

            now[0] = ()
            for _ in range(5):  # a burst
                kernels.send(b"link down")
            await trio.sleep(interfaces.DEBOUNCE_S + 0.1)
            assert heard == [(LOOPBACK,), ()]
            nursery.cancel_scope.cancel()


async def test_without_netlink_the_list_is_polled(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    now: list[tuple[Interface, ...]] = [(LOOPBACK,)]
    heard: list[tuple[Interface, ...]] = []
    monkeypatch.setattr(interfaces, "_open_netlink", lambda: None)
    monkeypatch.setattr(interfaces, "list_interfaces", lambda: now[0])
    async with trio.open_nursery() as nursery:
        await nursery.start(watch_interfaces, heard.append)
        now[0] = ()
        await trio.sleep(interfaces.POLL_S + 0.1)
        assert heard == [(LOOPBACK,), ()]
        nursery.cancel_scope.cancel()


async def test_a_list_that_cannot_be_read_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    answers: list[tuple[Interface, ...] | OSError] = [(LOOPBACK,), OSError(12, "Cannot allocate memory"), ()]
    heard: list[tuple[Interface, ...]] = []

    def listed() -> tuple[Interface, ...]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(interfaces, "_open_netlink", lambda: None)
    monkeypatch.setattr(interfaces, "list_interfaces", listed)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch_interfaces, heard.append)
        await trio.sleep(interfaces.POLL_S + 0.1)
        assert heard == [(LOOPBACK,)]
        await trio.sleep(interfaces.POLL_S)
        assert heard == [(LOOPBACK,), ()]
        nursery.cancel_scope.cancel()
