"""Streams of bytes as they are, between two peers and with somebody who breaks every habit."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.errors import LimitError, LocalError, OverlayError, Refused, TimedOut
from overlay.limits import (
    DIAL_S,
    FIRST_WINDOW,
    HANDSHAKE_S,
    MAX_INCOMING_PLAIN,
    MAX_INCOMING_STREAMS,
    MAX_PLAIN_DIALS,
    MAX_PLAIN_PER_ADDRESS,
    MAX_STREAM_MESSAGE,
    PLAIN_IDLE_S,
    PROBE_S,
    STALLED_S,
    STREAM_WINDOW,
    UNSENT_HIGH,
    UNSENT_LOW,
)
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import StreamClose, StreamEnd, StreamGrant, StreamOpen, StreamSend, StreamTakes
from overlay.streams import End, Plain, StreamEnded
from tests.support.stream_world import StreamsOnly, World, address
from tests.support.toy_streams import ToyStreams

FIRST = b"\x13"
NOTHING = {"open": 0, "incoming": 0, "dials": 0}


class Bytes(StreamsOnly):
    """Takes what begins with FIRST into `got`."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.got: list[Plain] = []
        self.streams.plains.serve(FIRST, "app", self.got.append)


def world_of(n: int = 2, **others: Any) -> World:
    """0 and 1 take plain streams; others by their index."""
    cores = {int(name[1:]): core for name, core in others.items()}
    return World(n, make=lambda index: cores.get(index) or Bytes(index))


def opened(world: World, *, to: Address | None = None, seconds: float = 1) -> Plain:
    plains = world.peers[0].streams.plains
    return world.await_(0, plains.open(to or address(1), "app"), seconds=seconds)


def pair(world: World) -> tuple[Plain, Plain]:
    """0 has said the first byte, and 1 has read it."""
    a = opened(world)
    world.await_(0, a.send(FIRST), seconds=0.1)
    b: Plain = world.peers[1].got[-1]
    assert world.await_(1, b.read(1), seconds=0) == FIRST
    return a, b


def with_toy(*, said: bytes = FIRST) -> tuple[World, ToyStreams, Plain]:
    """A toy, which grants nothing by itself, has opened a stream to a peer, where it is the last one."""
    toy = ToyStreams()
    world = World(make=lambda index: Bytes(index) if index else toy)
    tell(world, StreamOpen(2, address(1)))
    world.run(0.1)
    tell(world, StreamSend(2, said))
    world.run(0.1)
    return world, toy, world.peers[1].got[-1]


def tell(world: World, effect: Any) -> None:
    world.engine.command(0, "do", {"effect": effect}, lambda _: None)


def ended(world: World, node: int, stream: Plain) -> StreamEnded:
    with pytest.raises(StreamEnded) as caught:
        world.await_(node, stream.read(1), seconds=0.1)
    return caught.value


def nothing_is_left(world: World) -> None:
    for peer in world.peers.values():
        if isinstance(peer, StreamsOnly):
            assert peer.streams.plains.figures() == NOTHING
            assert peer.streams.figures()["pipes"] == 0
            assert peer.loop.next_deadline() is None
            assert peer.streams.plains._places._by_peer == peer.streams.plains._places._by_place == {}


# --- bytes ---


def test_bytes_go_both_ways() -> None:
    world = world_of()
    a, b = pair(world)
    assert (a.address, a.incoming, b.address, b.incoming) == (address(1), False, address(0), True)
    world.await_(0, a.send(b"there"))
    world.await_(1, b.send(memoryview(b"and back")))
    assert world.await_(1, b.read(5)) == b"there"
    assert world.await_(0, a.read_some(100)) == b"and back"
    assert (a.sent, a.received, b.sent, b.received) == (6, 8, 8, 6)


def test_every_byte_is_there_the_first_one_too() -> None:
    world = world_of()
    a = opened(world)
    world.await_(0, a.send(FIRST + b"BitTorrent protocol"))
    assert world.await_(1, world.peers[1].got[0].read(20)) == FIRST + b"BitTorrent protocol"


