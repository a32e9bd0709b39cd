"""The rules of a shortlist one by one; tests/property/test_dht_shortlist_model.py has whole lookups."""

from __future__ import annotations

import pytest

from overlay.dht.candidate import State
from overlay.dht.diversity import Diversity
from overlay.dht.shortlist import Shortlist
from overlay.rpc.contact import Contact
from tests.support.dht import contact, lan, state_of, subnet


def near(*numbers: int) -> list[Contact]:
    """Contacts at these distances from target 0."""
    return [contact(n, address=f"10.0.0.{n}:4433") for n in numbers]


def shortlist(seeds: list[Contact], *, k: int = 3, alpha: int = 3, paths: int = 1, width: int = 2) -> Shortlist:
    return Shortlist(0, seeds=seeds, diversity=Diversity(), k=k, alpha=alpha, paths=paths, width=width)


def drain(s: Shortlist) -> list[Contact]:
    """All that may be asked now."""
    out = []
    while (c := s.next()) is not None:
        out.append(c)
    return out


def test_nobody_known_is_over_at_once() -> None:
    s = shortlist([])
    assert s.next() is None
    assert s.finished()
    assert s.answered() == []


def test_asks_the_nearest_first_alpha_at_a_time() -> None:
    a, b, c, d = near(1, 2, 3, 4)
    s = shortlist([d, b, c, a], k=4, alpha=2)
    assert drain(s) == [a, b]
    s.on_reply(a, [])
    assert drain(s) == [c]


def test_asks_only_the_k_nearest() -> None:
    a, b, c = near(1, 2, 3)
    s = shortlist([a, b, c], k=2)
    assert drain(s) == [a, b]
    s.on_reply(a, [])
    s.on_failed(b)
    assert drain(s) == [c], "somebody failed, so the next takes the place"
    s.on_reply(c, [])
    assert s.finished()
    assert s.answered() == [a, c]


def test_a_slow_one_gives_its_slot_back_and_is_waited_for() -> None:
    a, b = near(1, 2)
    s = shortlist([a, b], alpha=1)
    assert drain(s) == [a]
    s.on_slow(a)
    assert drain(s) == [b]
    s.on_reply(b, [])
    assert not s.finished()
    assert s.waiting()
    (c,) = near(3)
    assert s.on_reply(a, [c]) == 1
    assert drain(s) == [c]


def test_a_late_one_is_not_waited_for_and_others_are_asked_instead() -> None:
    a, b, c = near(1, 2, 3)
    s = shortlist([a, b, c], k=2)
    assert drain(s) == [a, b]
    s.on_reply(b, [])
    s.on_slow(a)
    assert drain(s) == []
    s.on_late(a)
    assert drain(s) == [c]
    s.on_reply(c, [])
    assert s.finished()
    assert s.answered() == [b, c]
    s.on_reply(a, [])  # after all
    assert s.closest_answered(2) == [a, b]
    s.on_failed(a)
    assert state_of(s, a) is State.ANSWERED


def test_who_is_in_flight_beyond_the_k_nearest_is_not_waited_for() -> None:
    a, far = contact(1), contact(900)
    s = shortlist([a, far], k=2)
    assert drain(s) == [a, far]
    s.on_reply(a, near(2))
    (b,) = drain(s)
    s.on_reply(b, [])
    assert s.finished(), "two nearer ones have answered"
    assert not s.waiting()


def test_answers_that_nobody_asked_for_change_nothing() -> None:
    a, b = near(1, 2)
    s = shortlist([a], k=2)
    assert s.on_reply(a, [b]) == 0
    assert s.on_reply(b, [a]) == 0
    drain(s)
    assert s.on_reply(a, []) == 0
    assert s.on_reply(a, [b]) == 0, "the second answer"
    assert s.finished()


def test_paths_are_dealt_the_seeds_nearest_first_and_have_one_request_each() -> None:
    seeds = near(1, 2, 3, 4, 5)
    s = shortlist(seeds, k=9, paths=2)
    assert [s.path_of(c) for c in seeds] == [0, 1, 0, 1, 0]
    assert drain(s) == seeds[:2]
    s.on_reply(seeds[1], [])
    assert drain(s) == [seeds[3]]
    s.on_slow(seeds[0])
    assert drain(s) == [seeds[2]]


def test_there_are_no_more_paths_than_seeds() -> None:
    assert shortlist(near(1, 2), paths=8).paths == 2
    one = shortlist(near(1), paths=8)
    assert one.paths == 1
    drain(one)
    one.on_reply(near(1)[0], [])


