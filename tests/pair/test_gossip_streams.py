"""Strangers on streams of gossip: what none of them may say ends the stream, and none of them takes all places."""

from __future__ import annotations

import pytest

from overlay.errors import BadMessage, LimitError
from overlay.gossip.line import Asked, Line
from overlay.limits import MAX_BODY_ASKS
from overlay.streams import End, Stream, StreamEnded
from overlay.wire.bodies import PROTOCOL, Ask, No, Part, decode_body_message, encode_body_message
from overlay.wire.registry import BodyRefusal
from tests.support.pair import REALM, make_peer
from tests.support.stream_world import StreamsOnly, World, address


def world(strangers: int = 1) -> World:
    """Node 0 is a whole peer, the others are nothing but streams."""
    made = World(1 + strangers, make=lambda n: make_peer(10) if n == 0 else StreamsOnly(n, realm=REALM))
    made.run(1)
    return made


def opened(made: World, stranger: int = 1) -> Stream:
    streams = made.peers[stranger].streams
    return made.await_(stranger, streams.open(made.peers[0].id, [address(0)], PROTOCOL), seconds=1)


def say(made: World, stream: Stream, *said: bytes) -> None:
    async def send() -> None:
        for one in said:
            await stream.send(one)

    made.await_(1, send(), seconds=1)


def answers(made: World, stream: Stream) -> list[Ask | Part | No]:
    got: list[Ask | Part | No] = []

    async def read() -> None:
        try:
            while True:
                got.append(decode_body_message(await stream.receive()))
        except StreamEnded:
            return

    made.spawn(1, read())
    made.run(1)
    return got


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"\xff", id="no CBOR"),
        pytest.param(b"\x83\x04\x01\x01", id="an unknown act"),
        pytest.param(encode_body_message(Part(1, b"unasked")), id="a part of nothing"),
        pytest.param(encode_body_message(No(1, BodyRefusal.NOT_HERE)), id="no to nothing"),
    ],
)
def test_what_no_peer_says_ends_the_stream(said: bytes) -> None:
    made = world()
    stream = opened(made)
    say(made, stream, said)
    assert stream.ended is not None
    assert (stream.ended.end, stream.ended.here) == (End.BAD_FRAME, False)
    made.run(1)
    assert len(made.peers[0].gossip._lines) == 0
    assert [task.name for task in made.peers[0].loop.tasks() if "gossip" in task.name] == []


def test_each_question_is_answered() -> None:
    made = world()
    stream = opened(made)
    asks = [encode_body_message(Ask(number, bytes(32))) for number in range(MAX_BODY_ASKS)]
    say(made, stream, *asks)
    assert answers(made, stream) == [No(number, BodyRefusal.NOT_HERE) for number in range(MAX_BODY_ASKS)]
    assert stream.ended is None


def test_so_many_questions_wait_for_an_answer() -> None:
    made = world()
    line = Line(made.peers[1].loop, opened(made), 0)
    for number in range(MAX_BODY_ASKS):
        line._take(Ask(number, bytes(32)), lambda _: None)
    with pytest.raises(BadMessage, match="more than 64"):
        line._take(Ask(99, bytes(32)), lambda _: None)
    assert not line.idle


def test_so_much_is_asked_for_at_once_and_what_is_given_up_counts_until_it_came() -> None:
    made = world()
    line = Line(made.peers[1].loop, opened(made), 0)

    async def ask() -> Asked:
        return await line.ask(bytes(32), 5)

    first, *_ = [made.await_(1, ask(), seconds=0.01) for _ in range(MAX_BODY_ASKS)]
    for asked in line.asked.values():
        asked.give_up()
    assert line.idle
    with pytest.raises(LimitError):
        made.await_(1, ask(), seconds=0.01)
    line._take(Part(1, b"12345"), lambda _: None)
    assert (first.whole, first.parts) == (True, [])
    made.await_(1, ask(), seconds=0.01)


def test_the_places_are_so_many_and_an_idle_one_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.gossip.lines.MAX_BODY_STREAMS", 3)
    made = world(strangers=5)
    streams = [opened(made, stranger) for stranger in range(1, 6)]
    made.run(1)
    assert [stream.ended is None for stream in streams] == [False, False, True, True, True]
    assert {stream.ended.end for stream in streams[:2] if stream.ended} == {End.BUSY}
    assert len(made.peers[0].gossip._lines) == 3
    assert made.peers[0].streams.figures()["streams"] == 3
