"""Transactions that wait for a block: lines, gaps, replacements, bounds, and templates (P8)."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.chain.core import gaps, limits
from apps.chain.core import lines as lines_module
from apps.chain.core import pool as pool_module
from apps.chain.core.admission import Entry, rate_of
from apps.chain.core.header import prefix_of
from apps.chain.core.limits import CREDIT, MAX_NONCE_AHEAD, MAX_POOL_PER_ACCOUNT
from apps.chain.core.mining import assembled, header_on
from apps.chain.core.operations import Operation, SetName
from apps.chain.core.outcome import Verdict
from apps.chain.core.pool import Pool
from apps.chain.core.rules import Rule
from apps.chain.core.tx import Tx, decode_tx
from apps.chain.core.work import search
from apps.chain.core.working import Working
from tests.support.chains import QUICK, World, anchor, key_of, pay


def world_and_pool() -> tuple[World, Pool]:
    world = World(QUICK, blocks=5)
    return world, Pool(world.store, QUICK)


def tx_of(world: World, who: str, nonce: int, *operations: Operation, fee: int = 1_000, last: int = 5_000) -> Tx:
    raw = world.make.tx(who, *(operations or (pay("carl", 1),)), nonce=nonce, fee=fee, last=last)
    return decode_tx(raw, QUICK.chain_id)


def mined_by(world: World, pool: Pool) -> Tx | None:
    txs = pool.template()
    header = header_on(QUICK, world.ledger.tip, txs, key_of("miner").key, world.now_ms())
    raw = search(prefix_of(header), header.difficulty, QUICK.pow, start=0, tries=10**6)
    assert raw is not None
    block = assembled(raw, txs)
    outcome = world.ledger.accept_block(block, world.now_ms(block), known=pool.known, checked=pool.checked)
    assert outcome.verdict is Verdict.TIP, outcome
    world.make.learn(block)
    pool.update(outcome, world.now_ms())
    return None


def test_a_line_is_taken_in_order_and_the_best_pays_first() -> None:
    world, pool = world_and_pool()
    slow = [tx_of(world, "anna", nonce, fee=100 * (nonce + 1)) for nonce in range(3)]
    quick = tx_of(world, "bert", 0, fee=250)
    for tx in (*slow, quick):
        assert pool.add(tx, 0).entry is Entry.ADDED
    assert pool.template() == [quick, *slow]
    assert pool.of(key_of("anna").key) == tuple(slow)
    assert pool.next_nonce(key_of("anna").key) == 3
    assert pool.add(slow[0].raw, 0).entry is Entry.KNOWN
    mined_by(world, pool)
    assert (len(pool), pool.size) == (0, 0)


def test_what_is_behind_a_gap_waits_for_it() -> None:
    world, pool = world_and_pool()
    txs = [tx_of(world, "anna", nonce) for nonce in range(4)]
    assert [pool.add(txs[at], 0).entry for at in (2, 3, 1)] == [Entry.GAP] * 3
    assert pool.template() == []
    assert pool.get(txs[2].txid) == txs[2]
    admission = pool.add(txs[0], 0)
    assert (admission.entry, admission.promoted) == (Entry.ADDED, tuple(txs[1:]))
    assert pool.template() == txs
    far = tx_of(world, "anna", 4 + MAX_NONCE_AHEAD + 1)
    assert pool.add(far, 0).rule is Rule.S2


def test_a_gap_is_closed_by_a_block_too() -> None:
    world, pool = world_and_pool()
    first, second = (tx_of(world, "anna", nonce) for nonce in range(2))
    assert pool.add(second, 0).entry is Entry.GAP
    pool.update(world.accepts(world.next(first.raw)), 0)
    assert pool.template() == [second]


def test_another_one_in_its_place_pays_a_quarter_and_a_unit_more() -> None:
    world, pool = world_and_pool()
    old, behind = tx_of(world, "anna", 0, fee=1_000), tx_of(world, "anna", 1, pay("carl", 9_990_000))
    for tx in (old, behind):
        assert pool.add(tx, 0).entry is Entry.ADDED
    cheap = tx_of(world, "anna", 0, pay("dora", 2), fee=1_250)
    assert pool.add(cheap, 0).entry is Entry.REFUSED
    dear = tx_of(world, "anna", 0, pay("dora", 20_000), fee=1_251)
    admission = pool.add(dear, 0)
    # With that paid, the one behind it is more than there is.
    assert (admission.entry, admission.dropped) == (Entry.ADDED, (old, behind))
    assert pool.template() == [dear]
    impossible = tx_of(world, "anna", 0, pay("dora", 10_000_000), fee=9_999)
    assert pool.add(impossible, 0).rule is Rule.S3
    assert pool.template() == [dear]


@pytest.mark.parametrize(
    ("raw", "rule", "blamed"),
    [("signature", Rule.X7, True), ("junk", Rule.X1, True), ("funds", Rule.S3, False), ("old", Rule.S2, False)],
)
def test_what_breaks_a_rule_is_told_and_who_is_to_blame(raw: str, rule: Rule, blamed: bool) -> None:
    world, pool = world_and_pool()
    good = tx_of(world, "anna", 0).raw
    offered = {
        "signature": good[:-1] + bytes([good[-1] ^ 1]), "junk": b"\x80",
        "funds": tx_of(world, "anna", 0, pay("carl", 10_000_000)).raw, "old": tx_of(world, "miner", 0).raw,
    }[raw]  # fmt: skip
    admission = pool.add(offered, 0)
    assert (admission.entry, admission.rule, admission.blamed) == (Entry.INVALID, rule, blamed)
    assert len(pool) == 0


def test_an_expired_one_goes_with_the_next_block_and_those_behind_it() -> None:
    world, pool = world_and_pool()
    txs = [tx_of(world, "anna", 0, last=world.height + 1), tx_of(world, "anna", 1)]
    for tx in txs:
        pool.add(tx, 0)
    dropped = pool.update(world.accepts(world.next()), 0)
    assert dropped == txs
    assert pool.template() == []


def test_a_template_with_a_name_that_two_want() -> None:
    world, pool = world_and_pool()
    name = SetName(b"cam-1", b"x")
    poor, rich = tx_of(world, "anna", 0, name, fee=CREDIT + 10), tx_of(world, "bert", 0, name, fee=CREDIT + 500)
    for tx in (poor, rich, tx_of(world, "bert", 1)):
        assert pool.add(tx, 0).entry is Entry.ADDED
    assert [tx.sender for tx in pool.template()] == [key_of("bert").key] * 2
    mined_by(world, pool)
    assert len(pool) == 0


def test_no_account_has_more_than_its_share() -> None:
    world, pool = world_and_pool()
    txs = [tx_of(world, "anna", nonce) for nonce in range(MAX_POOL_PER_ACCOUNT + 1)]
    entries = [pool.add(tx, 0).entry for tx in txs]
    assert entries == [Entry.ADDED] * MAX_POOL_PER_ACCOUNT + [Entry.REFUSED]


def test_a_full_pool_drops_the_end_that_pays_least_and_asks_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_POOL_TXS", 3)
    world, pool = world_and_pool()
    txs = [tx_of(world, "anna", 0, fee=5_000), tx_of(world, "anna", 1, fee=300), tx_of(world, "bert", 0, fee=400)]
    for tx in txs:
        assert pool.add(tx, 0).entry is Entry.ADDED
    assert pool.add(tx_of(world, "miner", 1, fee=200), 0).entry is Entry.REFUSED
    dear = tx_of(world, "miner", 1, fee=1_000)
    admission = pool.add(dear, 0)
    assert admission.dropped == (txs[1],)
    assert set(pool.template()) == {txs[0], txs[2], dear}
    assert pool.floor(0) == rate_of(txs[1])
    assert pool.floor(600_000) == pytest.approx(rate_of(txs[1]) / 2)
    again = tx_of(world, "anna", 1, fee=200)
    assert "asked are" in pool.add(again, 0).why
    # Nobody drops its own line to go on with it.
    assert pool.add(tx_of(world, "bert", 1, fee=9_000), 0).entry is Entry.REFUSED
    # What is sent in place of the dropped one stands on what is left of its line.
    assert pool.next_nonce(key_of("anna").key) == 1
    assert pool.add(anew := tx_of(world, "anna", 1, fee=3_000), 0).dropped == (txs[2],)
    assert pool.of(key_of("anna").key) == (txs[0], anew)


def test_bytes_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    world, pool = world_and_pool()
    first = tx_of(world, "anna", 0, fee=500)
    monkeypatch.setattr(lines_module, "MAX_POOL_BYTES", len(first.raw) + 10)
    assert pool.add(first, 0).entry is Entry.ADDED
    second = tx_of(world, "bert", 0, fee=501)
    assert pool.add(second, 0).dropped == (first,)
    assert pool.size == len(second.raw)


def test_bytes_are_bounded_when_one_takes_the_place_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    world, pool = world_and_pool()
    small, cheap = tx_of(world, "anna", 0, fee=500), tx_of(world, "bert", 0, fee=900)
    for tx in (small, cheap):
        assert pool.add(tx, 0).entry is Entry.ADDED
    large = [pay("carl", 1, memo=bytes(32)), pay("carl", 1)]
    monkeypatch.setattr(lines_module, "MAX_POOL_BYTES", pool.size + 10)
    # It pays more than what it replaces, and for a byte less than what would have to go.
    refused = pool.add(tx_of(world, "anna", 0, *large, fee=1_000), 0)
    assert (refused.entry, "pay more" in refused.why) == (Entry.REFUSED, True)
    assert (set(pool), pool.floor(0)) == ({small, cheap}, 0)
    dear = tx_of(world, "anna", 0, *large, fee=50_000)
    assert len(dear.raw) < pool.size + 10
    assert pool.add(dear, 0).entry is Entry.REFUSED  # what pays least is what it replaces
    monkeypatch.undo()
    assert pool.add(middle := tx_of(world, "anna", 0, fee=5_000), 0).entry is Entry.ADDED
    monkeypatch.setattr(lines_module, "MAX_POOL_BYTES", pool.size + 10)
    assert pool.add(dear, 0).dropped == (middle, cheap)
    assert set(pool) == {dear}
    assert pool.size == len(dear.raw)
    assert pool.floor(0) == rate_of(cheap)


def test_one_takes_the_place_of_another_in_a_pool_that_is_full_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_POOL_TXS", 2)
    world, pool = world_and_pool()
    old, other = tx_of(world, "anna", 0, fee=500), tx_of(world, "bert", 0, fee=400)
    for tx in (old, other):
        assert pool.add(tx, 0).entry is Entry.ADDED
    new = tx_of(world, "anna", 0, fee=700)
    assert pool.add(new, 0).dropped == (old,)
    assert set(pool) == {new, other}


def test_gaps_are_bounded_and_who_pays_least_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "MAX_POOL_GAPS", 2)
    world, pool = world_and_pool()
    good = tx_of(world, "anna", 1, fee=5_000)
    cheap, same, dear = (tx_of(world, "bert", nonce, fee=fee) for nonce, fee in ((1, 300), (2, 300), (3, 400)))
    assert [pool.add(tx, 0).entry for tx in (good, cheap)] == [Entry.GAP] * 2
    assert pool.add(same, 0).entry is Entry.REFUSED
    assert pool.add(dear, 0).dropped == (cheap,)
    assert [pool.get(tx.txid) for tx in (good, cheap, same, dear)] == [good, None, None, dear]
    # In its own place one that pays more is taken, though all others pay more than both.
    again = tx_of(world, "bert", 3, fee=401)
    assert pool.add(again, 0).dropped == (dear,)


def test_a_place_behind_a_gap_is_for_who_has_what_it_spends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand keys of nothing put nobody out."""
    monkeypatch.setattr(gaps, "MAX_POOL_GAPS", 3)
    world, pool = world_and_pool()
    good = tx_of(world, "anna", 1, fee=5_000)
    assert pool.add(good, 0).entry is Entry.GAP
    for number in range(5):
        told = pool.add(tx_of(world, f"nobody {number}", 1, fee=9_000_000), 0)
        assert (told.entry, told.rule, told.blamed) == (Entry.INVALID, Rule.S3, False)
    assert pool.get(good.txid) == good
    # All of an account together, and another one in the place of one counts once.
    half = [tx_of(world, "bert", nonce, pay("carl", 6_000_000), fee=1_000) for nonce in (1, 2)]
    assert [pool.add(tx, 0).rule for tx in half] == [None, Rule.S3]
    assert pool.add(tx_of(world, "bert", 1, pay("carl", 7_000_000), fee=2_000), 0).entry is Entry.GAP


