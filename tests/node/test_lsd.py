"""Local service discovery over real multicast on loopback, at a port of the kernel's choice. tests/lan has hosts."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from apps.files.core.limits import LSD_EVERY_S, LSD_FOUND_AGAIN_S
from apps.files.core.lsd import GROUPS, Search, encode_search
from apps.files.shell import lsd
from apps.files.shell.limits import LSD_HEARD_PER_S, LSD_ROUND_S
from overlay.runtime.address import Address
from overlay.runtime.ports import Interface

LOOPBACK = Interface(bytes((127, 0, 0, 1)), 8, socket.if_nametoindex("lo"))
HASH, OTHER = bytes(range(20)), bytes(range(1, 21))


@pytest.fixture(autouse=True)
def group(monkeypatch: pytest.MonkeyPatch) -> Address:
    """The group of IPv4 at a port that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        group = attrs.evolve(GROUPS[0], port=sock.getsockname()[1])
    monkeypatch.setattr(lsd, "GROUPS", (group, GROUPS[1]))
    return group


@attrs.define(eq=False)
class Part:
    """One that takes part."""

    port: int
    shared: list[bytes]
    interfaces: list[Interface] = attrs.Factory(lambda: [LOOPBACK])
    found: list[tuple[bytes, str]] = attrs.Factory(list)
    news: trio.Event = attrs.Factory(trio.Event)
    failing: bool = False

    async def shares(self) -> Sequence[bytes]:
        if self.failing:
            raise ZeroDivisionError("a bug")
        return self.shared

    async def on_found(self, one: bytes, address: Address) -> None:
        self.found.append((one, str(address)))
        news, self.news = self.news, trio.Event()
        news.set()
        if self.failing:
            raise ZeroDivisionError("a bug")

    async def until(self, count: int) -> None:
        while len(self.found) < count:
            await self.news.wait()


@asynccontextmanager
async def taking_part(*parts: Part) -> AsyncIterator[None]:
    """Each begins once the one before has announced."""
    async with trio.open_nursery() as nursery:
        for part in parts:
            serve = partial(lsd.serve, part.shares, part.port, part.on_found)
            nursery.start_soon(partial(serve, interfaces=part.interfaces.copy))
            await trio.testing.wait_all_tasks_blocked(0.01)
        yield
        nursery.cancel_scope.cancel()


def say(group: Address, *datagrams: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, LOOPBACK.ip)
        for datagram in datagrams:
            sock.sendto(datagram, (socket.inet_ntoa(group.ip), group.port))


async def test_who_comes_later_is_found_and_the_others_at_the_next_announce(
    mock_clock: trio.testing.MockClock,
) -> None:
    a, b, c = Part(7001, [OTHER, HASH]), Part(7002, [HASH]), Part(7003, [bytes(20)])
    async with taking_part(a, b, c):
        await a.until(1)
        assert (a.found, b.found) == ([(HASH, "127.0.0.1:7002")], [])
        mock_clock.jump(LSD_EVERY_S + LSD_ROUND_S)
        await b.until(1)
        assert (b.found, c.found) == ([(HASH, "127.0.0.1:7001")], [])


async def test_what_a_stranger_says_ends_nothing(group: Address, mock_clock: trio.testing.MockClock) -> None:
    a = Part(7001, [HASH])
    good = encode_search(Search(7009, (HASH,)), group)
    async with taking_part(a):
        say(group, b"", b"\xff" * 2_000, good[:-9], good.replace(b"7009", b"22"), good)
        await a.until(1)
        a.failing = True
        mock_clock.jump(LSD_FOUND_AGAIN_S)
        say(group, good)
        await a.until(2)
        assert a.found == [(HASH, "127.0.0.1:7009")] * 2


async def test_a_flood_is_left_to_the_kernel_for_the_rest_of_its_second(
    group: Address, mock_clock: trio.testing.MockClock
) -> None:
    a = Part(7001, [HASH])
    async with taking_part(a):
        say(group, *[b"junk"] * LSD_HEARD_PER_S, encode_search(Search(7009, (HASH,)), group))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert a.found == []
        mock_clock.jump(1)
        await a.until(1)


async def test_a_failure_of_the_node_is_told_and_the_next_round_comes(
    mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = Part(7001, [HASH]), Part(7002, [HASH])
    a.failing = True
    async with taking_part(b, a):
        with caplog.at_level(logging.ERROR):
            assert "could not announce" in caplog.text
        a.failing = False
        mock_clock.jump(LSD_ROUND_S)
        await b.until(1)


async def test_an_interface_that_goes_is_let_go_and_one_that_comes_is_used(mock_clock: trio.testing.MockClock) -> None:
    a, b = Part(7001, [HASH]), Part(7002, [HASH], interfaces=[])
    async with taking_part(a, b):
        assert a.found == []
        b.interfaces.append(LOOPBACK)
        mock_clock.jump(LSD_ROUND_S)
        await a.until(1)
        b.interfaces.clear()
        mock_clock.jump(LSD_EVERY_S + LSD_ROUND_S)  # nobody announces for it any more
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert a.found == [(HASH, "127.0.0.1:7002")]


async def test_where_multicast_is_not_to_be_had_it_is_said_once(
    mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    a = Part(7001, [HASH], interfaces=[Interface(bytes((127, 0, 0, 1)), 8, 1 << 30)])
    with caplog.at_level(logging.INFO, logger=lsd.__name__):
        async with taking_part(a):
            for _ in range(3):
                mock_clock.jump(LSD_ROUND_S)
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert caplog.text.count("no local service discovery at interface") == 1
