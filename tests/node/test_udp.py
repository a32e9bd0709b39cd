"""Datagrams over real sockets on loopback: nothing ends the loop, every loss has a name."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from overlay import limits
from overlay.runtime.address import Address, parse_address
from p2pnode.transport.binding import CannotListen, PortTaken
from p2pnode.transport.udp import DATAGRAMS_BEFORE_TIMER, DATAGRAMS_PER_TURN, Udp, open_udp

V4, V6 = parse_address("127.0.0.1:0"), parse_address("[::1]:0")


class Inbox:
    """What a Udp delivered; `turns` says how many datagrams each turn had."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[Address, bytes]] = []
        self.turns: list[int] = []
        self._in_turn = 0
        self._news = trio.Event()

    def received(self, source: Address, data: bytes) -> None:
        self.datagrams.append((source, data))
        self._in_turn += 1

    def turn_done(self) -> None:
        self.turns.append(self._in_turn)
        self._in_turn = 0
        self._news.set()
        self._news = trio.Event()

    async def wait_for(self, count: int) -> None:
        with trio.fail_after(5):
            while len(self.datagrams) < count:
                await self._news.wait()


@asynccontextmanager
async def serving(udp: Udp) -> AsyncIterator[Inbox]:
    inbox = Inbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(udp.serve, inbox.received, inbox.turn_done)
        yield inbox
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("where", [V4, V6], ids=["v4", "v6"])
async def test_datagrams_come_with_the_address_that_answers_reach(where: Address) -> None:
    with open_udp([where]) as a, open_udp([where]) as b:
        async with serving(a) as at_a, serving(b) as at_b:
            a.send(b.listen[0], b"question")
            await at_b.wait_for(1)
            source, data = at_b.datagrams[0]
            assert (source, data) == (a.listen[0], b"question")
            b.send(source, b"answer")
            await at_a.wait_for(1)
            assert at_a.datagrams == [(b.listen[0], b"answer")]
        assert (a.sent, a.received) == (1, 1)


async def test_one_port_is_picked_for_both_families() -> None:
    with open_udp([parse_address("0.0.0.0:0"), parse_address("[::]:0")]) as udp:
        v4, v6 = udp.listen
        assert (v4.is_v4, v6.is_v4) == (True, False)
        assert v4.port == v6.port != 0
        async with serving(udp) as inbox:
            with open_udp([V4]) as a, open_udp([V6]) as b:
                a.send(Address(V4.ip, v4.port), b"4")
                b.send(Address(V6.ip, v6.port), b"6")
                await inbox.wait_for(2)
                assert {(source, data) for source, data in inbox.datagrams} == {
                    (a.listen[0], b"4"),
                    (b.listen[0], b"6"),
                }


async def test_a_turn_is_bounded() -> None:
    with open_udp([V4]) as a, open_udp([V4]) as b:
        for n in range(DATAGRAMS_PER_TURN + 1):
            a.send(b.listen[0], bytes([n]))
        async with serving(b) as inbox:
            await inbox.wait_for(DATAGRAMS_PER_TURN + 1)
            assert inbox.turns == [DATAGRAMS_PER_TURN, 1]


async def test_what_is_there_can_be_taken_at_once() -> None:
    with open_udp([V4]) as a, open_udp([V4]) as b:
        for n in range(DATAGRAMS_BEFORE_TIMER + 1):
            a.send(b.listen[0], bytes([n]))
        taken: list[bytes] = []
        b.take(lambda _, data: taken.append(data))
        assert taken == [bytes([n]) for n in range(DATAGRAMS_BEFORE_TIMER)]
        b.take(lambda _, data: taken.append(data))
        b.take(lambda _, data: taken.append(data))
        assert len(taken) == DATAGRAMS_BEFORE_TIMER + 1


async def test_what_is_too_long_is_dropped_and_counted() -> None:
    with open_udp([V4]) as a, open_udp([V4]) as b:
        async with serving(b) as inbox:
            a.send(b.listen[0], bytes(limits.MAX_DATAGRAM + 1))
            a.send(b.listen[0], bytes(limits.MAX_DATAGRAM))
            await inbox.wait_for(1)
            assert [len(data) for _, data in inbox.datagrams] == [limits.MAX_DATAGRAM]
            assert b.counters()["udp_oversize"] == 1


async def test_losses_have_names() -> None:
    with open_udp([V4]) as udp:
        udp.send(V6, b"x")
        udp.send(Address(V4.ip, 9), bytes(70_000))
        udp.send(parse_address("255.255.255.255:9"), b"x")
        assert udp.counters() == {
            "udp_received": 0,
            "udp_sent": 0,
            "udp_send_eacces": 1,
            "udp_send_emsgsize": 1,
            "udp_send_no_family": 1,
        }


async def test_a_full_buffer_is_a_loss() -> None:
    with open_udp([V4]) as udp:
        assert udp._v4 is not None
        udp._v4.close()
        udp._v4 = _Full()  # type: ignore[assignment]
        udp.send(V4, b"x")
        assert udp.errors == {"send_eagain": 1}
        udp._v4 = None


class _Full:
    def sendto(self, data: bytes, to: object) -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")


async def test_errors_of_the_socket_do_not_end_the_loop(autojump_clock: trio.testing.MockClock) -> None:
    errors = [ConnectionRefusedError(111, "refused"), OSError(101, "unreachable")]

    class Erring(socket.socket):
        def recvfrom(self, *args: int) -> tuple[bytes, object]:  # type: ignore[override]
            if errors:
                raise errors.pop()
            return super().recvfrom(*args)

    erring = Erring(socket.AF_INET, socket.SOCK_DGRAM)
    erring.setblocking(False)
    erring.bind(("127.0.0.1", 0))
    with Udp(erring, None) as udp, open_udp([V4]) as other:
        async with serving(udp) as inbox:
            other.send(udp.listen[0], b"still here")
            await inbox.wait_for(1)
        assert udp.errors == {"receive_econnrefused": 1, "receive_enetunreach": 1}


async def test_a_port_in_use_is_named_with_a_way_out() -> None:
    with (
        open_udp([V4]) as udp,
        pytest.raises(PortTaken, match=r"another program (.|\n)*udp 127\.0\.0\.1:\d+(.|\n)*--listen"),
    ):
        open_udp([udp.listen[0]])


async def test_an_address_of_nobody_here_is_refused() -> None:
    with pytest.raises(CannotListen, match="no interface of this machine has"):
        open_udp([parse_address("192.0.2.77:0"), V6])


async def test_two_addresses_of_one_family_are_refused() -> None:
    with pytest.raises(CannotListen, match="one IPv4 address"):
        open_udp([V4, V4])


async def test_the_granted_buffer_is_known() -> None:
    with open_udp([V4]) as udp:
        assert udp.receive_buffer > 100_000


async def test_known_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("p2pnode.transport.udp.MAX_SOURCES_CACHED", 2)
    with open_udp([V4]) as udp:
        async with serving(udp) as inbox:
            for n in range(5):
                with open_udp([V4]) as other:
                    other.send(udp.listen[0], bytes([n]))
                    await inbox.wait_for(n + 1)
                    assert inbox.datagrams[-1] == (other.listen[0], bytes([n]))
        assert len(udp._sources) <= 2
