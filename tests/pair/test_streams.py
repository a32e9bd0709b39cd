"""Streams between peers on simulated connections: who is let in, how it ends, and that everything is given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from overlay.errors import LimitError, LocalError, OverlayError, Refused, RemoteError, TimedOut
from overlay.identity.network import Network as Realm
from overlay.limits import (
    BINDING_TTL_MS,
    HANDSHAKE_S,
    KEEP_ALIVE_S,
    MAX_DIALS,
    MAX_HANDSHAKES,
    MAX_HANDSHAKES_PER_ADDRESS,
    MAX_PROBES,
    MAX_SPARE_FRAMES,
    MAX_STREAM_MESSAGE,
    MAX_STREAMS_PER_PEER,
    PROBE_S,
    STALLED_S,
    STREAM_WINDOW,
    UNSENT_HIGH,
    UNSENT_LOW,
)
from overlay.runtime.ports import SECOND, Now, StreamEnd, StreamGrant, StreamOpen, StreamSend
from overlay.secure.handshake import StaticKey, encode_preface
from overlay.secure.noise import Suite
from overlay.streams import End, Stream, StreamEnded
from overlay.trust.policy import NeutralPolicy, Observation, Verdict
from tests.support.pair import keys_of
from tests.support.stream_world import REALM, StreamsOnly, World, address
from tests.support.toy_streams import ToyStreams

NOTHING = {"streams": 0, "incoming": 0, "handshakes": 0, "dials": 0, "pipes": 0}


def fails(world: World, kind: type[OverlayError], told: str, *, to: int = 1, expected: bytes | None = None) -> None:
    """Opening from 0 fails so, and neither side keeps anything of it."""
    opening = world.peers[0].streams.open(expected or world.peers[to].id, [address(to)], "/test/1")
    with pytest.raises(kind, match=told):
        world.await_(0, opening, seconds=30)
    world.run(HANDSHAKE_S + 1)
    for peer in world.peers.values():
        if isinstance(peer, StreamsOnly):
            assert peer.streams.figures() == NOTHING
            assert peer.loop.next_deadline() is None


def other(index: int, core: Any) -> Callable[[int], Any]:
    return lambda number: core if number == index else None


def ended(world: World, node: int, stream: Stream) -> StreamEnded:
    """How receiving ends, nothing being left."""
    with pytest.raises(StreamEnded) as caught:
        world.await_(node, stream.receive(), seconds=0.1)
    return caught.value


# --- who is let in ---


def test_both_know_who_is_there_and_what_is_spoken() -> None:
    world = World()
    a, b = world.pair()
    assert (a.peer, b.peer) == (world.peers[1].id, world.peers[0].id)
    assert (a.protocol, b.protocol) == ("/test/1", "/test/1")
    assert (a.incoming, b.incoming) == (False, True)
    assert a.address == address(1)
    world.await_(0, a.send(b"there"))
    world.await_(1, b.send(memoryview(b"and back")))
    assert world.await_(1, b.receive()) == b"there"
    assert world.await_(0, a.receive()) == b"and back"
    assert (a.sent, a.received, b.sent, b.received) == (5, 8, 8, 5)


def test_the_one_who_answers_must_be_the_one_expected() -> None:
    fails(World(3), RemoteError, "another peer answered", expected=keys_of(50).key)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (REALM, Realm("other", puzzle_bits=0)),
        (Realm("p", psk=bytes(32)), Realm("p", psk=bytes([1]) * 32)),
        (REALM, Realm("streams", puzzle_bits=0, psk=bytes(32))),
    ],
    ids=["name", "key", "private"],
)
def test_another_network_is_none_of_ours(ours: Realm, theirs: Realm) -> None:
    fails(World(make=lambda number: StreamsOnly(number, ours if number == 0 else theirs)), OverlayError, "handshake")


def test_two_of_a_private_network_meet() -> None:
    realm = Realm("p", psk=bytes(32))
    world = World(make=lambda number: StreamsOnly(number, realm))
    a, b = world.pair()
    world.await_(0, a.send(b"x"))
    assert world.await_(1, b.receive()) == b"x"


def test_a_binding_that_expired_is_refused() -> None:
    class Stale(StaticKey):
        def binding(self, now: Now) -> bytes:
            return super().binding(Now(0, now.wall_ms - BINDING_TTL_MS - 1))

    world = World()
    world.peers[1].streams._static = Stale(REALM, world.peers[1].keys, world.peers[1].entropy)
    fails(world, RemoteError, "has expired: are both clocks right")
    world = World()
    world.peers[0].streams._static = Stale(REALM, world.peers[0].keys, world.peers[0].entropy)
    fails(world, OverlayError, "closed the stream")
    assert world.peers[1].counters["streams: bad handshake"] == 1


def test_a_policy_keeps_peers_away_on_both_sides() -> None:
    class Against(NeutralPolicy):
        def verdict(self, key: bytes) -> Verdict:
            return Verdict.REFUSE

    fails(World(make=other(0, StreamsOnly(0, policy=Against()))), Refused, "does not deal with")
    world = World(make=other(1, StreamsOnly(1, policy=Against())))
    fails(world, Refused, "closed the stream")
    assert world.peers[1].counters == {"streams: handshake refused": 1}


def test_a_protocol_that_nobody_takes_is_refused_in_words() -> None:
    world = World()
    world.peers[1].streams.unserve("/test/1")
    fails(world, Refused, "nothing here takes streams of that protocol")


def test_a_peer_does_not_talk_to_itself() -> None:
    world = World()
    peer = world.peers[0]
    with pytest.raises(LocalError, match="to itself"):
        world.await_(0, peer.streams.open(peer.id, [address(0)], "/test/1"))
    twin = World(make=other(1, StreamsOnly(1, keys=keys_of(1))))  # somebody else with our key
    twin.peers[0].streams._id = bytes(32)
    fails(twin, Refused, "closed the stream")
    assert twin.peers[1].counters == {"streams: handshake refused": 1}


def test_names_of_protocols_are_bounded() -> None:
    streams = World().peers[0].streams
    for name in ("", "x" * 67, "a\nb"):
        with pytest.raises(LocalError, match="printable name"):
            streams.serve(name, print)
    with pytest.raises(LocalError, match="by somebody already"):
        streams.serve("/test/1", print)


# --- one per peer and protocol ---


def test_a_second_one_is_refused_while_the_first_lives() -> None:
    world = World()
    a, _ = world.pair()
    fails_now = world.peers[0].streams.open(world.peers[1].id, [address(1)], "/test/1")
    with pytest.raises(LimitError, match="is open already"):
        world.await_(0, fails_now)
    world.do(0, a.close)
    world.run(1)
    world.open()
    assert world.open(1, 0).protocol == "/test/1"  # the other direction is another stream


def test_a_peer_that_comes_back_replaces_what_it_left() -> None:
    world = World()
    _, old = world.pair()
    world.engine.kill(0, power_loss=True)
    world.engine.start(0)
    world.run(1)
    _, new = world.pair()
    assert old.ended is not None
    assert old.ended.end is End.REPLACED
    assert new.ended is None
    assert world.peers[1].streams.figures() == {**NOTHING, "streams": 1, "incoming": 1, "pipes": 1}


def test_one_peer_has_a_bounded_number() -> None:
    world = World()
    for number in range(MAX_STREAMS_PER_PEER):
        world.peers[1].streams.serve(f"/many/{number}", world.peers[1].taken.append)
        world.open(protocol=f"/many/{number}")
    with pytest.raises(LimitError, match=f"{MAX_STREAMS_PER_PEER} streams with that peer"):
        world.open()
    world.peers[0].streams._sessions._by_peer.clear()  # whoever keeps no count is told by the other side
    with pytest.raises(Refused, match=f"{MAX_STREAMS_PER_PEER} streams with that peer"):
        world.open()
    assert world.peers[1].streams.figures()["pipes"] == MAX_STREAMS_PER_PEER


# --- who says nothing ---


def test_an_acceptor_that_says_nothing_is_given_five_seconds() -> None:
    world = World(make=other(1, ToyStreams(greedy=True, welcome=1000)))
    fails(world, TimedOut, "did not finish the handshake", expected=bytes(32))
    assert world.peers[1].ended == {1: StreamEnd.CLOSED}


def test_nobody_there_and_no_way() -> None:
    world = World(make=other(1, NoStreams()))
    fails(world, Refused, "nobody takes streams", expected=bytes(32))
    opening = world.peers[0].streams.open(bytes(32), [address(77)], "/test/1")
    with pytest.raises(TimedOut):
        world.await_(0, opening, seconds=40)
    assert world.peers[0].streams.figures() == NOTHING


class NoStreams(ToyStreams):
    handle_stream = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "said", [b"", b"\xd2", encode_preface(Suite.AESGCM), encode_preface(Suite.AESGCM) + b"\x00\x20abc"]
)
def test_a_dialler_that_stops_is_given_five_seconds(said: bytes) -> None:
    world = World(make=other(0, ToyStreams(welcome=1000)))
    world.engine.command(0, "do", {"effect": StreamOpen(2, address(1))}, lambda _: None)
    world.run(0.1)
    world.engine.command(0, "do", {"effect": StreamSend(2, said)}, lambda _: None)
    world.run(HANDSHAKE_S - 0.2)
    assert world.peers[1].streams.figures()["handshakes"] == 1
    world.run(0.4)
    assert world.peers[1].streams.figures() == NOTHING
    assert world.peers[1].counters == {"streams: handshake timed out": 1}
    assert world.peers[0].ended == {2: StreamEnd.CLOSED}


def test_nonsense_ends_a_handshake_at_once() -> None:
    world = World(make=other(0, ToyStreams(welcome=1000)))
    world.engine.command(0, "do", {"effect": StreamOpen(2, address(1))}, lambda _: None)
    world.run(0.1)
    world.engine.command(0, "do", {"effect": StreamSend(2, b"GET / HTTP/1.1\r\n")}, lambda _: None)
    world.run(0.1)
    assert world.peers[1].streams.figures() == NOTHING
    assert world.peers[1].counters == {"streams: bad handshake": 1}


def seconds_to_open(world: World, node: int, *, meanwhile: Callable[[], object] = lambda: None) -> float:
    """Of virtual time, until it has a stream with peer 1; it comes to nothing after 20 s."""
    began_ns = world.engine.now_ns
    task = world.spawn(node, world.peers[node].streams.open(world.peers[1].id, [address(1)], "/test/1"))
    while not task.done:
        world.run(0.005)
        meanwhile()
    assert task.result().ended is None
    return (world.engine.now_ns - began_ns) / SECOND


def test_four_hundred_silent_ones_lock_nobody_out() -> None:
    """All of one address; a good peer comes from another and, by the same machine, from that one."""
    world = World(4, make=other(0, ToyStreams(welcome=1000)))
    for number in range(1, 401):
        world.engine.command(0, "do", {"effect": StreamOpen(2 * number, address(1))}, lambda _: None)
    world.run(0.5)
    assert world.peers[1].streams.figures()["handshakes"] == MAX_HANDSHAKES_PER_ADDRESS
    assert len(world.peers[0].ended) == 400 - MAX_HANDSHAKES_PER_ADDRESS
    assert seconds_to_open(world, 2) < 1
    assert world.peers[1].streams.figures()["handshakes"] == MAX_HANDSHAKES_PER_ADDRESS
    world.run(HANDSHAKE_S + 1)
    assert len(world.peers[0].ended) == 400
    made_room = 400 - MAX_HANDSHAKES_PER_ADDRESS
    assert world.peers[1].counters["streams: made room"] == made_room
    assert world.peers[1].counters["streams: handshake timed out"] == MAX_HANDSHAKES_PER_ADDRESS


def test_a_good_one_gets_in_among_silent_ones_of_its_own_address() -> None:
    """The oldest silent ones make room for it and for those that come after it, and not it for them."""
    world = World(3, make=other(0, ToyStreams(welcome=1000)))
    there = world.peers[1].streams
    for _ in range(MAX_HANDSHAKES_PER_ADDRESS):
        there._handshakes.enter(address(2), lambda: None)

    def again() -> None:
        """400 of them come anew while the good one shakes hands."""
        if any(slot.spoke for slots in there._handshakes._by_place.values() for slot in slots):
            for _ in range(400):
                there._handshakes.enter(address(2), lambda: None)

    assert seconds_to_open(world, 2, meanwhile=again) < 5


def test_handshakes_that_are_cut_short_leave_nothing() -> None:
    world = World()
    for trips in range(6):  # the whole takes 6 ways of 10 ms
        task = world.spawn(0, world.peers[0].streams.open(world.peers[1].id, [address(1)], "/test/1"))
        world.run(0.01 * trips + 0.005)
        assert not task.done
        world.do(0, task.cancel)
        assert task.cancelled
        world.run(HANDSHAKE_S + 1)
        for peer in world.peers.values():
            assert peer.streams.figures() == NOTHING
            assert peer.loop.next_deadline() is None
    assert world.open().ended is None


def test_dials_are_bounded() -> None:
    world = World(make=other(1, ToyStreams(welcome=1000)))
    for number in range(MAX_DIALS):
        world.spawn(0, world.peers[0].streams.open(bytes([number]) * 32, [address(1)], "/test/1"))
    with pytest.raises(LimitError, match="being opened already"):
        world.await_(0, world.peers[0].streams.open(b"x" * 32, [address(1)], "/test/1"))
    world.run(20)
    assert world.peers[0].streams.figures() == NOTHING


def test_a_thousand_in_a_row_leak_nothing() -> None:
    world = World()
    for number in range(300):
        a, b = world.pair()
        world.do(*((0, a.close) if number % 2 else (1, b.close)))
        world.run(0.1)
        world.peers[1].taken.clear()
    for peer in world.peers.values():
        assert peer.streams.figures() == NOTHING
        assert (peer.streams._leases, peer.streams._taken, peer.streams._opened) == ({}, {}, {})
        assert peer.loop.next_deadline() is None
    assert world.engine.hosts[0].streams == {}


# --- how it ends ---


def test_what_was_sent_before_the_end_arrives() -> None:
    world = World()
    a, b = world.pair()

    async def say() -> None:
        for number in range(100):
            await a.send(b"%d" % number)
        a.close("that was all")

    world.await_(0, say())
    world.run(1)
    assert [world.await_(1, b.receive(), seconds=0) for _ in range(100)] == [b"%d" % n for n in range(100)]
    end = ended(world, 1, b)
    assert (end.end, str(end), end.here, end.clean) == (End.DONE, "that was all", False, True)
    mine = ended(world, 0, a)
    assert (mine.end, mine.here) == (End.DONE, True)
    with pytest.raises(StreamEnded):
        world.await_(1, b.send(b"too late"))
    world.do(0, a.close)  # again: nothing


@pytest.mark.parametrize(("power_loss", "reason"), [(False, StreamEnd.RESET), (True, StreamEnd.TIMED_OUT)])
def test_a_peer_that_dies_is_told_from_one_that_ended(power_loss: bool, reason: StreamEnd) -> None:
    world = World()
    a, b = world.pair()
    world.await_(0, a.send(b"last"))
    world.run(1)
    world.engine.kill(0, power_loss=power_loss)
    world.run(5 if not power_loss else 40)
    assert world.await_(1, b.receive()) == b"last"
    end = ended(world, 1, b)
    assert not end.clean
    assert end.end in (reason, End.SILENT)
    assert world.peers[1].streams.figures() == NOTHING


def test_a_peer_that_is_frozen_is_gone_after_three_probes() -> None:
    world = World()
    a, _b = world.pair()
    world.peers[1].frozen = True
    world.run(KEEP_ALIVE_S + MAX_PROBES * PROBE_S - 1)
    assert a.ended is None
    world.run(1)
    assert a.ended is not None
    assert a.ended.end is End.SILENT
    assert world.peers[0].streams.figures() == NOTHING


def test_a_peer_that_is_frozen_is_gone_although_there_is_much_to_say_to_it() -> None:
    world = World()
    a, _b = world.pair()
    world.peers[1].frozen = True

    async def say() -> None:
        while True:
            await a.send(bytes(1000))
            await world.peers[0].loop.sleep(10**9)

    task = world.spawn(0, say())
    world.run(KEEP_ALIVE_S + MAX_PROBES * PROBE_S + 1)
    assert a.ended is not None
    assert a.ended.end is End.SILENT
    assert task.done


def test_a_slow_application_is_not_a_frozen_peer() -> None:
    """What asks whether it lives is stuck behind what it has not read: so it says so by itself."""
    world = World()
    a, b = world.pair()

    async def say() -> None:
        for _ in range(9):
            await a.send(bytes(250_000))

    async def hear() -> None:
        for _ in range(9):
            await world.peers[1].loop.sleep(20 * 10**9)
            await b.receive()

    saying, hearing = world.spawn(0, say()), world.spawn(1, hear())
    world.run(9 * 20 + 1)
    assert (saying.done, hearing.done) == (True, True)
    assert (a.ended, b.ended) == (None, None)


def test_two_who_have_nothing_to_say_stay_together() -> None:
    world = World()
    a, b = world.pair()
    world.run(3600)
    assert (a.ended, b.ended) == (None, None)
    world.await_(0, a.send(b"still there?"))
    assert world.await_(1, b.receive()) == b"still there?"


class Remembers(NeutralPolicy):
    def __init__(self) -> None:
        self.seen: list[tuple[bytes, Observation]] = []

    def observe(self, key: bytes, what: Observation, now_ns: int) -> None:
        self.seen.append((key, what))


def test_a_frame_that_nobody_sends_ends_it_and_is_told() -> None:
    policy = Remembers()
    world = World(make=other(1, StreamsOnly(1, policy=policy)))
    a, b = world.pair()
    world.do(0, lambda: a._pipe.send(b"\x01\xff\xff\xff"))
    world.run(1)
    assert b.ended is not None
    assert (b.ended.end, b.ended.here) == (End.BAD_FRAME, True)
    assert a.ended is not None
    assert (a.ended.end, a.ended.here) == (End.BAD_FRAME, False)
    assert policy.seen == [(world.peers[0].keys.key, Observation.BAD_MESSAGE)]


def test_text_of_a_stranger_is_printable() -> None:
    world = World()
    a, b = world.pair()
    world.do(0, lambda: a.close("a\x1b[2Jb"))
    world.run(1)
    assert str(ended(world, 1, b)) == "a?[2Jb"


# --- back-pressure ---


def test_a_sender_waits_for_a_slow_reader_and_goes_on() -> None:
    world = World()
    a, b = world.pair()
    sent = []

    async def say() -> None:
        for number in range(60):
            await a.send(bytes([number]) * 100_000)
            sent.append(number)

    task = world.spawn(0, say())
    world.run(20)
    assert not task.done
    assert UNSENT_LOW < a.unsent < UNSENT_HIGH + MAX_STREAM_MESSAGE
    assert b.unread <= STREAM_WINDOW
    assert world.peers[1].streams.figures()["streams"] == 1

    async def hear() -> list[int]:
        return [(await b.receive())[0] for _ in range(60)]

    assert world.await_(1, hear(), seconds=10) == list(range(60))
    assert task.done
    assert a.unsent == 0


def test_a_reader_that_takes_nothing_loses_its_stream_not_our_memory() -> None:
    world = World()
    a, b = world.pair()
    worst = 0

    async def say() -> None:
        nonlocal worst
        while True:
            await a.send(bytes(200_000))
            worst = max(worst, a.unsent)

    task = world.spawn(0, say())
    world.run(STALLED_S - 5)
    assert a.ended is None
    world.run(10 + PROBE_S)
    assert a.ended is not None
    assert a.ended.end is End.STALLED
    assert task.done
    assert worst < UNSENT_HIGH + MAX_STREAM_MESSAGE
    assert b.unread <= STREAM_WINDOW
    assert world.peers[0].streams.figures()["streams"] == 0


def test_a_message_has_a_longest_length() -> None:
    world = World()
    a, b = world.pair()
    world.await_(0, a.send(bytes(MAX_STREAM_MESSAGE)))
    assert len(world.await_(1, b.receive())) == MAX_STREAM_MESSAGE
    with pytest.raises(LocalError, match="send it in parts"):
        world.await_(0, a.send(bytes(MAX_STREAM_MESSAGE + 1)))


def test_many_small_messages_do_not_fill_memory() -> None:
    """An empty message costs its sender four bytes; those behind the bound stay bytes until they are read."""
    world = World()
    a, b = world.pair()
    world.do(0, lambda: a._pipe.send(b"\0\0\0\0" * 50_000))
    world.run(2)
    assert len(b._queue) == 4096

    async def hear() -> int:
        for _ in range(50_000):
            assert await b.receive() == b""
        return b.unread

    assert world.await_(1, hear()) == 0


def test_questions_are_answered_once_for_all_that_came_together() -> None:
    world = World()
    a, b = world.pair()
    before = b._pipe.unsent
    world.do(0, lambda: a._pipe.send(b"\1\0\0\0" * 1_000))
    world.run(1)
    assert b.unread == 0
    assert b._pipe.unsent == before
    assert (a.ended, b.ended) == (None, None)


@pytest.mark.parametrize("kind", [1, 2, 9], ids=["ping", "pong", "unknown"])
def test_whoever_only_says_nothing_loses_the_stream(kind: int) -> None:
    """100,000 such frames in one go would cost 0.15 s, and nobody needs them."""
    world = World()
    a, b = world.pair()
    frame = bytes((kind, 0, 0, 0))
    world.do(0, lambda: a._pipe.send(frame * MAX_SPARE_FRAMES))
    world.run(0.1)
    assert b.ended is None
    world.run(600)  # whoever lives long has more to ask
    world.do(0, lambda: a._pipe.send(frame * 500))
    world.run(0.1)
    assert b.ended is None
    world.do(0, lambda: a._pipe.send(frame * MAX_SPARE_FRAMES))
    world.run(0.1)
    assert b.ended is not None
    assert b.ended.end is End.BAD_FRAME


def test_messages_make_up_for_other_frames() -> None:
    world = World()
    a, b = world.pair()

    async def hear() -> None:
        for _ in range(4 * MAX_SPARE_FRAMES):
            await b.receive()

    world.do(0, lambda: a._pipe.send(b"\x09\0\0\0\0\0\0\0" * 4 * MAX_SPARE_FRAMES))
    world.await_(1, hear())
    assert b.ended is None


def test_a_closed_stream_keeps_nothing_that_was_not_read() -> None:
    world = World()
    a, b = world.pair()
    for _ in range(3):
        world.await_(0, a.send(bytes(100_000)))
    world.do(0, lambda: a._pipe.send(b"\0\1\0\0"))  # the head of one more
    world.run(1)
    assert b.unread > 300_000
    world.do(1, b.close)
    assert (b.unread, len(b._queue), b._reader._chunks.size) == (0, 0, 0)


def test_addresses_and_totals_have_their_share() -> None:
    world = World()
    slots = world.peers[0].streams._handshakes
    gone: list[int] = []
    for number in range(MAX_HANDSHAKES + 50):
        slots.enter(address(number % 20), lambda number=number: gone.append(number))
    assert len(slots) == MAX_HANDSHAKES
    assert len(gone) == 50
    newest = slots.enter(address(99), lambda: gone.append(-1))
    assert -1 not in gone
    slots.leave(newest)
    slots.leave(newest)
    assert len(slots) == MAX_HANDSHAKES - 1


def test_bytes_are_granted_exactly_until_there_are_keys() -> None:
    """So that a shell never shows a record that it should have opened."""
    world = World(make=other(0, ToyStreams(welcome=1000)))
    granted: list[int] = []
    emit = world.peers[1].streams.emit

    def watch(effect: Any) -> None:
        if isinstance(effect, StreamGrant):
            granted.append(effect.n)
        emit(effect)

    world.peers[1].streams.emit = watch
    world.engine.command(0, "do", {"effect": StreamOpen(2, address(1))}, lambda _: None)
    world.run(0.1)
    said = encode_preface(Suite.AESGCM) + b"\x00\x20" + bytes([9]) + bytes(31) + b"more than it may"
    world.engine.command(0, "do", {"effect": StreamSend(2, said)}, lambda _: None)
    world.run(1)
    assert granted == [8, 2, 32, 2, int.from_bytes(b"mo", "big")][: len(granted)]
    assert sum(granted) == 44
