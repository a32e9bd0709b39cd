"""The nodes nearest to a key, against a look at each of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlay.dht.distance import BITS
from simulations.nearest import Nearest

ANYWHERE = st.integers(0, 2**BITS - 1)
#: Ids that share most of their bits, as those ground around a point do, and the ends of the space.
TOGETHER = st.integers(0, 300).map(lambda low: (0b1011 << BITS - 4) + low)
NUMBERS = ANYWHERE | TOGETHER | st.sampled_from([0, 2**BITS - 1])


@given(numbers=st.lists(NUMBERS, max_size=400), target=NUMBERS, count=st.integers(1, 30))
def test_the_nearest_are_those_that_a_look_at_each_finds(numbers: list[int], target: int, count: int) -> None:
    nearest = Nearest()
    for number in numbers:
        nearest.add(number)
    assert nearest.to(target, count) == sorted(set(numbers), key=lambda number: number ^ target)[:count]
    assert len(nearest) == len(set(numbers))
