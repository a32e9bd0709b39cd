"""Places for connections: never more than there are, a newcomer always gets in, and the right one goes for it."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.runtime.address import parse_address
from overlay.streams.crowd import Crowd, Slot, place_of

PLACES, PER_GROUP = 5, 3


@given(steps=st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.booleans()), max_size=40))
def test_the_bounds_hold_and_the_oldest_of_the_group_or_of_the_largest_goes(steps: list[tuple[bytes, bool]]) -> None:
    crowd, here, gone = Crowd(PLACES, PER_GROUP), list[tuple[bytes, int, Slot]](), list[int]()
    for number, (group, leaves) in enumerate(steps):
        mine = [member for member in here if member[0] == group]
        if leaves:
            for _, _, ticket in mine[:1]:
                crowd.leave(ticket)
                crowd.leave(ticket)  # again is void
            here = [member for member in here if member not in mine[:1]]
        else:
            sizes = Counter(member[0] for member in here)
            goes = None
            if len(mine) == PER_GROUP:
                goes = mine[0]
            elif len(here) == PLACES:
                goes = next(member for member in here if sizes[member[0]] == max(sizes.values()))
                largest = [group for group, size in sizes.items() if size == max(sizes.values())]
            ticket = crowd.enter(parse_address(f"192.0.2.{group[0]}:1"), partial(gone.append, number))
            if goes is not None:
                (sent,) = gone
                left = next(member for member in here if member[1] == sent)
                assert left[0] == group if len(mine) == PER_GROUP else left[0] in largest
                assert left == next(member for member in here if member[0] == left[0])
                here.remove(left)
                gone.clear()
            here.append((group, number, ticket))
        assert not gone
        assert len(crowd) == len(here) <= PLACES


def test_nobody_is_sent_away_from_an_empty_crowd() -> None:
    assert not Crowd(PLACES, PER_GROUP).send_one_away()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1:1", "192.0.2.1:2", True),
        ("192.0.2.1:1", "192.0.2.2:1", False),
        ("[2a00::1]:1", "[2a00::2:0:0:1]:1", True),
        ("[2a00::1]:1", "[2a00:0:0:1::1]:1", False),
        ("[fe80::1%2]:1", "[fe80::2%2]:1", False),
    ],
)
def test_a_global_ipv6_network_of_64_bits_is_one_place(one: str, other: str, same: bool) -> None:
    assert (place_of(parse_address(one)) == place_of(parse_address(other))) is same
