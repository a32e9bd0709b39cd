"""Who enters the routing table, who stays, who is pinged when."""

from __future__ import annotations

from itertools import pairwise

import pytest

from overlay.dht.bucket import State
from overlay.dht.diversity import Diversity
from overlay.dht.routing_table import Outcome, RoutingTable
from overlay.limits import DIVERSITY_FLOOR, K
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Interface
from tests.support.dht import contact, internet, lan, subnet, top

S = SECOND


def table(own: int = 0, *, k: int = K, diversity: Diversity | None = None) -> RoutingTable:
    return RoutingTable(own, k=k, diversity=diversity or Diversity(), rng=Rng(1))


def far(i: int) -> Contact:
    """In bucket 0 of own number 0."""
    return contact(top(1, 1) + i, address=f"10.0.{i // 250}.{1 + i % 250}:4433")


def full(k: int = 4) -> RoutingTable:
    """Bucket 0 holds far(0) .. far(k - 1), seen at 0, 1, ... s, and is split off."""
    t = table(k=k)
    for i in range(k):
        t.seen(far(i), i * S)
    t.seen(contact(1), 0)
    assert [len(b.entries) for b in t.buckets()] == [k, 1]
    return t


def test_the_first_answer_enters_and_the_next_refreshes() -> None:
    t = table()
    assert t.seen(far(0), 5).outcome is Outcome.ADDED
    c = t.contacts()[0]
    assert t.seen(c, 9).outcome is Outcome.REFRESHED
    entry = t.get(c.key)
    assert entry is not None
    assert (entry.since_ns, entry.last_seen_ns, entry.state) == (5, 9, State.LIVE)


def test_we_are_not_in_our_own_table() -> None:
    assert table(7).seen(contact(7), 0).outcome is Outcome.REFUSED


def test_a_new_address_moves_the_contact_which_keeps_its_seniority() -> None:
    t = table()
    old, new = contact(5, address="10.0.0.1:1"), contact(5, address="10.0.0.2:1")
    t.seen(old, 0)
    t.failed(old, 1 * S)
    assert t.seen(new, 3 * S).outcome is Outcome.MOVED
    entry = t.get(new.key)
    assert entry is not None
    assert (entry.contact, entry.since_ns, entry.failures) == (new, 0, 0)
    assert t.closest(5, 3) == [new]
    assert not t.failed(old, 9 * S)  # silence of the old address means nothing now
    assert entry.failures == 0


def test_a_full_bucket_keeps_its_old_contacts_and_asks_for_a_test() -> None:
    t = full()
    result = t.seen(far(9), 60 * S)
    assert result.outcome is Outcome.REPLACEMENT
    assert result.test is far_of(t, 0)
    assert len(t.buckets()[0].replacements) == 1
    again = t.seen(far(10), 61 * S)
    assert again.outcome is Outcome.REPLACEMENT
    assert again.test is None, "its ping is under way"
    assert t.due(61 * S) is not result.test


def far_of(t: RoutingTable, i: int) -> Contact:
    entry = t.get(far(i).key)
    assert entry is not None
    return entry.contact


