"""simulations.streams with toy peers: back-pressure, sharing a line, and every way to end."""

from __future__ import annotations

import pytest

from overlay.runtime.ports import (
    MS,
    SECOND,
    StreamClose,
    StreamClosed,
    StreamData,
    StreamEnd,
    StreamGrant,
    StreamKeys,
    StreamOpen,
    StreamOpened,
    StreamSend,
    StreamSent,
)
from simulations.links import Link
from simulations.pipe import Pipe
from simulations.streams import PIECE, TIMEOUT_NS, WINDOW
from tests.support.toy_world import TRIP, World, address


def test_bytes_go_both_ways_even_before_the_yes_is_known() -> None:
    world = World(welcome=100)
    world.do(0, StreamOpen(2, address(1)))
    world.do(0, StreamKeys(2, bytes(32), bytes(32), 1))
    world.do(0, StreamSend(2, b"hello"))
    world.run(TRIP)
    world.do(1, StreamSend(1, b"world"))
    world.run(SECOND)
    assert world.peers[1].given == {1: b"hello"}
    assert world.peers[0].given == {2: b"world"}
    assert world.peers[0].events[0][1] == StreamOpened(2, address(1), False)
    assert world.peers[0].sent == {2: 5}


def test_nothing_is_given_without_a_grant_and_a_window_of_it_is_taken() -> None:
    world = World(greedy=False, welcome=0)
    world.open()
    world.do(0, StreamSend(2, bytes(2 * WINDOW)))
    world.run(SECOND)
    assert world.peers[0].sent == {2: WINDOW}
    assert world.peers[1].given == {1: b""}
    world.do(1, StreamGrant(1, 1000))
    world.run(SECOND)
    assert len(world.peers[1].given[1]) == 1000
    assert world.peers[0].sent == {2: WINDOW + 1000}


def test_a_grant_never_gives_within_the_call_that_grants() -> None:
    world = World(greedy=False, welcome=0)
    world.open()
    world.do(0, StreamSend(2, b"x"))
    world.run(SECOND)
    world.do(1, StreamGrant(1, 1))
    assert world.peers[1].given == {1: b""}
    world.run(0)
    assert world.peers[1].given == {1: b"x"}


def test_a_line_carries_so_many_bytes_a_second_and_datagrams_between_the_pieces() -> None:
    world = World(welcome=WINDOW)
    world.engine.network.set_pipes(0, up=Pipe(100_000, SECOND), down=None)
    world.open()
    began_ns = world.engine.now_ns
    world.do(0, StreamSend(2, bytes(100_000)))
    [datagram] = world.engine.network.send(0, address(1), 1000 - 28, world.engine.hosts[0].rng, now_ns=began_ns)
    assert datagram.delay_ns == (PIECE + 1000) * SECOND // 100_000 + TRIP, "after one piece, not after all"
    world.run(SECOND + 10 * MS + TRIP - 1)
    assert len(world.peers[1].given[1]) < 100_000
    world.run(1)
    assert len(world.peers[1].given[1]) == 100_000


def test_what_waits_for_the_line_keeps_its_order() -> None:
    world = World(welcome=WINDOW)
    world.engine.network.set_pipes(0, up=Pipe(1_000_000, SECOND), down=None)
    world.open()
    for letter in (b"a", b"b", b"c"):
        world.do(0, StreamSend(2, letter * 3 * PIECE))
    world.run(SECOND)
    assert world.peers[1].given == {1: b"".join(letter * 3 * PIECE for letter in (b"a", b"b", b"c"))}


def test_two_streams_share_the_line_of_who_gets_them() -> None:
    world = World(3, welcome=WINDOW)
    world.engine.network.set_pipes(1, up=None, down=Pipe(100_000, SECOND))
    for sender in (0, 2):
        world.do(sender, StreamOpen(2, address(1)))
        world.do(sender, StreamSend(2, bytes(100_000)))
    world.run(3 * TRIP + SECOND)
    assert sum(map(len, world.peers[1].given.values())) <= 100_000
    world.run(SECOND)
    assert [len(got) for got in world.peers[1].given.values()] == [100_000, 100_000]