def test_a_place_behind_a_gap_goes_with_what_was_to_pay_for_it() -> None:
    world, pool = world_and_pool()
    behind, more = (tx_of(world, "anna", nonce, pay("carl", 4_000_000)) for nonce in (2, 3))
    assert [pool.add(tx, 0).entry for tx in (behind, more)] == [Entry.GAP] * 2
    pool.update(world.accepts(world.next(tx_of(world, "anna", 0, pay("dora", 5_000_000)).raw)), 0)
    assert [pool.get(tx.txid) for tx in (behind, more)] == [None, more]


def test_what_is_forged_waits_behind_no_gap() -> None:
    """What comes into line from there counts as checked."""
    world, pool = world_and_pool()
    good = tx_of(world, "anna", 1)
    forged = good.raw[:-1] + bytes([good.raw[-1] ^ 1])
    told = pool.add(forged, 0)
    assert (told.entry, told.rule, told.blamed) == (Entry.INVALID, Rule.X7, True)
    assert pool.add(tx_of(world, "anna", 0), 0).promoted == ()
    assert (len(pool), len(pool.checked), len(pool.known)) == (1, 1, 1)
    assert pool.add(good.raw, 0).entry is Entry.ADDED


def test_what_is_too_old_behind_a_gap_is_forgotten() -> None:
    world, pool = world_and_pool()
    old = tx_of(world, "anna", 1, last=world.height + 1)
    assert pool.add(old, 0).entry is Entry.GAP
    pool.update(world.accepts(world.next()), 0)
    assert pool.get(old.txid) is None
    assert pool.add(old, 0).rule is Rule.S1