def test_two_failures_in_two_seconds_let_the_replacement_in() -> None:
    t = full()
    newcomer = far(9)
    old = t.seen(newcomer, 60 * S).test
    assert old is not None
    assert not t.failed(old, 61 * S)
    assert not t.failed(old, 61 * S + S // 2), "the same silence"
    assert old.key in t
    assert t.failed(old, 62 * S)
    assert old.key not in t
    assert newcomer.key in t


def test_an_answer_to_the_test_keeps_the_old_one() -> None:
    t = full()
    old = t.seen(far(9), 60 * S).test
    assert old is not None
    t.failed(old, 61 * S)
    t.seen(old, 62 * S)
    assert not t.failed(old, 63 * S)
    assert old.key in t
    assert far(9).key not in t


def test_a_contact_that_fails_alone_stays_but_is_not_handed_out() -> None:
    t = table()
    c = far(0)
    t.seen(c, 0)
    t.failed(c, 1 * S)
    assert t.closest(0, 5) == [c]
    t.failed(c, 2 * S)
    assert t.closest(0, 5) == []
    assert t.closest(0, 5, include_failing=True) == [c]
    assert t.failing_count() == 1
    t.seen(c, 3 * S)
    assert t.closest(0, 5) == [c]
    assert t.failing_count() == 0


def pings_until(t: RoutingTable, c: Contact, end_ns: int, *, answers: bool = False) -> list[int]:
    """Times (s) of the pings of `c` until then, each failing a second later or answered."""
    times = []
    while (due := t.next_due_ns()) is not None and due <= end_ns:
        named = t.due(due)
        assert named is not None
        if named is c:
            times.append(due // S)
            if not answers:
                t.failed(c, due)
        if named is not c or answers:
            t.seen(named, due)
    return times


def test_a_healthy_contact_is_pinged_about_once_a_minute() -> None:
    t = table()
    c = far(0)
    t.seen(c, 0)
    times = pings_until(t, c, 600 * S, answers=True)
    gaps = [b - a for a, b in pairwise([0, *times])]
    assert 8 <= len(times) <= 13
    assert all(44 <= gap <= 76 for gap in gaps)


def test_a_large_table_costs_at_most_one_ping_in_four_seconds() -> None:
    t = table()
    for c in lan(3000):
        t.seen(c, 0)
    pings = 0
    while (due := t.next_due_ns()) is not None and due <= 3600 * S:
        named = t.due(due)
        assert named is not None
        t.seen(named, due)
        pings += 1
    assert 750 < pings < 1050


def test_if_all_are_silent_four_are_asked_a_second_and_if_they_are_back_all_within_seconds() -> None:
    t = table()
    everybody = lan(2000)
    for c in everybody:
        t.seen(c, 0)
    size = len(t)

    def asked(begin: int, end: int, *, answers: bool) -> int:
        count, now = 0, begin
        while now < end:
            while (c := t.due(now)) is not None:
                count += 1
                if answers:
                    t.seen(c, now + S // 100)
                else:
                    t.failed(c, now + S // 2)
            now += S // 10
        return count

    for c in t.contacts():
        t.failed(c, 0)
    asked(0, 100 * S, answers=False)
    assert t.failing_count() > size * 9 // 10
    assert asked(100 * S, 150 * S, answers=False) <= 210
    asked(150 * S, 155 * S, answers=True)
    assert t.failing_count() == 0


def test_a_failing_contact_is_tried_every_ten_seconds_for_five_minutes_then_every_minute() -> None:
    t = table()
    c = far(0)
    t.seen(c, 0)
    times = pings_until(t, c, 900 * S)
    start = times[0]
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[:6] == [1, 2, 4, 8, 10, 10]
    assert all(gap <= 10 for at, gap in zip(times, gaps, strict=False) if at - start < 290)
    assert gaps[-1] == 60


def test_who_is_silent_for_long_is_given_up_only_if_others_answer() -> None:
    lonely, social = table(), table()
    gone, alive = far(0), contact(1)
    for t in (lonely, social):
        t.seen(gone, 0)
    social.seen(alive, 0)
    pings_until(lonely, gone, 4000 * S)
    pings_until(social, gone, 4000 * S)
    assert gone.key in lonely, "we may be the one who is cut off"
    assert gone.key not in social


def test_a_request_of_a_failing_contact_makes_it_due_at_once() -> None:
    t = table()
    c = far(0)
    t.seen(c, 0)
    for i in range(1, 6):
        t.failed(c, i * 10 * S)
    t.heard(c, 51 * S)
    assert t.due(51 * S) is c
    assert t.due(51 * S) is None, "not twice at once"


def test_requests_of_a_healthy_contact_spare_it_the_ping() -> None:
    t = table()
    c = far(0)
    t.seen(c, 0)
    for i in range(1, 20):
        t.heard(c, i * 30 * S)
        assert t.due(i * 30 * S) is None
    t.heard(contact(99), 0)
    assert len(t) == 1, "a request is no answer"


def test_a_change_of_network_makes_all_failing_ones_due() -> None:
    t = table()
    members = [far(i) for i in range(3)]
    for c in members:
        t.seen(c, 0)
        for i in range(1, 40):
            t.failed(c, i * 10 * S)
    t.retry_all(391 * S)
    assert {t.due(391 * S) for _ in members} == set(members)


def test_goodbye_makes_room_for_a_replacement() -> None:
    t = full()
    t.seen(far(9), 60 * S)
    assert t.remove(far(0).key) is not None
    assert far(9).key in t
    assert t.due(60 * S) is not None, "it answered a while ago: asked at once"
    assert t.remove(b"nobody") is None


def test_replacements_are_bounded_and_the_latest_seen_is_taken() -> None:
    t = full()
    for i in range(4, 40):
        t.seen(far(i), 60 * S)
    assert len(t.buckets()[0].replacements) == 10
    t.remove(far(0).key)
    assert far(39).key in t


def test_a_live_newcomer_takes_the_place_of_one_that_failed_twice() -> None:
    t = table(k=4)
    for i in range(4):
        t.seen(far(i), 0)
    t.seen(contact(1), 0)
    t.failed(far_of(t, 2), 1 * S)
    t.failed(far_of(t, 2), 2 * S)
    result = t.seen(far(9), 3 * S)
    assert (result.outcome, result.evicted) == (Outcome.ADDED, None) or result.evicted is not None
    assert far(9).key in t
    assert far(2).key not in t


def test_our_k_nearest_neighbours_are_kept_though_their_bucket_is_full() -> None:
    """Kademlia 2.4: ids 01... fill their bucket; a nearer one of the same bucket still belongs to our k nearest."""
    t = table(k=4)
    for i in range(4):
        t.seen(contact(top(0b01, 2) + (i + 1 << 240)), 0)
    for i in range(4):
        t.seen(contact(top(0b1, 1) + i), 0)
    assert t.seen(contact(top(0b001, 3)), 0).outcome is Outcome.ADDED
    assert t.seen(contact(top(0b01, 2)), 0).outcome is Outcome.ADDED
    assert t.seen(contact(top(0b01, 2) + (9 << 240)), 0).outcome is Outcome.REPLACEMENT
    # And not without bound: ids ground ever nearer fill at most a second bucket's worth.
    for i in range(239, 100, -1):
        t.seen(contact(top(0b01, 2) + (1 << i)), 0)
    assert max(len(b.entries) for b in t.buckets()) == 8


def test_families() -> None:
    t = table()
    four, six = contact(1, address="10.0.0.1:1"), contact(2, address="[fd00::1]:1")
    t.seen(four, 0)
    t.seen(six, 0)
    assert t.closest(0, 5, families=1) == [four]
    assert t.closest(0, 5, families=2) == [six]
    assert t.closest(0, 5) == [four, six]


# --- diversity ------------------------------------------------------------------------------


@pytest.mark.parametrize("members", [lan(8), subnet(8)])
def test_eight_nodes_of_one_24_all_know_each_other(members: list[Contact]) -> None:
    for me in members:
        t = table(me.number)
        for other in members:
            if other is not me:
                assert t.seen(other, 0).outcome is Outcome.ADDED
        assert len(t) == 7


def test_300_nodes_of_one_subnet_do_not_fill_a_large_table() -> None:
    t = table()
    for c in internet(1500):
        t.seen(c, 0)
    before = {entry.contact for entry in t.entries()}
    assert len(before) > 100
    for c in subnet(300):
        t.seen(c, 0)
    held = [entry.contact for entry in t.entries()]
    crowd = sum(c.address.ip[:3] == bytes((50, 1, 2)) for c in held)
    assert crowd <= 20, "only the places that nobody wanted"
    assert before <= set(held), "and nobody had to go for them"
    assert sum(len(b.replacements) for b in t.buckets()) < 200


def test_who_came_from_one_subnet_first_makes_room_for_the_others() -> None:
    t = table()
    for c in subnet(300):
        t.seen(c, 0)
    assert DIVERSITY_FLOOR <= len(t) <= 100
    for c in internet(1500):
        t.seen(c, 1)
    crowd = sum(entry.contact.address.ip[:3] == bytes((50, 1, 2)) for entry in t.entries())
    assert crowd <= 10


def test_a_wide_subnet_has_a_tenth_of_the_table() -> None:
    t = table()
    for c in internet(1000):
        t.seen(c, 0)
    for i in range(100):
        for c in subnet(2, seed=i, prefix=f"50.1.{i}"):
            t.seen(c, 0)
    crowd = sum(entry.contact.address.ip[:2] == bytes((50, 1)) for entry in t.entries())
    assert crowd <= 10 + 20


def test_moving_into_a_crowded_subnet_is_no_way_in() -> None:
    t = table()
    for c in internet(1500):
        t.seen(c, 0)
    for i, entry in enumerate(t.buckets()[0].entries[:8]):
        moved = contact(entry.contact.number, address=f"50.1.2.{i + 1}:1", key=entry.contact.key)
        assert t.seen(moved, 1).outcome is (Outcome.MOVED if i < 2 else Outcome.REFUSED)
        assert (moved.key in t) is (i < 2)
    assert len(t.buckets()[0].entries) >= K, "replacements took their places"


def test_an_attached_subnet_is_not_capped_from_the_moment_it_is_attached() -> None:
    diversity = Diversity()
    t = table(diversity=diversity)
    for c in internet(1500):
        t.seen(c, 0)
    crowd = subnet(300)
    for c in crowd:
        t.seen(c, 0)
    diversity.attach([Interface(bytes((50, 1, 2, 9)), 24)])
    t.regroup()
    assert Outcome.REFUSED not in {t.seen(c, 0).outcome for c in crowd}
    assert not any(entry.capped for entry in t.entries() if entry.contact in crowd)
    diversity.attach([])
    t.regroup()
    assert all(entry.capped for entry in t.entries() if entry.contact in crowd)


def test_has_room_says_what_seen_would_do() -> None:
    t = table()
    for c in internet(1500):
        t.seen(c, 0)
    for c in subnet(300):
        room = t.has_room(c)
        outcome = t.seen(c, 0).outcome
        assert room or outcome in (Outcome.REFUSED, Outcome.REPLACEMENT)
        assert not (room and outcome is Outcome.REFUSED)
    for c in internet(300, seed=3):
        assert t.has_room(c) is (t.seen(c, 0).outcome is Outcome.ADDED), "who would only wait is not worth a PING"
    assert not table(3).has_room(contact(3))


# --- upkeep ----------------------------------------------------------------------------------


def test_buckets_without_lookups_are_stale_and_their_targets_fall_into_them() -> None:
    t = table()
    for c in lan(200):
        t.seen(c, 0)
    depths = [b.depth for b in t.buckets()]
    assert t.stale_buckets(3600 * S, 3600 * S) == depths
    for depth in depths:
        target = t.refresh_target(depth)
        t.touch(target, 1800 * S)
        assert depth not in t.stale_buckets(3600 * S, 3600 * S)
    assert t.stale_buckets(3600 * S, 3600 * S) == []


def test_anchors_are_the_longest_lived_of_the_living() -> None:
    t = table()
    members = [far(i) for i in range(10)]
    for i, c in enumerate(members):
        t.seen(c, i * S)
    t.failed(members[0], 100 * S)
    t.seen(members[5], 200 * S)
    assert t.anchors(3) == members[1:4]