def test_an_exact_read_waits_for_all_of_it() -> None:
    world = world_of()
    a, b = pair(world)
    reading = world.spawn(1, b.read(10))
    world.await_(0, a.send(b"12345"), seconds=0.1)
    assert not reading.done
    world.await_(0, a.send(b"67890abc"), seconds=0.1)
    assert reading.result() == b"1234567890"
    assert world.await_(1, b.read_some(2)) == b"ab"
    assert world.await_(1, b.read_some(2)) == b"c"


def test_a_read_that_is_cancelled_has_taken_nothing() -> None:
    world = world_of()
    a, b = pair(world)
    for read in (b.read(9), b.read_frame(100)):
        reading = world.spawn(1, read)
        if not b.unread:
            world.await_(0, a.send(b"\0\0\0\5abc"), seconds=0.1)
        world.do(1, reading.cancel)
        assert b.unread == 7
    world.await_(0, a.send(b"de"), seconds=0.1)
    assert world.await_(1, b.read_frame(100)) == b"abcde"


def test_frames_are_read_whole_and_empty_ones_are_frames() -> None:
    world = world_of()
    a, b = pair(world)
    world.await_(0, a.send(b"\0\0\0\0" + b"\0\0\0\3abc\0\0\0\1x"))
    assert [world.await_(1, b.read_frame(3)) for _ in range(3)] == [b"", b"abc", b"x"]
    assert b.received == 1 + 16


def test_a_frame_that_is_too_long_ends_the_stream_at_once() -> None:
    world = world_of()
    a, b = pair(world)
    world.await_(0, a.send(b"\0\0\0\3abc" + b"\0\4\0\1"))
    assert world.await_(1, b.read_frame(1 << 18)) == b"abc"
    with pytest.raises(StreamEnded, match="262145 bytes, where 262144"):
        world.await_(1, b.read_frame(1 << 18))
    world.run(1)
    assert a.ended is not None
    assert a.ended.end is StreamEnd.CLOSED
    nothing_is_left(world)


def test_more_than_a_message_is_neither_read_nor_sent_at_once() -> None:
    world = world_of()
    a, _ = pair(world)
    with pytest.raises(LocalError, match="at most"):
        world.await_(0, a.read(MAX_STREAM_MESSAGE + 1))
    with pytest.raises(LocalError, match="at most"):
        world.await_(0, a.send(bytes(MAX_STREAM_MESSAGE + 1)))


def test_many_bytes_arrive_in_order_and_get_the_large_window() -> None:
    world = world_of()
    a, b = pair(world)
    blocks = [number.to_bytes(4, "big") * 4096 for number in range(1, 500)]

    async def say() -> None:
        for block in blocks:
            await a.send(block)
        a.close()

    async def hear() -> bool:
        return [await b.read(16_384) for _ in blocks] == blocks

    world.spawn(0, say())
    assert world.await_(1, hear(), seconds=20)
    assert b._window.size == STREAM_WINDOW
    assert ended(world, 1, b).end is StreamEnd.CLOSED
    nothing_is_left(world)


# --- who opens what ---


def test_one_that_nobody_takes_is_closed() -> None:
    world = world_of(n1=StreamsOnly(1))
    a = opened(world)
    world.await_(0, a.send(FIRST))
    world.run(1)
    assert ended(world, 0, a).end is StreamEnd.CLOSED
    assert world.peers[1].counters == {"streams: bad handshake": 1}
    nothing_is_left(world)


def test_sealed_ones_and_plain_ones_come_to_one_port() -> None:
    world = world_of()
    _, plain = pair(world)
    stream = world.open()
    assert stream.ended is None
    assert plain.ended is None
    assert world.peers[1].streams.figures()["streams"] == 1
    assert world.peers[1].streams.plains.figures() == {"open": 1, "incoming": 1, "dials": 0}


def test_one_byte_has_one_taker_and_ours_is_not_to_be_had() -> None:
    plains = Bytes(0).streams.plains
    for first in (b"", b"\x13\x14", b"\xd2"):
        with pytest.raises(LocalError, match="told apart by one byte"):
            plains.serve(first, "app", print)
    with pytest.raises(LocalError, match="by somebody already"):
        plains.serve(FIRST, "other", print)


def test_the_shell_is_told_what_is_taken() -> None:
    peer = Bytes(0)
    peer.streams.plains.serve(b"\x05", "other", print)
    peer.streams.plains.end("nobody", "")
    peer.streams.plains.end("app", "it ended")
    assert peer.outbox() == [StreamTakes(FIRST), StreamTakes(b"\x05\x13"), StreamTakes(b"\x05")]


