"""The difficulty in whole numbers against the formula it stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.chain.core import difficulty
from apps.chain.core.limits import MAX_DIFFICULTY

T, HALF_LIFE, CLAMP, LEAST = 15, 20, 12, 256


def following(parent: int, solve_s: int) -> int:
    return difficulty.next_difficulty(parent, solve_s, target_s=T, half_life=HALF_LIFE, clamp=CLAMP, least=LEAST)


@given(st.integers(2**20, 2**60), st.integers(1, 100_000))
def test_it_is_within_a_thousandth_of_the_formula(parent: int, solve_s: int) -> None:
    exact = parent * 2 ** ((T - min(solve_s, CLAMP * T)) / (HALF_LIFE * T))
    assert abs(following(parent, solve_s) / exact - 1) < 0.001


@given(st.integers(LEAST, MAX_DIFFICULTY), st.integers(1, 2**40))
def test_it_stays_in_its_bounds_and_falls_with_time(parent: int, solve_s: int) -> None:
    assert LEAST <= following(parent, solve_s) <= MAX_DIFFICULTY
    assert following(parent, solve_s + 1) <= following(parent, solve_s)


def test_a_block_in_time_changes_nothing_and_the_least_can_rise() -> None:
    assert following(100_000, T) == 100_000
    assert following(LEAST, 1) > LEAST
    assert following(LEAST, 10**6) == LEAST
    assert following(MAX_DIFFICULTY, 1) == MAX_DIFFICULTY


def test_a_night_of_sleep_costs_no_more_than_the_clamp() -> None:
    assert following(10**6, 8 * 3600) == following(10**6, CLAMP * T)
    assert following(10**6, CLAMP * T) > 10**6 // 2