@pytest.mark.parametrize("back_ms", [3_600_000, 8 * 86_400_000])
def test_a_clock_that_is_set_back_raises_no_floor(monkeypatch: pytest.MonkeyPatch, back_ms: int) -> None:
    monkeypatch.setattr(lines_module, "MAX_POOL_TXS", 1)
    world, pool = world_and_pool()
    then_ms = 1_800_000_000_000
    pool.add(tx_of(world, "anna", 0, fee=300), then_ms)
    assert pool.add(tx_of(world, "bert", 0, fee=400), then_ms).entry is Entry.ADDED
    floor = pool.floor(then_ms)
    assert floor > 0
    assert pool.add(tx_of(world, "anna", 0, fee=500), then_ms - back_ms).entry is Entry.ADDED
    assert pool.floor(then_ms - back_ms) == pytest.approx(rate_of(tx_of(world, "bert", 0, fee=400)))
    assert pool.floor(then_ms - back_ms + 600_000) == pytest.approx(pool.floor(then_ms - back_ms) / 2)


def test_those_behind_a_transaction_that_waits_again_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """F4: the block with the first is taken back, the others had not been in any."""
    world, pool = world_and_pool()
    fork = world.tip
    txs = [tx_of(world, "anna", nonce, fee=2_000) for nonce in range(3)]
    for tx in txs:
        pool.add(tx, 0)
    pool.update(world.accepts(world.next(txs[0].raw)), 0)
    assert pool.of(key_of("anna").key) == tuple(txs[1:])
    other = tx_of(world, "bert", 0, fee=9)
    branch = [world.make.block(fork, [other.raw], miner="x")]
    branch.append(world.make.block(branch[0].id, miner="x"))
    for block in branch:
        assert pool.update(world.offer(block), 0) == []
    assert pool.of(key_of("anna").key) == tuple(txs)
    # Back again, with less room: who pays least does not fit any more.
    back = world.make.line(world.make.block(fork, [txs[0].raw]).id, 2)
    world.offer(world.next())
    monkeypatch.setattr(lines_module, "MAX_POOL_TXS", 2)
    first = world.store.header(back[0].header.parent)
    assert first is not None
    for block in back:
        pool.update(world.offer(block), 0)
    more = world.make.line(back[-1].id, 2)
    for block in more:
        pool.update(world.offer(block), 0)
    assert world.tip == more[-1].id
    assert set(pool) == set(txs[1:])