def test_a_path_follows_its_own_nearest_whatever_the_other_found() -> None:
    """The liar's path has all of the k nearest; the other goes on to `width` of its own."""
    liar, honest = contact(100), contact(200)
    s = shortlist([liar, honest], k=3, paths=2, width=2)
    assert drain(s) == [liar, honest]
    s.on_reply(liar, near(1, 2, 3))
    farther = [contact(n) for n in (50, 60, 70)]
    s.on_reply(honest, farther)
    asked = []
    while batch := drain(s):
        asked += batch
        for c in batch:
            s.on_reply(c, [])
    assert set(farther[:2]) <= set(asked)
    assert farther[2] not in asked
    assert s.finished()


def test_a_key_belongs_to_the_path_that_named_it_first() -> None:
    a, b = near(10, 20)
    shared = contact(5)
    elsewhere = contact(5, address="10.0.0.99:1", key=shared.key)
    s = shortlist([a, b], paths=2, k=9)
    drain(s)
    s.on_reply(a, [shared])
    s.on_reply(b, [elsewhere])
    assert s.path_of(shared) == s.path_of(elsewhere) == s.path_of(a)
    assert s.referrer(shared) is a
    assert s.referrer(elsewhere) is b


def test_a_second_address_is_tried_when_the_first_is_slow_or_failed() -> None:
    false, true = contact(1, address="10.0.0.8:1"), contact(1, address="10.0.0.9:1")
    s = shortlist([false, true], k=1)
    assert drain(s) == [false]
    s.on_slow(false)
    assert drain(s) == [true]
    s.on_reply(true, [])
    s.on_failed(false)
    assert s.finished()
    assert s.closest_answered(5) == [true]


def test_a_key_that_answered_is_not_asked_at_another_address_and_counts_once() -> None:
    a, other = contact(1, address="10.0.0.8:1"), contact(1, address="10.0.0.9:1")
    (b,) = near(2)
    s = shortlist([a, other, b], k=2)
    assert drain(s) == [a, b]
    s.on_reply(a, [])
    s.on_reply(b, [contact(1, address="10.0.0.10:1", key=a.key)])
    assert s.finished()
    assert len(s) == 2


def test_one_peer_cannot_use_up_the_addresses_of_a_key() -> None:
    liar, honest = near(8, 9)
    s = shortlist([liar, honest], k=9)
    drain(s)
    wrong = [contact(1, address=f"10.9.9.{i}:1") for i in range(1, 9)]
    assert s.on_reply(liar, wrong) == 1
    true = contact(1, address="10.0.0.1:1")
    assert s.on_reply(honest, [true]) == 1


def test_addresses_per_key_are_bounded() -> None:
    seeds = near(*range(10, 20))
    s = shortlist(seeds, k=20, alpha=20)
    drain(s)
    for i, c in enumerate(seeds):
        s.on_reply(c, [contact(1, address=f"10.9.9.{i}:1")])
    assert len(s) == 10 + 3


def test_three_candidates_of_a_subnet_if_there_are_enough_others() -> None:
    crowd = subnet(12)
    s = Shortlist(0, seeds=[*lan(20), *crowd], diversity=Diversity(), k=10, alpha=40)
    asked = []
    while batch := drain(s):
        asked += batch
        for c in batch:
            s.on_reply(c, [])
    assert len(set(crowd) & set(asked)) <= 3


def test_the_nearest_three_of_a_subnet() -> None:
    crowd = [contact(n, address=f"50.1.2.{n}:1") for n in range(1, 9)]
    s = Shortlist(0, seeds=[], diversity=Diversity(), k=3)
    seed = contact(2**200, address="60.0.0.1:1")
    s = Shortlist(0, seeds=[seed], diversity=Diversity(), k=3)
    drain(s)
    s.on_reply(seed, [*reversed(crowd)])
    assert drain(s) == crowd[:3]


def test_a_network_within_one_subnet_is_found_whole() -> None:
    members = subnet(15)
    s = Shortlist(0, seeds=members[:5], diversity=Diversity(), k=20)
    asked = []
    while batch := drain(s):
        asked += batch
        for c in batch:
            s.on_reply(c, members)
    assert set(asked) == set(members)
    assert s.finished()


@pytest.mark.parametrize("nearest_first", [True, False])
def test_only_the_nearest_candidates_are_remembered(nearest_first: bool) -> None:
    seed = contact(2**200)
    named = near(*range(1, 200))
    s = Shortlist(0, seeds=[seed], diversity=Diversity(), k=10, alpha=10, max_candidates=50)
    drain(s)
    s.on_reply(seed, named if nearest_first else named[::-1])
    assert len(s) == 50
    assert set(drain(s)) == set(named[:10])


def test_we_are_never_a_candidate() -> None:
    (a,) = near(1)
    s = Shortlist(0, seeds=[a], diversity=Diversity(), own=2)
    drain(s)
    assert s.on_reply(a, near(2)) == 0
    assert s.finished()


def test_alpha_may_grow_on_the_way() -> None:
    s = shortlist(near(1, 2, 3, 4), k=9, alpha=1)
    assert len(drain(s)) == 1
    s.alpha = 3
    assert len(drain(s)) == 2
