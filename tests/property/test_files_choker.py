"""Slots: who gives is served, who does not gets the optimistic slot alone, and nobody waits for ever."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core.choker import Choice, Choker, Standing, gift_left, is_taker, slots_for
from apps.files.core.limits import CHOKE_ROUND_S, GIFT_BYTES, OPTIMISTIC_S
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

ROUND = CHOKE_ROUND_S * SECOND
amounts = st.sampled_from([0, 0, 1, 1000, GIFT_BYTES - 1, GIFT_BYTES, 10**9])
standings = st.builds(
    Standing,
    peer=st.integers(0, 30),
    interested=st.booleans(),
    since=st.integers(0, 100 * SECOND),
    rate=amounts,
    given=amounts,
    received=amounts,
    credit=amounts,
    debtor=st.booleans(),
    poor=st.booleans(),
    snubbed=st.booleans(),
)
lines = st.lists(standings, max_size=20, unique_by=lambda standing: standing.peer)


@given(st.lists(st.tuples(lines, st.booleans()), min_size=1, max_size=8), st.integers(1, 6), st.integers(0, 2**32))
def test_every_round_obeys_the_rules(rounds: list[tuple[list[Standing[int]], bool]], slots: int, seed: int) -> None:
    choker: Choker[int] = Choker(Rng(seed), slots=slots)
    before: Choice[int] = Choice((), None)
    chosen_at = most = 0
    for number, (line, seeding) in enumerate(rounds):
        now = 200 * SECOND + number * ROUND
        choice = choker.round(now, line, seeding=seeding)
        by_peer = {standing.peer: standing for standing in line}
        served = [*choice.regular, *([] if choice.optimistic is None else [choice.optimistic])]
        assert len(served) == len(set(served)) <= slots
        assert all(by_peer[peer].interested for peer in served)
        waiting = {standing.peer for standing in line if standing.interested}
        tried = {peer for peer in waiting - set(choice.regular) if seeding or not is_taker(by_peer[peer])}
        # Somebody is tried whenever somebody waits, but for those who only take.
        assert choice.optimistic is not None or not tried

        def merit(peer: int, by_peer: dict[int, Standing[int]] = by_peer, seeding: bool = seeding) -> int:
            one = by_peer[peer]
            return one.credit + one.received if seeding else 0 if one.snubbed else one.rate

        left = waiting - set(served)
        for peer in choice.regular:
            # No free rider in a regular slot while we fetch, and nobody before one who earned more.
            assert seeding or merit(peer) > 0 or gift_left(by_peer[peer]) > 0
            assert all(merit(peer) >= merit(other) for other in left)
            if seeding and by_peer[peer].debtor and merit(peer) <= 0:
                assert all(by_peer[other].debtor for other in left)
        if len(choice.regular) < slots - 1:
            assert not any(seeding or merit(other) > 0 or gift_left(by_peer[other]) > 0 for other in left)
        kept = before.optimistic in waiting and before.optimistic is not None
        if kept and now - chosen_at < OPTIMISTIC_S * SECOND:
            one = by_peer[before.optimistic]  # type: ignore[index]
            if seeding or not is_taker(one) or one.given < most:
                assert choice.optimistic == before.optimistic
        if choice.optimistic is not None and (choice.optimistic != before.optimistic or not kept):
            chosen_at, most = now, by_peer[choice.optimistic].given + GIFT_BYTES
        before = choice


def run(line: list[Standing[str]], *, seeding: bool, rounds: int = 120, slots: int = 4) -> dict[str, list[int]]:
    """Rounds in which each was served: [regular, optimistic]."""
    choker: Choker[str] = Choker(Rng(7), slots=slots)
    served = {standing.peer: [0, 0] for standing in line}
    for number in range(rounds):
        choice = choker.round(1000 * SECOND + number * ROUND, line, seeding=seeding)
        for peer in choice.regular:
            served[peer][0] += 1
        if choice.optimistic is not None:
            served[choice.optimistic][1] += 1
    return served


RIDERS = [Standing(f"rider {i}", True, 0, given=2 * GIFT_BYTES) for i in range(6)]


def test_free_riders_share_the_optimistic_slot_and_nothing_else() -> None:
    givers = [Standing(f"giver {i}", True, 0, rate=1000 + i) for i in range(2)]
    served = run([*RIDERS, *givers], seeding=False)
    assert all(served[giver.peer][0] >= 80 for giver in givers)
    assert all(served[rider.peer][0] == 0 for rider in RIDERS)
    # Each gets its turn, and all together not more than a gift in half a minute.
    assert all(served[rider.peer][1] > 0 for rider in RIDERS)
    assert 30 <= sum(served[rider.peer][1] for rider in RIDERS) <= 120


def test_a_seed_serves_those_with_credit_and_the_others_in_turn() -> None:
    served = run([*RIDERS, Standing("creditor", True, 0, credit=1)], seeding=True)
    assert sum(served["creditor"]) == 120
    # 2 regular slots for 6 of them are 40 turns each; the optimistic one comes on top.
    assert all(20 <= served[rider.peer][0] <= 60 for rider in RIDERS)
    # With as many creditors as slots only the optimistic one is left.
    creditors = [Standing(f"creditor {i}", True, 0, credit=i + 1) for i in range(4)]
    served = run([*RIDERS, *creditors], seeding=True)
    assert all(served[rider.peer][0] == 0 for rider in RIDERS)


def test_who_snubs_us_loses_its_slot() -> None:
    snub = Standing("snub", True, 0, rate=10**9, snubbed=True)
    served = run([snub, *(Standing(str(i), True, 0, rate=1) for i in range(3))], seeding=False)
    assert served["snub"][0] == 0


def test_a_newcomer_has_a_gift_and_then_must_earn() -> None:
    new = Standing("new", True, 1000 * SECOND)
    assert run([*RIDERS, new], seeding=False)["new"][0] > 80
    spent = attrs.evolve(new, given=GIFT_BYTES)
    assert run([*RIDERS, attrs.evolve(spent, poor=True)], seeding=False)["new"][0] > 80
    assert run([*RIDERS, spent], seeding=False)["new"][0] == 0


def test_newcomers_are_tried_three_times_as_often() -> None:
    first = {"old": 0, "new": 0}
    for seed in range(400):
        line = [Standing("old", True, 0), Standing("new", True, 990 * SECOND)]
        choice = Choker[str](Rng(seed), slots=1).round(1000 * SECOND, line, seeding=False)
        first[choice.optimistic or ""] += 1
    assert 250 < first["new"] < 350


def test_slots_follow_the_upload() -> None:
    assert [slots_for(rate) for rate in (None, 0, 5_000, 100_000, 1_000_000, 10**12)] == [5, 3, 3, 3, 15, 64]


def test_those_who_only_take_have_the_optimistic_slot_once_in_half_a_minute() -> None:
    choker: Choker[int] = Choker(Rng(3))
    given = dict.fromkeys(range(6), 2 * GIFT_BYTES)
    drawn = []
    for second in range(0, 300, CHOKE_ROUND_S):
        line = [Standing(peer, True, 0, given=given[peer]) for peer in given]
        assert all(map(is_taker, line))
        choice = choker.round((1000 + second) * SECOND, line, seeding=False)
        assert choice.regular == ()
        if choice.optimistic is not None:
            drawn.append(second)
            given[choice.optimistic] += GIFT_BYTES  # it is spent before the next round
    assert drawn == list(range(0, 300, OPTIMISTIC_S))