def test_names_that_wait_are_still_there_after_a_block() -> None:
    world, pool = world_and_pool()
    name = tx_of(world, "anna", 0, SetName(b"cam-1", b"x"), fee=CREDIT + 100)
    again = tx_of(world, "anna", 1, SetName(b"cam-1", b"y"), fee=100)
    for tx in (name, again):
        assert pool.add(tx, 0).entry is Entry.ADDED
    assert pool.update(world.accepts(world.next()), 0) == []
    assert pool.template() == [name, again]
    other = tx_of(world, "bert", 0, SetName(b"cam-1", b"z"), fee=CREDIT + 100)
    assert pool.update(world.accepts(world.next(other.raw)), 0) == [name, again]


def test_a_template_fits_into_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_BLOCK_TXS", 2)
    world, pool = world_and_pool()
    for nonce in range(3):
        pool.add(tx_of(world, "anna", nonce), 0)
    assert len(pool.template()) == 2
    monkeypatch.setattr(pool_module, "ROOM_FOR_TXS", len(tx_of(world, "anna", 0).raw) + limits.HEAD_BYTES)
    assert len(pool.template()) == 1


wishes = st.tuples(
    st.sampled_from(["anna", "bert", "miner"]), st.integers(0, 4), st.sampled_from(["pay", "all", "name", "anchor"]),
    st.integers(10, 90),
)  # fmt: skip


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(wishes, max_size=8), max_size=4))
def test_every_beginning_of_a_template_is_valid(rounds: list[list[tuple[str, int, str, int]]]) -> None:
    world, pool = world_and_pool()
    for found in rounds:
        for who, ahead, what, fee in found:
            operation: Operation
            match what:
                case "pay":
                    operation = pay("bert", 100_000)
                case "all":
                    operation = pay("bert", 9_000_000)
                case "name":
                    operation, fee = SetName(b"cam-1", who.encode()), fee + CREDIT
                case _:
                    operation = anchor(who)
            nonce = pool.next_nonce(key_of(who).key) + ahead - 2
            if nonce >= 0:
                pool.add(tx_of(world, who, nonce, operation, fee=fee, last=world.height + 1 + ahead), 0)
        txs = pool.template()
        working = Working(world.store, QUICK, world.height + 1, pool.judge)
        working.load(txs)
        for pos, tx in enumerate(txs):  # so each beginning is
            working.apply(tx, pos)
        lines = {sender: pool.of(sender) for sender in {tx.sender for tx in pool}}
        assert sorted(tx.txid for line in lines.values() for tx in line) == sorted(tx.txid for tx in pool)
        assert pool.size == sum(len(tx.raw) for tx in pool)
        assert set(pool.known) == {tx.raw for tx in pool}
        for line in lines.values():
            assert [tx.nonce - line[0].nonce for tx in line] == list(range(len(line)))
        mined_by(world, pool)
