"""No message is taken twice, whatever is forgotten meanwhile; no author takes more than its share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlay.gossip.memory import Memory
from overlay.limits import (
    MAX_AUTHORS,
    MAX_MESSAGE_SKEW_S,
    MAX_SEEN_MESSAGES,
    MESSAGES_PER_AUTHOR_BURST,
    MESSAGES_PER_AUTHOR_S,
    SEEN_S,
)
from overlay.runtime.ports import SECOND, Now

WALL = 1_767_225_600_000


def at(seconds: int) -> Now:
    return Now(seconds * SECOND, WALL + seconds * 1000)


def an_id(author: bytes, seq: int) -> bytes:
    return (author + seq.to_bytes(8, "big")).rjust(16, b"\0")


STEPS = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.integers(0, 400), st.sampled_from([0, 1, 30, 200])), max_size=60
)


@given(STEPS)
def test_a_message_is_taken_once(steps: list[tuple[bytes, int, int]]) -> None:
    """Each may come at any time, again and again, in any order."""
    memory, taken, seconds = Memory(), [], 0
    for author, seq_s, wait_s in steps:
        seconds += wait_s
        memory.expire(seconds * SECOND)
        message = an_id(author, seq_s)
        if message not in memory and memory.admit(message, author, WALL + seq_s * 1000, at(seconds)) is None:
            taken.append(message)
        assert message in memory
    assert len(taken) == len(set(taken))


@given(st.lists(st.integers(0, 119), max_size=30))
def test_new_messages_of_one_author_are_taken_in_any_order(order: list[int]) -> None:
    memory = Memory()
    for seq_s in dict.fromkeys(order):
        assert memory.admit(an_id(b"a", seq_s), b"a", WALL + seq_s * 1000, at(100)) is None


def test_an_author_gets_its_rate_and_no_more_and_others_are_not_touched() -> None:
    memory = Memory()
    took = [memory.admit(an_id(b"a", n), b"a", WALL + n, at(0)) for n in range(1000)]
    assert took.count(None) == MESSAGES_PER_AUTHOR_BURST
    assert took[-1] == "too many of one author"
    assert memory.admit(an_id(b"b", 0), b"b", WALL, at(0)) is None
    later = [memory.admit(an_id(b"a", n), b"a", WALL + n, at(1)) for n in range(1000, 2000)]
    assert later.count(None) == MESSAGES_PER_AUTHOR_S


def test_what_is_far_from_our_clock_is_not_taken() -> None:
    memory, edge = Memory(), MAX_MESSAGE_SKEW_S * 1000
    assert memory.admit(b"1", b"a", WALL - edge, at(0)) is None
    assert memory.admit(b"2", b"b", WALL + edge, at(0)) is None
    assert memory.admit(b"3", b"c", WALL - edge - 1, at(0)) == "out of time"
    assert memory.admit(b"4", b"d", WALL + edge + 1, at(0)) == "out of time"


def test_it_is_bounded_and_what_is_pushed_out_is_a_replay_then() -> None:
    memory = Memory()
    assert memory.admit(an_id(b"victim", 0), b"victim", WALL, at(0)) is None
    for n in range(MAX_SEEN_MESSAGES):
        memory.refuse(n.to_bytes(16, "big"), at(0))
    assert len(memory) == MAX_SEEN_MESSAGES
    assert an_id(b"victim", 0) not in memory
    assert memory.admit(an_id(b"victim", 0), b"victim", WALL, at(0)) == "replayed"
    assert memory.admit(an_id(b"victim", 1), b"victim", WALL + 1, at(0)) is None
    for n in range(MAX_AUTHORS + 10):
        memory.admit(b"x%d" % n, b"author %d" % n, WALL, at(1))
    assert memory.authors == MAX_AUTHORS
    memory.expire((SEEN_S + 2) * SECOND)
    assert len(memory) == 0
