"""Large bodies: what is said of them is read back, kept within bounds, and never more of it than was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import BadMessage, OverlayError
from overlay.gossip.bodies import Bodies, Held
from overlay.gossip.line import Asked
from overlay.gossip.memory import Memory
from overlay.gossip.topic import Topic
from overlay.limits import (
    BODY_BYTES_PER_AUTHOR_BURST,
    BODY_BYTES_PER_AUTHOR_S,
    BODY_PART,
    KEPT_S,
    MAX_BODY_GIVEN,
    MAX_HAVERS,
    MAX_KEPT_BODY_BYTES,
    MAX_KEPT_BODY_BYTES_PER_AUTHOR,
    MAX_LARGE_BODY,
)
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND, Now
from overlay.wire import cbor
from overlay.wire.bodies import Ask, No, Part, decode_body_message, encode_body_message
from overlay.wire.registry import BodyRefusal

NUMBERS = st.integers(0, (1 << 32) - 1)
SAID = st.one_of(
    st.builds(Ask, NUMBERS, st.binary(min_size=32, max_size=32)),
    st.builds(Part, NUMBERS, st.binary(min_size=1, max_size=200) | st.just(bytes(BODY_PART))),
    st.builds(No, NUMBERS, st.sampled_from(BodyRefusal)),
)
TOPIC = Topic("chat", bytes(32))


@given(SAID, st.lists(st.integers(), max_size=3))
def test_what_is_said_is_read_back_and_further_items_change_nothing(said: Ask | Part | No, further: list[int]) -> None:
    data = encode_body_message(said)
    assert decode_body_message(data) == said
    longer = [*cbor.decode(data), *(number % 1000 for number in further)]
    assert decode_body_message(cbor.encode(longer)) == said


@given(st.binary(max_size=60) | SAID.map(encode_body_message).map(lambda data: data[:-1]))
def test_anything_else_is_bad(data: bytes) -> None:
    try:
        said = decode_body_message(data)
    except BadMessage:
        return
    assert decode_body_message(encode_body_message(said)) == said


@pytest.mark.parametrize(
    "items",
    [[], [1, 1], [0, 1, bytes(32)], [4, 1, b""], [1, 1, bytes(31)], [1, -1, bytes(32)], [1, 1 << 32, bytes(32)],
     [2, 1, b""], [2, 1, bytes(BODY_PART + 1)], [2, 1, "text"], [3, 1, 2], [3, 1, True], [1, 1, bytes(32), [[]] * 20]],
)  # fmt: skip
def test_what_no_peer_says(items: list[object]) -> None:
    with pytest.raises(BadMessage):
        decode_body_message(cbor.encode(items))


def parts(body: bytes) -> Iterator[bytes]:
    return (body[at : at + BODY_PART] for at in range(0, len(body), BODY_PART))


@given(st.integers(1, 5 * BODY_PART), st.integers(0, 6))
def test_a_body_comes_in_its_parts_and_in_no_others(size: int, given_up: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    asked = Asked(size, Loop())
    for number, part in enumerate(parts(body)):
        if number == given_up:
            asked.give_up()
        for wrong in (part + b"x", part[:-1]):
            with pytest.raises(BadMessage):
                asked.on_part(wrong)
        asked.on_part(part)
    assert asked.whole
    assert b"".join(asked.parts) == (body if given_up > number else b"")
    with pytest.raises(BadMessage):
        asked.on_part(b"x")


def test_who_waits_for_a_part_hears_of_the_end() -> None:
    loop, asked, ended = Loop(), Asked(10, Loop()), list[OverlayError]()
    asked = Asked(10, loop)

    async def wait() -> None:
        try:
            await asked.more()
        except OverlayError as error:
            ended.append(error)

    loop.spawn_root(wait(), name="waiting")
    loop.drain()
    asked.end(BadMessage("over"))
    loop.drain()
    assert [str(error) for error in ended] == ["over"]


SIZES = st.sampled_from([1000, MAX_LARGE_BODY // 3, MAX_LARGE_BODY])


@given(st.lists(st.tuples(st.integers(0, 5), SIZES, st.integers(0, 30)), max_size=80))
def test_bodies_are_kept_within_their_bounds_and_the_newest_are_there(steps: list[tuple[int, int, int]]) -> None:
    bodies, now_ns, put = Bodies(), 0, list[tuple[bytes, bytes, int, int]]()
    zeros = bytes(MAX_LARGE_BODY)
    for number, (author, size, wait_s) in enumerate(steps):
        now_ns += wait_s * SECOND
        bodies.expire(now_ns)
        digest, key = number.to_bytes(32, "big"), bytes([author])
        bodies.put(digest, zeros[:size], key, TOPIC, now_ns)
        put.append((digest, key, size, now_ns))
        here = [one for one in put if one[0] in bodies]
        assert bodies.size == sum(one[2] for one in here) <= MAX_KEPT_BODY_BYTES
        assert bodies.largest_share <= MAX_KEPT_BODY_BYTES_PER_AUTHOR
        assert len(here) == len(bodies)
        assert digest in bodies
        assert all(now_ns - one[3] < KEPT_S * SECOND for one in here)
        of_author = [one[0] in bodies for one in put if one[1] == key]
        assert of_author == sorted(of_author), "of an author the oldest goes first"
    bodies.expire(now_ns + KEPT_S * SECOND)
    assert (len(bodies), bodies.size, bodies.largest_share) == (0, 0, 0)


def test_of_so_many_it_is_noted_how_often_they_were_given_a_body() -> None:
    topic = Topic("chat", bytes(32))
    held = Held(b"body", b"author", 0, {topic.key: topic})
    keys = [number.to_bytes(32, "big") for number in range(2 * MAX_HAVERS)]
    topic.asking.update(dict.fromkeys(keys))
    assert all(held.give(key) for key in keys)
    assert len(held.given) == MAX_HAVERS
    # Who was given it lately gets it so often and no more.
    assert [held.give(keys[-1]) for _ in range(MAX_BODY_GIVEN)] == [True] * (MAX_BODY_GIVEN - 1) + [False]
    assert len(held.given) == MAX_HAVERS


@given(st.lists(st.tuples(SIZES, st.integers(0, 8)), max_size=60))
def test_an_author_gets_its_bytes_and_no_more(steps: list[tuple[int, int]]) -> None:
    memory, seconds, took = Memory(), 0, 0
    wall = 1_767_225_600_000
    for number, (size, wait_s) in enumerate(steps):
        seconds += wait_s
        now = Now(seconds * SECOND, wall + seconds * 1000)
        if memory.admit(number.to_bytes(16, "big"), b"a", now.wall_ms + number, now, size=size) is None:
            took += size
        assert took <= BODY_BYTES_PER_AUTHOR_BURST + seconds * BODY_BYTES_PER_AUTHOR_S
    # Small ones are counted on their own.
    now = Now(seconds * SECOND, wall + seconds * 1000)
    assert memory.admit(b"small", b"a", now.wall_ms + 1000, now) is None