def test_datagrams_pass_before_what_streams_have_beyond_half_of_the_queue() -> None:
    """Half a MiB waits at once, a second of a line whose queue holds 200 ms."""
    world = World(4, welcome=WINDOW)
    world.engine.network.set_pipes(1, up=None, down=Pipe(500_000, 200 * MS))
    for sender in (0, 2):
        world.do(sender, StreamOpen(2, address(1)))
        world.do(sender, StreamSend(2, bytes(WINDOW // 4)))
    world.run(3 * TRIP)
    pipe = world.engine.network.downs[1]
    assert pipe.free_ns - world.engine.now_ns > SECOND
    for _ in range(20):  # 50 ms of them
        world.engine.inject(3, address(1), bytes(1250 - 28))
    world.run(TRIP + (100 + 50) * MS - 1)
    assert world.engine.effects.delivered == 19
    world.run(1)
    assert world.engine.effects.delivered == 20
    world.do(0, StreamSend(2, b"later"))
    world.run(SECOND)
    assert pipe.free_ns > (WINDOW // 2 + 20 * 1250) * SECOND // 500_000, "streams pay for it"
    assert sorted(len(got) for got in world.peers[1].given.values()) == [WINDOW // 4, WINDOW // 4 + 5]


def test_many_streams_up_a_slow_line_lose_no_datagram_of_its_node() -> None:
    """A piece takes two seconds there, and eight streams have one each on the line."""
    world = World(10, welcome=WINDOW)
    world.engine.network.set_pipes(0, up=Pipe(8000, 500 * MS), down=None)
    for other in range(1, 9):
        world.do(0, StreamOpen(2 * other, address(other)))
        world.do(0, StreamSend(2 * other, bytes(PIECE)))
    world.run(3 * TRIP)
    now_ns, rng = world.engine.now_ns, world.engine.hosts[0].rng
    [datagram] = world.engine.network.send(0, address(9), 100, rng, now_ns=now_ns)
    assert datagram.delay_ns == 250 * MS + 128 * SECOND // 8000 + TRIP


def test_who_closes_has_what_it_sent_arrive_and_hears_no_more() -> None:
    world = World(welcome=10)
    world.open()
    world.do(0, StreamSend(2, b"the end" * 100))
    world.do(0, StreamClose(2))
    world.do(0, StreamSend(2, b"void"))
    world.do(1, StreamSend(1, b"too late"))
    world.run(SECOND)
    assert world.peers[1].given == {1: b"the end" * 100}
    assert world.peers[1].ended == {1: StreamEnd.CLOSED}
    assert world.peers[0].events[1:] == []
    assert all(host.streams == {} for host in world.engine.hosts)


@pytest.mark.parametrize("closing", [(1, 0), (0, 1), (1,)])
def test_who_closes_on_one_that_reads_no_more_is_forgotten_with_what_it_had_left(closing: tuple[int, ...]) -> None:
    """More than a window waits on either side, and nothing is ever read."""
    world = World(greedy=False, welcome=0)
    world.open()
    if len(closing) == 1:  # it says its last word, and the other one goes behind that
        world.do(1, StreamSend(1, b"bye"))
        world.do(1, StreamClose(1))
        closing = (0,)
    else:
        world.do(1, StreamSend(1, bytes(3 * WINDOW)))
    world.do(0, StreamSend(2, bytes(3 * WINDOW)))
    world.run(SECOND)
    for node in closing:
        world.do(node, StreamClose(2 - node))
        world.run(SECOND)
    assert all(host.streams == {} for host in world.engine.hosts)


@pytest.mark.parametrize("power_loss", [False, True])
def test_the_death_of_one_side_is_heard_at_once_or_never_and_then_timed_out(power_loss: bool) -> None:
    world = World()
    world.open()
    world.engine.kill(1, power_loss=power_loss)
    world.run(TRIP)
    assert world.peers[0].ended == ({} if power_loss else {2: StreamEnd.RESET})
    world.run(TIMEOUT_NS)
    assert world.peers[0].ended == {2: StreamEnd.TIMED_OUT if power_loss else StreamEnd.RESET}
    assert world.engine.hosts[0].streams == {}


def test_a_short_partition_delays_and_a_long_one_ends() -> None:
    for outage_ns, ended in ((TIMEOUT_NS // 2, False), (TIMEOUT_NS + 3 * SECOND, True)):
        world = World(welcome=100)
        world.open()
        world.engine.network.partition([0])
        world.do(0, StreamSend(2, b"through"))
        world.run(outage_ns)
        world.engine.network.heal()
        world.run(3 * SECOND)
        assert world.peers[1].given == {1: b"" if ended else b"through"}
        assert world.peers[0].ended == ({2: StreamEnd.TIMED_OUT} if ended else {})
        assert world.peers[1].ended == ({1: StreamEnd.TIMED_OUT} if ended else {})


def test_an_idle_stream_outlives_what_it_does_not_notice() -> None:
    world = World(welcome=100)
    world.open()
    world.engine.network.unplug(1)
    world.run(10 * TIMEOUT_NS)
    world.engine.network.plug(1)
    world.do(0, StreamSend(2, b"still here"))
    world.run(SECOND)
    assert world.peers[1].given == {1: b"still here"}


def test_a_frozen_peer_holds_the_sender_back_and_a_moved_one_is_lost() -> None:
    world = World(welcome=1000)
    world.open()
    world.engine.machines.freeze(1)
    world.do(0, StreamSend(2, bytes(2 * WINDOW)))
    world.run(10 * TIMEOUT_NS)
    assert world.peers[0].sent == {2: WINDOW + 1000}
    assert world.peers[1].given == {1: b""}
    world.engine.machines.resume(1)
    world.run(10 * SECOND)
    assert len(world.peers[1].given[1]) > 1000
    world.engine.move(1, [address(77)])
    world.do(0, StreamSend(2, b"?"))
    world.run(TIMEOUT_NS + 2 * SECOND)
    assert world.peers[0].ended == {2: StreamEnd.TIMED_OUT}


def test_loss_delays_and_keeps_the_order() -> None:
    world = World(link=Link(latency_ns=(MS, 50 * MS), loss_ppm=300_000), welcome=WINDOW)
    world.open()
    world.run(SECOND)
    for i in range(200):
        world.do(0, StreamSend(2, b"%04d" % i))
        world.run(MS)
    world.run(60 * SECOND)
    assert world.peers[1].given == {1: b"".join(b"%04d" % i for i in range(200))}


def test_events_are_values() -> None:
    assert StreamData(1, b"x") == StreamData(1, b"x")
    assert len({StreamSent(1, 2), StreamSent(1, 2), StreamClosed(1, StreamEnd.CLOSED)}) == 2