def test_what_an_application_opened_and_took_ends_with_it() -> None:
    world = world_of()
    a, b = pair(world)
    world.do(0, lambda: world.peers[0].streams.plains.end("other", ""))
    assert a.ended is None
    world.do(0, lambda: world.peers[0].streams.plains.end("app", "it ended"))
    assert (str(a.ended), a.ended and a.ended.here) == ("it ended", True)
    assert ended(world, 1, b).end is StreamEnd.CLOSED
    nothing_is_left(world)


@pytest.mark.parametrize("to", ["20.0.0.2:1023", "20.0.0.2:25", "224.0.0.1:6881", "0.0.0.0:6881", "[fe80::1]:6881"])
def test_nobody_is_made_to_dial_services_of_others(to: str) -> None:
    world = world_of()
    with pytest.raises(LocalError, match=r"below 1024|nobody can be reached"):
        opened(world, to=parse_address(to))
    nothing_is_left(world)


class NoStreams(ToyStreams):
    handle_stream = None  # type: ignore[assignment]


def test_nobody_there_no_way_and_ourselves() -> None:
    world = world_of(n1=NoStreams())
    for to, kind, told in (
        (address(1), Refused, "nobody takes streams at"), (address(0), Refused, "nobody takes streams at"),
        (address(77), TimedOut, "does not answer"),
    ):  # fmt: skip
        with pytest.raises(kind, match=told):
            opened(world, to=to, seconds=DIAL_S + 1)
        nothing_is_left(world)


def test_dials_are_bounded_and_those_that_are_given_up_leave_nothing() -> None:
    world = world_of()
    tasks = [world.spawn(0, world.peers[0].streams.plains.open(address(70), "app")) for _ in range(MAX_PLAIN_DIALS)]
    with pytest.raises(LimitError):
        opened(world)
    for task in tasks:
        world.do(0, task.cancel)
    world.run(1)
    nothing_is_left(world)
    assert opened(world).ended is None


def test_one_address_has_a_bounded_number_both_ways() -> None:
    world = world_of(3)
    for _ in range(MAX_PLAIN_PER_ADDRESS):
        pair(world)
    with pytest.raises(LimitError, match=f"{MAX_PLAIN_PER_ADDRESS} streams with that peer"):
        opened(world)
    world.peers[0].streams.plains._places._by_peer.clear()  # whoever keeps no count is closed by the other side
    late = opened(world)
    world.await_(0, late.send(FIRST))
    assert ended(world, 0, late).end is StreamEnd.CLOSED
    assert world.peers[1].counters["streams: no room"] == 1
    there = world.await_(2, world.peers[2].streams.plains.open(address(1), "app"), seconds=1)
    world.await_(2, there.send(FIRST))
    assert len(world.peers[1].got) == MAX_PLAIN_PER_ADDRESS + 1


# --- neither kind keeps the other out ---


def test_all_plain_places_taken_keep_no_sealed_stream_out() -> None:
    world = world_of()
    world.peers[1].streams.plains._places.incoming = MAX_INCOMING_PLAIN
    late = opened(world)
    world.await_(0, late.send(FIRST))
    assert ended(world, 0, late).end is StreamEnd.CLOSED
    assert world.open().ended is None


def test_all_sealed_places_taken_keep_no_plain_stream_out() -> None:
    world = world_of()
    world.peers[1].streams._sessions.incoming = MAX_INCOMING_STREAMS
    _, b = pair(world)
    assert b.ended is None
    with pytest.raises(OverlayError, match="handshake"):
        world.open()
    assert world.peers[1].counters["streams: no room"] == 1


# --- who breaks every habit ---


def test_who_says_nothing_is_given_five_seconds() -> None:
    world = World(make=lambda index: Bytes(index) if index else ToyStreams())
    tell(world, StreamOpen(2, address(1)))
    world.run(HANDSHAKE_S + 0.1)
    assert world.peers[0].ended == {2: StreamEnd.CLOSED}
    nothing_is_left(world)


