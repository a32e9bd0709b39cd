"""Bytes and rates as people read and type them."""

from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnode.ui.sizes import Rate, size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "-"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_140_000, "2.1 MB"), (99_949_999, "99.9 MB"),
        (99_950_000, "100 MB"), (999_499_999, "999 MB"), (999_500_000, "1.0 GB"), (10**18, "1000 PB"),
    ],
)  # fmt: skip
def test_sizes_have_two_or_three_figures(count: int | None, text: str) -> None:
    assert size_text(count) == text


@given(st.integers(0, 10**15))
def test_a_size_fits_its_column(count: int) -> None:
    assert len(size_text(count)) <= 7


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("2M", 2_000_000), ("500k", 500_000), ("1.5MB/s", 1_500_000), ("800Ki", 819_200), ("1 GiB", 1 << 30),
        ("7", 7), ("none", 0), ("NONE", 0),
    ],
)  # fmt: skip
def test_rates_are_typed_as_people_do(text: str, rate: int) -> None:
    assert Rate().convert(text, None, None) == rate


@pytest.mark.parametrize("text", ["", "0", "fast", "-1", "0.1", "2X", "1e9", "99999999999999999M", "nan", "²"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a rate"):
        Rate().convert(text, None, None)
