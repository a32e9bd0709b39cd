from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.dht.distance import (
    bucket_index,
    common_prefix,
    distance,
    random_in_bucket,
    random_number,
    random_under_prefix,
)
from overlay.runtime.chance import Rng

numbers = st.integers(0, 2**256 - 1)


@given(numbers, numbers, numbers)
def test_it_is_a_metric(a: int, b: int, c: int) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


@pytest.mark.parametrize(("a", "b", "shared"), [(0, 0, 256), (0, 1, 255), (0, 1 << 255, 0), (3 << 254, 1 << 255, 1)])
def test_common_prefix(a: int, b: int, shared: int) -> None:
    assert common_prefix(a, b) == shared
    assert bucket_index(a, b, 3) == min(shared, 2)


@given(numbers, st.integers(0, 255), st.integers(0, 2**64 - 1))
def test_random_numbers_fall_into_their_bucket(own: int, depth: int, seed: int) -> None:
    assert common_prefix(own, random_in_bucket(own, depth, Rng(seed))) == depth
    assert common_prefix(own, random_under_prefix(own, depth, Rng(seed))) >= depth


def test_random_numbers_cover_the_bucket() -> None:
    rng = Rng(1)
    drawn = [random_in_bucket(0, 2, rng) >> 250 for _ in range(200)]
    assert set(drawn) == set(range(0b001000, 0b010000))  # 001xxx: both ends, nothing outside
    assert {random_under_prefix(0, 2, rng) >> 252 for _ in range(200)} == {0, 1, 2, 3}
    assert random_under_prefix(7, 256, rng) == 7
    assert len({random_number(rng) for _ in range(100)}) == 100
