"""The reply cache: an answer is repeated, not earned twice; bounded by time, sender and bytes."""

from __future__ import annotations

import pytest

from overlay.limits import REPLY_CACHE_BYTES, REPLY_CACHE_PER_PEER, REPLY_CACHE_S
from overlay.rpc.reply_cache import ReplyCache
from overlay.runtime.ports import SECOND

ALICE, BOB = b"A" * 32, b"B" * 32
LIFE = REPLY_CACHE_S * SECOND


class Cache(ReplyCache):
    """Notes what it forgot."""

    def __init__(self) -> None:
        self.gone: list[tuple[bytes, int]] = []
        super().__init__(lambda key, stamp: self.gone.append((key, stamp)))


@pytest.fixture
def cache() -> Cache:
    return Cache()


def name(i: int) -> bytes:
    return i.to_bytes(8, "big")


def test_new_then_being_served_then_answered(cache: Cache) -> None:
    assert cache.begin(ALICE, name(1), 7, 0) == (True, None)
    assert cache.begin(ALICE, name(1), 7, 1) == (False, None)
    cache.finish(ALICE, name(1), b"reply")
    assert cache.begin(ALICE, name(1), 7, 2) == (False, b"reply")


def test_an_id_belongs_to_its_sender(cache: Cache) -> None:
    cache.begin(ALICE, name(1), 7, 0)
    assert cache.begin(BOB, name(1), 7, 0) == (True, None)


def test_the_first_reply_stays(cache: Cache) -> None:
    cache.begin(ALICE, name(1), 7, 0)
    cache.finish(ALICE, name(1), b"first")
    cache.finish(ALICE, name(1), b"second, longer")
    assert cache.begin(ALICE, name(1), 7, 0) == (False, b"first")


def test_a_reply_to_what_was_forgotten_changes_nothing(cache: Cache) -> None:
    cache.finish(ALICE, name(1), b"reply")
    assert (len(cache), cache.size_bytes) == (0, 0)


@pytest.mark.parametrize(("age_ns", "left"), [(LIFE - 1, 1), (LIFE, 0)])
def test_it_forgets_after_half_a_minute_and_says_so(cache: Cache, age_ns: int, left: int) -> None:
    cache.begin(ALICE, name(1), 7, 0)
    cache.finish(ALICE, name(1), b"reply")
    cache.expire(age_ns)
    assert len(cache) == left
    assert cache.gone == [(ALICE, 7)] * (1 - left)
    assert (cache.size_bytes == 0) is (left == 0)


def test_a_sender_has_so_many_and_loses_its_oldest(cache: Cache) -> None:
    cache.begin(BOB, name(0), 1, 0)
    for i in range(REPLY_CACHE_PER_PEER + 2):
        cache.begin(ALICE, name(i), 10 + i, 0)
    assert len(cache) == REPLY_CACHE_PER_PEER + 1
    assert cache.gone == [(ALICE, 10), (ALICE, 11)]
    assert cache.begin(BOB, name(0), 1, 0) == (False, None)


def test_so_many_bytes_in_all_and_the_oldest_goes(cache: Cache) -> None:
    big = bytes(1232)
    for i in range(10_000):
        key = (i // 100).to_bytes(32, "big")
        cache.begin(key, name(i), i, 0)
        cache.finish(key, name(i), big)
        assert cache.size_bytes <= REPLY_CACHE_BYTES
    assert cache.size_bytes > REPLY_CACHE_BYTES - 2000
    assert [stamp for _, stamp in cache.gone] == list(range(10_000 - len(cache)))