@pytest.mark.parametrize("idle_s", [10, PLAIN_IDLE_S])
def test_who_falls_silent_is_given_what_the_protocol_says(idle_s: int) -> None:
    world, toy, stream = with_toy()
    assert stream.idle_s == PLAIN_IDLE_S
    stream.idle_s = idle_s
    world.run(idle_s - 1)
    assert stream.ended is None
    tell(world, StreamSend(2, b"still here"))
    world.run(idle_s - 1)
    assert stream.ended is None
    world.run(PROBE_S)
    assert (stream.ended and stream.ended.end, toy.ended) == (End.SILENT, {2: StreamEnd.CLOSED})
    assert world.await_(1, stream.read(11)) == FIRST + b"still here"
    ended(world, 1, stream)
    nothing_is_left(world)


def test_whose_bytes_nobody_reads_is_not_silent() -> None:
    """It cannot say more: the window is full."""
    world, _, stream = with_toy(said=FIRST + bytes(FIRST_WINDOW + 9))
    world.run(2 * PLAIN_IDLE_S)
    assert stream.ended is None
    assert stream.unread == FIRST_WINDOW
    assert world.await_(1, stream.read(MAX_STREAM_MESSAGE))[:1] == FIRST


def test_who_dribbles_is_read_byte_by_byte() -> None:
    world, _, stream = with_toy()
    reading = world.spawn(1, stream.read(20))
    for _ in range(19):
        assert not reading.done
        tell(world, StreamSend(2, b"x"))
        world.run(100)
    assert reading.result() == FIRST + b"x" * 19


def test_who_reads_nothing_holds_a_megabyte_and_loses_the_stream() -> None:
    world, toy, stream = with_toy()
    stream.idle_s = 10_000

    async def pour() -> None:
        while True:
            await stream.send(bytes(100_000))

    task = world.spawn(1, pour())
    world.run(1)
    assert not task.done
    assert UNSENT_HIGH <= stream.unsent < UNSENT_HIGH + 100_000
    tell(world, StreamGrant(2, 600_000))  # it takes some: the other side goes on
    world.run(1)
    tell(world, StreamGrant(2, 600_000))
    world.run(1)
    assert stream.unsent > UNSENT_LOW
    assert stream.sent >= 1_200_000 + UNSENT_LOW
    world.run(STALLED_S + PROBE_S)
    assert stream.ended is not None
    assert stream.ended.end is End.STALLED
    with pytest.raises(StreamEnded):
        task.result()
    assert len(toy.given[2]) == 1_200_000
    nothing_is_left(world)


def test_what_was_sent_before_a_close_arrives() -> None:
    world, toy, stream = with_toy()
    world.await_(1, stream.send(b"the last " * 20_000))
    world.do(1, stream.close)
    world.do(1, lambda: stream.close("again: nothing"))
    nothing_is_left(world)
    tell(world, StreamGrant(2, 1 << 20))
    world.run(2)
    assert toy.given[2] == b"the last " * 20_000
    assert toy.ended == {2: StreamEnd.CLOSED}
    with pytest.raises(StreamEnded, match="this side has closed"):
        world.await_(1, stream.send(b"too late"))


def test_what_came_before_the_end_is_read_and_a_part_is_not_a_whole() -> None:
    world, _, stream = with_toy(said=FIRST + b"12345")
    reading = world.spawn(1, stream.read(7))
    tell(world, StreamClose(2))
    world.run(1)
    with pytest.raises(StreamEnded) as caught:
        reading.result()
    assert (caught.value.end, caught.value.here, caught.value.clean) == (StreamEnd.CLOSED, False, False)
    assert world.await_(1, stream.read(6)) == FIRST + b"12345"
    ended(world, 1, stream)
    nothing_is_left(world)


@pytest.mark.parametrize(("power_loss", "reason"), [(False, StreamEnd.RESET), (True, StreamEnd.TIMED_OUT)])
def test_who_dies_amid_a_message_ends_its_stream(power_loss: bool, reason: StreamEnd) -> None:
    world = world_of()
    a, b = pair(world)
    reading = world.spawn(1, b.read(100))
    world.await_(0, a.send(b"half"), seconds=0.1)
    world.engine.kill(0, power_loss=power_loss)
    world.run(60)
    assert b.ended is not None
    assert b.ended.end is reason
    with pytest.raises(StreamEnded):
        reading.result()
    assert world.peers[1].streams.plains.figures() == NOTHING
