"""Numbers on axes and in tables are those that people like to read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.report.axis import figure, short, ticks


@pytest.mark.parametrize(
    ("top", "expected"),
    [(100, [0, 25, 50, 75, 100]), (0, [0, 1]), (7, [0, 2, 4, 6, 8]), (0.9, [0, 0.25, 0.5, 0.75, 1.0])],
)
def test_ticks_are_round(top: float, expected: list[float]) -> None:
    assert ticks(top) == pytest.approx(expected)


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_ticks_reach_the_top_and_are_few(top: float) -> None:
    found = ticks(top)
    assert found[0] == 0
    assert found[-1] >= top * (1 - 1e-6)
    assert found[-2] < top
    assert 2 <= len(found) <= 9


@given(st.integers(min_value=1, max_value=10**9))
def test_whole_ticks_have_no_fractions(top: int) -> None:
    assert all(tick.is_integer() for tick in ticks(top, whole=True))


def test_numbers_are_short_on_axes_and_full_in_tables() -> None:
    assert [short(value) for value in (0, 0.25, 950, 1500, 2.5e6)] == ["0", "0.25", "950", "1.5k", "2.5M"]
    assert [figure(value) for value in (93567900, 0.99, 2272.621, 0)] == ["93,567,900", "0.99", "2,272.62", "0"]
