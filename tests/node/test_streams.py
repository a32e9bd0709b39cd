"""Streams of the core over real TCP on loopback: what arrives, how a stream ends, and who holds how many sockets."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay import limits
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import (
    StreamClose,
    StreamEnd,
    StreamGrant,
    StreamOpen,
    StreamSend,
    StreamTakes,
)
from p2pnode.driver import Driver
from p2pnode.transport import streams as streams_module
from p2pnode.transport.binding import PortTaken
from p2pnode.transport.records import OVERHEAD, Opener, Sealer
from p2pnode.transport.sockets import open_sockets
from p2pnode.transport.streams import Streams
from tests.support.stream_rig import (
    ANYWHERE,
    ONE,
    PREFACE,
    TWO,
    Rig,
    connect,
    gone,
    joined,
    keys,
    nodes,
    open_to,
    reset,
)
from tests.support.toy_peer import ToyPeer

SUITES = [None, 1, 2]
every = pytest.mark.parametrize("suite", SUITES, ids=["clear", "aesgcm", "chachapoly"])
#: More than all buffers of the kernel for one connection (tcp_wmem and tcp_rmem of Linux: 4 and 6 MiB).
FLOOD = 16 << 20


def sealed(sealer: Sealer, plain: bytes) -> bytes:
    room = memoryview(bytearray(len(plain) + OVERHEAD))
    sealer.seal(plain, room, 0)
    return bytes(room)


async def sealed_stream(rig: Rig, grant: int) -> tuple[trio.SocketStream, Sealer, Opener]:
    """Somebody with a socket and the keys of stream 1, AES-GCM."""
    other = await connect(rig)
    await rig.until(lambda: 1 in rig.core.opened)
    await rig.do(StreamGrant(1, len(PREFACE)))
    assert await rig.data(1, len(PREFACE)) == PREFACE
    rig.core.given[1].clear()
    rig.core.granted[1] = 0
    await rig.do(keys(1, 1, dialler=False), StreamGrant(1, grant))
    return other, Sealer(ONE, 1), Opener(TWO, 1)


# --- bytes ----------------------------------------------------------------------------------


@every
async def test_bytes_go_both_ways_and_all_that_is_sent_is_told(suite: int | None) -> None:
    async with nodes(2) as (a, b):
        await joined(a, b, suite)
        assert a.core.opened[2] == b.address
        assert b.core.opened[1].ip == a.address.ip
        await a.do(StreamSend(2, b"hello"), StreamGrant(2, 100))
        await b.do(StreamSend(1, b"world"), StreamGrant(1, 100))
        assert await b.data(1, 5) == b"hello"
        assert await a.data(2, 5) == b"world"
        await a.until(lambda: a.core.sent.get(2) == len(PREFACE) + 5)
        await b.until(lambda: b.core.sent.get(1) == 5)


@every
async def test_what_was_sent_before_the_keys_is_in_the_clear(suite: int | None) -> None:
    """A dialler sends its last message of the handshake, its keys and its first record at once."""
    async with nodes(2) as (a, b):
        await a.do(open_to(b), StreamSend(2, PREFACE), StreamSend(2, b"clear"))
        if suite is not None:
            await a.do(keys(2, suite, dialler=True))
        await a.do(StreamSend(2, b"sealed"), StreamClose(2))
        await b.until(lambda: 1 in b.core.opened)
        await b.do(StreamGrant(1, len(PREFACE) + 5))
        assert await b.data(1, len(PREFACE) + 5) == PREFACE + b"clear"
        if suite is not None:
            await b.do(keys(1, suite, dialler=False))
        await b.do(StreamGrant(1, 100))
        assert await b.end(1) is StreamEnd.CLOSED
        assert b.core.given[1] == PREFACE + b"clear" + b"sealed"


@every
async def test_grants_are_kept_to_the_byte(suite: int | None) -> None:
    """The toy fails if it is given more."""
    async with nodes(2) as (a, b):
        await joined(a, b, suite)
        data = os.urandom(400_000)
        await a.do(StreamSend(2, data))
        granted = 0
        for n in (1, 7, 65_519, 65_520, 3, 100_000, 65_518, 2):
            await b.do(StreamGrant(1, n))
            granted += n
            assert await b.data(1, granted) == data[:granted]
            await trio.testing.wait_all_tasks_blocked()
            assert len(b.core.given[1]) == granted


@every
async def test_a_side_that_takes_nothing_holds_the_other_back(suite: int | None) -> None:
    async with nodes(2) as (a, b):
        await joined(a, b, suite)
        await a.do(StreamSend(2, bytes(FLOOD)))
        await trio.testing.wait_all_tasks_blocked()
        assert 2 not in a.core.ended
        assert a.core.sent[2] < FLOOD
        b.core.toy.greedy = True
        await b.do(StreamGrant(1, 1 << 20))
        await b.data(1, FLOOD)
        await a.until(lambda: a.core.sent.get(2) == len(PREFACE) + FLOOD)


pieces = st.lists(st.sampled_from([1, 2, 100, 5_000, 65_518, 65_519, 65_520, 131_038, 200_000]), min_size=1, max_size=6)


@every
@settings(max_examples=15)
@given(sends=pieces, grants=pieces, together=st.booleans())
def test_the_bytes_are_the_same_however_they_are_cut(
    suite: int | None, sends: list[int], grants: list[int], together: bool
) -> None:
    data = os.urandom(sum(sends))

    async def run() -> None:
        async with nodes(2) as (a, b):
            await joined(a, b, suite)
            at = granted = 0
            if not together:
                await b.do(*(StreamGrant(1, n) for n in grants))
            for n in sends:
                await a.do(StreamSend(2, data[at : at + n]))
                at += n
            for n in grants if together else ():
                await b.do(StreamGrant(1, n))
                granted += n
                want = min(granted, len(data))
                assert await b.data(1, want) == data[:want]
            await a.do(StreamClose(2))
            await b.do(StreamGrant(1, len(data)))
            assert await b.end(1) is StreamEnd.CLOSED
            assert b.core.given[1] == data

    trio.run(run)


@settings(max_examples=15)
@given(cuts=st.lists(st.integers(1, 3_000), max_size=5, unique=True))
def test_records_arrive_however_the_network_cuts_them(cuts: list[int]) -> None:
    async def run() -> None:
        async with nodes() as (node,):
            other, sealer, _ = await sealed_stream(node, 5_000)
            data = os.urandom(2_900)
            wire = sealed(sealer, data[:1_000]) + sealed(sealer, data[1_000:1_001]) + sealed(sealer, data[1_001:])
            edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
            for begin, end in itertools.pairwise(edges):
                await other.send_all(wire[begin:end])
                await trio.testing.wait_all_tasks_blocked()
            assert await node.data(1, len(data)) == data
            await other.aclose()

    trio.run(run)


async def test_small_pieces_share_a_record() -> None:
    async with nodes() as (node,):
        other, _, opener = await sealed_stream(node, 0)
        for n in range(100):
            node.streams.perform(StreamSend(1, bytes([n]) * 10))
        wire = await other.receive_some(5_000)
        room = memoryview(bytearray(70_000))
        assert opener.take(memoryview(wire), room, 0, 5_000) == (1_000 + OVERHEAD, 1_000, False)
        assert len(wire) == 1_000 + OVERHEAD
        await other.aclose()


async def test_every_part_that_the_network_takes_is_told() -> None:
    """Else one who reads slowly looks like one who takes nothing."""
    async with nodes(2) as (a, b):
        await joined(a, b, 1)
        for rig, option in ((a, socket.SO_SNDBUF), (b, socket.SO_RCVBUF)):
            (stream,) = rig.streams._streams.values()
            stream.sock.setsockopt(socket.SOL_SOCKET, option, 32_768)
        await a.do(StreamSend(2, bytes(FLOOD)))
        told = [len(PREFACE)]
        for _ in range(10):
            await a.until(lambda: a.core.sent[2] > told[-1])
            told.append(a.core.sent[2])
            await b.do(StreamGrant(1, 1 << 16))
        assert told[-1] < 10 * (1 << 16) + (1 << 18)


# --- endings --------------------------------------------------------------------------------


@every
async def test_what_was_sent_before_a_close_arrives_though_the_reader_is_slow(suite: int | None) -> None:
    async with nodes(2) as (a, b):
        await joined(a, b, suite)
        data = os.urandom(FLOOD)
        await a.do(StreamSend(2, data), StreamClose(2))
        events = len(a.core.events)
        await trio.testing.wait_all_tasks_blocked()
        assert 1 not in b.core.ended
        assert not b.core.given[1]
        b.core.toy.greedy = True
        await b.do(StreamGrant(1, 1 << 18))
        assert await b.end(1) is StreamEnd.CLOSED
        assert b.core.given[1] == data
        await trio.testing.wait_all_tasks_blocked()
        assert len(a.core.events) == events, "an event after the close"
        assert a.streams.sockets == 0


async def test_a_close_does_not_lose_what_was_sent_though_the_other_side_goes_on_sending() -> None:
    """Linux resets a connection that is closed with bytes unread, and forgets what it had to send."""
    async with nodes(2) as (a, b):
        await joined(a, b, 1)
        data = os.urandom(1 << 20)
        await b.do(StreamSend(1, bytes(FLOOD)))
        await a.do(StreamSend(2, data), StreamClose(2))
        await b.do(StreamGrant(1, len(data)))
        assert await b.data(1, len(data)) == data
        assert await b.end(1) is StreamEnd.CLOSED


async def test_half_closed_is_closed_once_all_was_given() -> None:
    async with nodes() as (node,):
        other = await connect(node, PREFACE + b"last words")
        await other.send_eof()
        await node.until(lambda: 1 in node.core.opened)
        await trio.testing.wait_all_tasks_blocked()
        assert 1 not in node.core.ended
        await node.do(StreamGrant(1, len(PREFACE) + 10))
        assert await node.end(1) is StreamEnd.CLOSED
        assert node.core.given[1] == PREFACE + b"last words"
        assert await gone(other)
        await other.aclose()


async def test_an_end_is_seen_though_nothing_is_granted() -> None:
    async with nodes() as (node,):
        other, _, _ = await sealed_stream(node, 0)
        await other.aclose()
        assert await node.end(1) is StreamEnd.CLOSED


@pytest.mark.parametrize("grant", [0, 100])
async def test_a_reset_is_told(grant: int) -> None:
    async with nodes() as (node,):
        other, _, _ = await sealed_stream(node, grant)
        await trio.testing.wait_all_tasks_blocked()
        reset(other)
        assert await node.end(1) is StreamEnd.RESET


async def test_a_reset_is_told_to_who_is_sending() -> None:
    async with nodes() as (node,):
        other, _, _ = await sealed_stream(node, 0)
        await other.send_all(b"x")  # unread, and so reading shows nothing
        await node.do(StreamSend(1, bytes(FLOOD)))
        await trio.testing.wait_all_tasks_blocked()
        reset(other)
        assert await node.end(1) is StreamEnd.RESET


async def test_nobody_there_is_refused() -> None:
    async with nodes() as (node,):
        with open_sockets([ANYWHERE]) as free:
            to = free.listen[0]
        await node.do(StreamOpen(2, to))
        assert await node.end(2) is StreamEnd.REFUSED
        assert 2 not in node.core.opened


@pytest.mark.parametrize("to", ["[::1]:4433", "0.0.0.0:0", "255.255.255.255:9"], ids=["family", "port", "broadcast"])
async def test_an_address_that_cannot_be_dialled_ends_the_stream_and_nothing_else(to: str) -> None:
    async with nodes() as (node,):
        await node.do(StreamOpen(2, parse_address(to)), StreamSend(2, b"x"))
        assert await node.end(2) in (StreamEnd.UNREACHABLE, StreamEnd.REFUSED)


async def test_who_does_not_answer_times_out(mock_clock: trio.testing.MockClock) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        with socket.create_connection(deaf.getsockname()):  # its queue is full: Linux drops what comes
            async with nodes() as (node,):
                await node.do(StreamOpen(2, parse_address(f"127.0.0.1:{deaf.getsockname()[1]}")))
                await trio.testing.wait_all_tasks_blocked()
                assert 2 not in node.core.ended
                mock_clock.jump(limits.DIAL_S)
                assert await node.end(2) is StreamEnd.TIMED_OUT


async def test_a_stream_that_is_closed_while_it_is_dialled_is_dropped() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        with socket.create_connection(deaf.getsockname()):
            async with nodes() as (node,):
                await node.do(StreamOpen(2, parse_address(f"127.0.0.1:{deaf.getsockname()[1]}")))
                await trio.testing.wait_all_tasks_blocked()
                await node.do(StreamClose(2))
                await trio.testing.wait_all_tasks_blocked()
                assert node.streams.sockets == 0
                assert not node.core.events


async def test_a_damaged_record_ends_the_stream_after_the_good_ones() -> None:
    async with nodes() as (node,):
        other, sealer, _ = await sealed_stream(node, 1_000)
        good, bad, later = (sealed(sealer, text) for text in (b"good", b"bad", b"later"))
        await other.send_all(good + bad[:-1] + bytes([bad[-1] ^ 1]) + later)
        assert await node.end(1) is StreamEnd.DAMAGED
        assert node.core.given[1] == b"good"
        assert await gone(other)
        await other.aclose()


async def test_damage_behind_what_was_granted_is_found_with_the_next_grant() -> None:
    async with nodes() as (node,):
        other, sealer, _ = await sealed_stream(node, 4)
        await other.send_all(sealed(sealer, b"good") + sealed(sealer, b"bad")[:-1] + b"?")
        assert await node.data(1, 4) == b"good"
        await trio.testing.wait_all_tasks_blocked()
        assert 1 not in node.core.ended
        await node.do(StreamGrant(1, 1))
        assert await node.end(1) is StreamEnd.DAMAGED
        await other.aclose()


@pytest.mark.parametrize("length", [0, 16])
async def test_a_record_of_a_length_that_none_has_is_damage(length: int) -> None:
    async with nodes() as (node,):
        other, _, _ = await sealed_stream(node, 1_000)
        await other.send_all(length.to_bytes(2, "big"))
        assert await node.end(1) is StreamEnd.DAMAGED
        await other.aclose()


@pytest.mark.parametrize("kept", [1, 2, 20])
async def test_an_end_within_a_record_is_a_reset(kept: int) -> None:
    async with nodes() as (node,):
        other, sealer, _ = await sealed_stream(node, 1_000)
        await other.send_all(sealed(sealer, b"whole") + sealed(sealer, b"cut off here")[:kept])
        await other.send_eof()
        assert await node.end(1) is StreamEnd.RESET
        assert node.core.given[1] == b"whole"
        await other.aclose()


async def test_who_never_takes_the_last_bytes_is_dropped(mock_clock: trio.testing.MockClock) -> None:
    async with nodes() as (node,):
        other, _, _ = await sealed_stream(node, 0)
        await node.do(StreamSend(1, bytes(FLOOD)), StreamClose(1))
        await trio.testing.wait_all_tasks_blocked()
        assert node.streams.counters()["tcp_lingering"] == 1
        mock_clock.jump(limits.STREAM_LINGER_S)
        await trio.testing.wait_all_tasks_blocked()
        assert node.streams.sockets == 0
        assert node.streams.counters()["tcp_lingering"] == 0
        await other.aclose()


async def test_effects_for_a_stream_that_is_over_are_void() -> None:
    async with nodes() as (node,):
        other, _, _ = await sealed_stream(node, 0)
        await other.aclose()
        await node.end(1)
        await node.do(StreamSend(1, b"x"), StreamGrant(1, 1), keys(1, 1, dialler=False), StreamClose(1), StreamClose(1))
        await node.do(StreamSend(99, b"x"))


# --- who may come in ------------------------------------------------------------------------


async def living() -> int:
    await trio.testing.wait_all_tasks_blocked()
    return trio.lowlevel.current_statistics().tasks_living


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_silent_sockets_of_one_address_keep_nobody_out() -> None:
    async with nodes() as (node,):
        before = descriptors()
        silent = [await connect(node, b"") for _ in range(400)]
        good = await connect(node)
        await node.until(lambda: 1 in node.core.opened)
        await trio.testing.wait_all_tasks_blocked()
        counters = node.streams.counters()
        # The good one took the place of one more, and left it.
        assert counters["tcp_silent"] == limits.MAX_SILENT_PER_ADDRESS - 1
        assert counters["tcp_silent_sent_away"] == 401 - limits.MAX_SILENT_PER_ADDRESS
        assert descriptors() == before + 401 + limits.MAX_SILENT_PER_ADDRESS
        for stream in (*silent, good):
            await stream.aclose()


async def test_a_silent_socket_is_closed_after_a_while(mock_clock: trio.testing.MockClock) -> None:
    async with nodes() as (node,):
        silent, half = await connect(node, b""), await connect(node, PREFACE[:5])
        await trio.testing.wait_all_tasks_blocked()
        assert node.streams.counters()["tcp_silent"] == 2
        mock_clock.jump(limits.HANDSHAKE_S)
        assert await gone(silent)
        assert await gone(half)
        assert not node.core.events
        await silent.aclose()
        await half.aclose()


async def test_a_thousand_connections_leave_nothing_behind() -> None:
    async with nodes(welcome=1 << 20) as (node,):
        tasks, open_files = await living(), descriptors()
        for n in range(1_000):
            other = await connect(node, (PREFACE + b"hello", b"", b"GET /", PREFACE[:3])[n % 4])
            if n % 3:
                await other.aclose()
            else:
                reset(other)
        await node.until(lambda: len(node.core.ended) >= 250)
        assert await living() == tasks
        assert descriptors() == open_files
        assert node.streams.sockets == 0


async def test_a_first_byte_that_is_not_ours_is_closed_at_once() -> None:
    async with nodes() as (node,):
        for first in (b"\x13BitTorrent protocol", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\0"):
            other = await connect(node, first)
            assert await gone(other)
            await other.aclose()
        assert node.streams.counters()["tcp_not_ours"] == 4
        assert not node.core.events


async def test_a_first_byte_that_the_core_takes_is_a_stream_of_it_with_every_byte() -> None:
    said = b"\x13BitTorrent protocol"
    async with nodes() as (node,):
        await node.do(StreamTakes(b"\x13\x20"))
        other = await connect(node, said)
        await node.until(lambda: 1 in node.core.opened)
        assert node.core.opened[1] == parse_address(f"127.0.0.1:{other.socket.getsockname()[1]}")
        await node.do(StreamGrant(1, 100), StreamSend(1, b"welcome"))
        assert await node.data(1, len(said)) == said
        assert await other.receive_some() == b"welcome"
        await other.aclose()
        assert await node.end(1) is StreamEnd.CLOSED


async def test_what_the_core_takes_no_more_is_closed() -> None:
    async with nodes() as (node,):
        await node.do(StreamTakes(b"\x13\x20"), StreamTakes(b"\x20"))
        other = await connect(node, b"\x13BitTorrent protocol")
        assert await gone(other)
        assert not node.core.events
        await other.aclose()


async def test_pieces_in_the_clear_leave_together_and_in_order() -> None:
    async with nodes(2) as (a, b):
        await joined(a, b, None)
        pieces = [bytes([n]) * size for n, size in enumerate((5, 16_384, 1, 300_000, 16_384, 262_144, 7))]
        for piece in pieces:
            a.streams.perform(StreamSend(2, piece))
        whole = b"".join(pieces)
        await b.do(StreamGrant(1, len(whole)))
        assert await b.data(1, len(whole)) == whole
        await a.until(lambda: a.core.sent[2] == len(PREFACE) + len(whole))


async def test_a_node_that_dials_itself_finds_nobody() -> None:
    async with nodes() as (node,):
        await node.do(StreamTakes(b"\x13"), open_to(node), StreamSend(2, b"\x13"))
        assert await node.end(2) is StreamEnd.REFUSED


async def test_last_bytes_of_plain_streams_do_not_cut_those_of_sealed_ones() -> None:
    async with nodes() as (node,):
        await node.do(StreamTakes(b"\x13"))
        other, _, _ = await sealed_stream(node, 0)
        await node.do(StreamSend(1, bytes(FLOOD)), StreamClose(1))
        plain = [await connect(node, b"\x13") for _ in range(limits.MAX_LINGERING_PER_ADDRESS + 1)]
        await node.until(lambda: len(node.core.opened) == 1 + len(plain))
        for id in tuple(node.core.opened)[1:]:
            await node.do(StreamSend(id, bytes(FLOOD)), StreamClose(id))
        counters = node.streams.counters()
        assert counters["tcp_lingering"] == 1 + limits.MAX_PLAIN_LINGERING_PER_ADDRESS
        assert counters["tcp_lingering_dropped"] == len(plain) - limits.MAX_PLAIN_LINGERING_PER_ADDRESS
        assert 1 in node.streams._streams
        for stream in (other, *plain):
            await stream.aclose()


async def test_a_node_has_no_more_sockets_than_it_may() -> None:
    async with nodes() as (node,):
        node.streams.most = 3
        first = [await connect(node) for _ in range(3)]
        await node.until(lambda: len(node.core.opened) == 3)
        refused = await connect(node, b"")
        assert await gone(refused)
        await node.do(StreamOpen(2, parse_address("127.0.0.1:9")))
        assert await node.end(2) is StreamEnd.FULL
        # Who lingers makes room.
        await node.do(StreamSend(1, bytes(FLOOD)), StreamClose(1))
        await trio.testing.wait_all_tasks_blocked()
        late = await connect(node)
        await node.until(lambda: len(node.core.opened) == 4)
        assert node.streams.sockets == 3
        for stream in (*first, refused, late):
            await stream.aclose()


async def test_a_machine_without_descriptors_takes_connections_again_later(
    autojump_clock: trio.testing.MockClock,
) -> None:
    failing = _Failing(failures=3)
    async with nodes(prepare=failing.stand_before) as (node,):
        other = await connect(node)
        await node.until(lambda: 1 in node.core.opened)
        assert trio.current_time() == pytest.approx(3 * streams_module.ERROR_PAUSE_S)
        assert node.streams.counters()["tcp_accept_emfile"] == 3
        await other.aclose()


async def test_a_connection_that_is_gone_before_it_was_taken_costs_nobody_a_place(
    autojump_clock: trio.testing.MockClock,
) -> None:
    failing = _Failing(failures=0)
    async with nodes(prepare=failing.stand_before) as (node,):
        silent = await connect(node, b"")
        await trio.testing.wait_all_tasks_blocked(0.01)
        failing.fail_with(errno.ECONNABORTED, times=3)
        good = await connect(node)
        await node.until(lambda: 1 in node.core.opened)
        assert trio.current_time() == 0  # without a pause
        assert node.streams.counters()["tcp_accept_econnaborted"] == 3
        assert node.streams.counters()["tcp_silent"] == 1
        for stream in (silent, good):
            await stream.aclose()


class _Failing:
    """A listener that has no descriptor for the first connections."""

    def __init__(self, *, failures: int) -> None:
        self.fail_with(errno.EMFILE, times=failures)

    def fail_with(self, code: int, *, times: int) -> None:
        self._code, self._failures = code, times

    def stand_before(self, streams: Streams) -> None:
        ((family, self._listener),) = streams._listeners.items()
        streams._listeners[family] = self  # type: ignore[assignment]

    def accept(self) -> tuple[socket.socket, object]:
        if self._failures:
            self._failures -= 1
            raise OSError(self._code, "it failed")
        return self._listener.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self._listener, name)


async def test_a_core_without_streams_lets_nobody_in() -> None:
    with open_sockets([ANYWHERE]) as sockets:
        driver = Driver(ToyPeer(), sockets.udp, None, streams=sockets.streams)  # type: ignore[arg-type]
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            other = await trio.open_tcp_stream("127.0.0.1", sockets.listen[0].port)
            await other.send_all(PREFACE)
            assert await gone(other)
            await other.aclose()
            nursery.cancel_scope.cancel()


async def test_a_node_that_ends_closes_its_streams() -> None:
    async with nodes(2) as (a, b):
        await joined(a, b, 1)
        await b.do(StreamSend(1, bytes(FLOOD)))


# --- ports ----------------------------------------------------------------------------------


async def test_streams_and_datagrams_have_the_same_ports() -> None:
    with open_sockets([ANYWHERE, parse_address("[::1]:0")]) as sockets:
        assert sockets.udp.listen == sockets.streams.listen
        assert len({address.port for address in sockets.listen}) == 1


async def test_a_port_that_is_taken_for_streams_only_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"tcp 127.0.0.1:{port}"):
            open_sockets([parse_address(f"127.0.0.1:{port}")])


async def test_a_port_is_chosen_that_is_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel chooses for datagrams; here what it chooses first is taken for streams."""
    from p2pnode.transport import binding

    with open_sockets([ANYWHERE]) as taken:
        tries: list[int] = []
        bound = binding._bound

        def unlucky(address: Address, kind: socket.SocketKind) -> socket.socket:
            if kind is socket.SOCK_STREAM:
                tries.append(address.port)
                if len(tries) == 1:
                    return bound(taken.listen[0], kind)
            return bound(address, kind)

        monkeypatch.setattr(binding, "_bound", unlucky)
        with open_sockets([ANYWHERE]) as sockets:
            assert sockets.udp.listen == sockets.streams.listen
            assert len(tries) == 2
