"""Headers first: locators, what is answered to them, and what is wanted next; the block that is assumed valid."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from apps.chain.core import waiting as waiting_module
from apps.chain.core.ahead import Ahead, headers_after
from apps.chain.core.block import Block, make_block
from apps.chain.core.branch import Branch
from apps.chain.core.ledger import Ledger, open_ledger
from apps.chain.core.limits import KEPT_BLOCKS
from apps.chain.core.memory import MemoryStore
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import Params
from apps.chain.core.rows import HeaderRow
from apps.chain.core.rules import Rule
from apps.chain.core.state import digest_of
from apps.chain.core.waiting import Held, Orphans, Waiting
from overlay.errors import BadMessage, LocalError
from tests.support.chains import NETWORK, PARAMS, QUICK, Maker, World, nobody_signed, pay


def ledger_with(blocks: list[Block], params: Params = PARAMS) -> Ledger:
    ledger = open_ledger(MemoryStore(), params)
    for block in blocks:
        assert ledger.accept_block(block, block.header.time * 1000).verdict is Verdict.TIP
    return ledger


def test_a_locator_names_blocks_ever_farther_back() -> None:
    blocks = Maker(PARAMS).line(PARAMS.genesis_id, 40)
    ledger = ledger_with(blocks)
    found = [row.height for block in Ahead(ledger).locator() if (row := ledger.store.header(block))]
    assert found == [40, 39, 38, 36, 32, 24, 8, 0]


def test_headers_follow_the_first_block_that_both_have() -> None:
    make = Maker(PARAMS)
    trunk = make.line(PARAMS.genesis_id, 30)
    side = make.line(trunk[19].id, 5, miner="side")
    ours, theirs = ledger_with(trunk[:20] + side), ledger_with(trunk)
    raws = headers_after(theirs.store, Ahead(ours).locator(), limit=8)
    assert raws[0] in [block.raw_header for block in trunk[10:21]]
    assert len(raws) == 8
    assert headers_after(theirs.store, []) == [block.raw_header for block in trunk]
    assert headers_after(theirs.store, [trunk[-1].id]) == []
    with pytest.raises(BadMessage):
        headers_after(theirs.store, [bytes(32)] * 65)


def test_a_new_node_fetches_headers_then_bodies_in_any_order() -> None:
    blocks = Maker(PARAMS).line(PARAMS.genesis_id, 45)
    theirs, ours = ledger_with(blocks), open_ledger(MemoryStore(), PARAMS)
    ahead, branch, now_ms = Ahead(ours), Branch(), blocks[-1].header.time * 1000
    while raws := headers_after(theirs.store, ahead.locator(), limit=10):
        assert ours.accept_headers(raws, now_ms, branch, last=len(raws) < 10).verdict is Verdict.HEADER
    assert (ours.best.height, ours.tip.height, ahead.behind) == (45, 0, 45)
    by_id = {block.id: block for block in blocks}
    while window := ahead.wanted(16):
        assert [row.height for row in window] == sorted(row.height for row in window)
        some = ahead.wanted(16, besides={window[0].id})
        assert window[0] not in some
        ours.accept_blocks([by_id[row.id] for row in reversed(window)], now_ms)
    assert digest_of(ours.store) == digest_of(theirs.store)
    assert ahead.behind == 0


def test_the_way_ahead_changes_with_the_best_header() -> None:
    make = Maker(PARAMS)
    trunk = make.line(PARAMS.genesis_id, 10)
    side = make.line(trunk[4].id, 8, miner="side")
    more = make.line(trunk[-1].id, 6)
    ledger = ledger_with(trunk)
    ahead, now_ms = Ahead(ledger), side[-1].header.time * 1000 + 100_000

    def header(block: Block) -> HeaderRow | None:
        return ledger.store.header(block.id)

    def take(blocks: list[Block]) -> list[bytes]:
        ledger.accept_headers([block.raw_header for block in blocks], now_ms, Branch())
        return [row.id for row in ahead.wanted(100)]

    assert take(side[:5]) == []  # as good as the tip: the first seen stays
    assert take(side[5:7]) == [block.id for block in side[:7]]
    assert take(more[:2]) == [block.id for block in side[:7]]
    assert take(more[2:4]) == [block.id for block in more[:4]]
    some = trunk[0], trunk[-1], more[3], side[0], side[6]
    on_it = [ahead.leads_to(row) for block in some if (row := header(block))]
    assert on_it == [True, True, True, False, False]
    ledger.accept_block(more[0], now_ms)
    ledger.accept_block(more[2], now_ms)
    assert take([]) == [more[1].id, more[3].id]
    assert ahead.behind == 3
    assert ahead.locator()[:3] == [more[3].id, more[2].id, more[1].id]
    # Bodies of the other branch come, and it counts for a while.
    ledger.accept_blocks(side[:7], now_ms)
    assert ledger.tip.id == side[6].id
    assert take([]) == [more[1].id, more[3].id]
    ledger.accept_blocks([more[1], more[3]], now_ms)
    assert ledger.tip.id == more[3].id
    assert take([]) == []


def test_a_long_branch_is_gathered_until_it_is_worth_keeping() -> None:
    """A partition of more blocks than are kept of a worse branch: its headers come in several messages."""
    make = Maker(PARAMS)
    ours, theirs = make.line(PARAMS.genesis_id, 300), make.line(PARAMS.genesis_id, 310, miner="theirs")
    ledger = ledger_with(ours)
    branch, now_ms, raws = Branch(), theirs[-1].header.time * 1000, [block.raw_header for block in theirs]
    assert ledger.accept_headers(raws[:100], now_ms, branch, last=False).headers == ()
    assert len(ledger.store.at_height(1)) == 1
    outcome = ledger.accept_headers(raws[100:200], now_ms, branch, last=False)
    assert len(outcome.headers) == 200
    assert ledger.accept_headers(raws[200:], now_ms, branch).verdict is Verdict.HEADER
    for block in theirs:
        ledger.accept_block(block, now_ms)
    assert ledger.tip.id == theirs[-1].id


def test_up_to_the_block_that_is_assumed_valid_neither_work_nor_signatures_are_checked() -> None:
    world = World(QUICK, blocks=5)
    unsigned = bytearray(world.make.tx("anna", pay("bert", 7), nonce=0))
    unsigned[-1] ^= 1
    # Somebody else's blocks without work, with a transaction that nobody signed: known to be good from elsewhere.
    line, parent = list(world.line), world.tip
    for txs in ((bytes(unsigned),), ()):
        line.append(make_block(nobody_signed(world.make.header(parent, txs)), txs))
        world.make.learn(line[-1])
        parent = line[-1].id
    line += world.make.line(parent, 2)
    params = attrs.evolve(QUICK, assume_valid=(7, line[6].id))
    ledger = open_ledger(MemoryStore(), params)
    branch, now_ms, raws = Branch(), line[-1].header.time * 1000, [block.raw_header for block in line]
    assert ledger.accept_headers(raws[:6], now_ms, branch, last=False).headers == ()
    assert ledger.best.height == 0
    assert len(ledger.accept_headers(raws[6:], now_ms, branch).headers) == 9
    ledger.accept_blocks(line, now_ms)
    assert ledger.tip.id == line[-1].id
    # Without it, or with work that is missing above it, they are nothing.
    plain = open_ledger(MemoryStore(), QUICK)
    outcome = plain.accept_headers(raws, now_ms, Branch())
    assert (outcome.verdict, outcome.rule, len(outcome.headers)) == (Verdict.INVALID, Rule.H3, 5)
    above = make_block(nobody_signed(world.make.header(line[-1].id)), ())
    assert ledger.accept_block(above, now_ms + 20_000).rule is Rule.H3


def test_work_is_checked_after_all_if_headers_end_before_that_block() -> None:
    make = Maker(PARAMS)
    line = make.line(PARAMS.genesis_id, 5)
    params = attrs.evolve(PARAMS, assume_valid=(9, bytes(32)))
    ledger, now_ms = open_ledger(MemoryStore(), params), line[-1].header.time * 1000
    idle = nobody_signed(make.header(line[-1].id))
    raws = [*(block.raw_header for block in line), idle]
    outcome = ledger.accept_headers(raws, now_ms + 20_000, Branch())
    assert (outcome.verdict, outcome.rule, len(outcome.headers)) == (Verdict.INVALID, Rule.H3, 5)
    assert ledger.accept_block(line[0], now_ms).verdict is Verdict.TIP


def test_a_block_may_be_assumed_valid_later_than_it_came() -> None:
    line = Maker(PARAMS).line(PARAMS.genesis_id, 4)
    store = ledger_with(line).store
    open_ledger(store, attrs.evolve(PARAMS, assume_valid=(3, line[2].id)))
    trusted = [row.trusted for block in line if (row := store.header(block.id))]
    assert trusted == [True, True, True, False]


def test_a_store_of_another_chain_is_not_opened() -> None:
    store = ledger_with([]).store
    assert open_ledger(store, PARAMS).tip.height == 0
    with pytest.raises(LocalError, match="not the one of this network"):
        open_ledger(store, Params(NETWORK))


class Full(Exception):
    """What a disk says."""


def test_a_disk_that_refuses_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(QUICK, blocks=6)
    tip, digest = world.tip, world.digest
    block = world.next(world.make.tx("anna", pay("bert", 1), nonce=0))
    for name in ("put_headers", "put_block", "put_undo", "put_accounts", "put_txs", "push_active", "set_status"):
        with monkeypatch.context() as patch:

            def refuse(*_: object, **__: object) -> None:
                raise Full

            patch.setattr(MemoryStore, name, refuse)
            with pytest.raises(Full):
                world.offer(block)
        assert (world.tip, world.digest, world.ledger.best.id) == (tip, digest, tip)
    world.accepts(block)


def test_a_disk_that_can_be_neither_written_nor_read_leaves_the_tip_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(QUICK, blocks=6)
    tip, block = world.tip, world.next()
    branch = world.make.line(world.line[3].id, 4, miner="x")

    def refuse(*_: object, **__: object) -> None:
        raise Full

    for name in ("commit", "push_active"):
        for also in ("header", "tip", "best_header", "last_seq", "rollback"):
            with monkeypatch.context() as patch:
                patch.setattr(MemoryStore, name, refuse)
                rollback = world.store.rollback

                def fails_to_read(also: str = also, rollback: Callable[[], None] = rollback) -> None:
                    rollback()
                    patch.setattr(MemoryStore, also, refuse)
                    if also == "rollback":
                        raise Full

                patch.setattr(MemoryStore, "rollback", lambda _store: fails_to_read())
                with pytest.raises(Full):
                    world.offer(block)
                assert (world.tip, world.ledger.best.id) == (tip, tip)
                if also != "rollback":
                    with pytest.raises(Full):
                        world.offer(block)
            assert world.store.tip().id == world.tip == tip
    assert [world.offer(one).verdict for one in branch][-1] is Verdict.TIP
    assert world.store.tip().id == world.tip == branch[-1].id


def test_a_commit_that_failed_too_late_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(QUICK, blocks=6)
    block = world.next()

    def refuse(*_: object, **__: object) -> None:
        raise Full

    def too_late(store: MemoryStore) -> None:
        commit(store)
        store.begin()
        patch.setattr(MemoryStore, "header", refuse)
        raise Full

    commit = MemoryStore.commit
    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "commit", too_late)
        with pytest.raises(Full):
            world.offer(block)
    assert world.offer(block).verdict is Verdict.KNOWN
    assert world.store.tip().id == world.tip == block.id


def test_of_equal_headers_the_one_counts_whose_body_was_here_first() -> None:
    make = Maker(PARAMS)
    trunk = make.line(PARAMS.genesis_id, 3)
    one, other = make.block(trunk[-1].id, miner="one"), make.block(trunk[-1].id, miner="other")
    ledger = ledger_with(trunk)
    for block in (one, other):
        ledger.accept_header(block.raw_header, 1000 * block.header.time)
    assert ledger.best.id == ledger.store.best_header().id == one.id
    assert ledger.accept_block(other, 1000 * other.header.time).verdict is Verdict.TIP
    assert ledger.best.id == ledger.tip.id == other.id
    assert open_ledger(ledger.store, PARAMS).best.id == other.id
    assert Ahead(ledger).wanted(9) == []


def test_orphans_of_one_peer_do_not_drive_out_all_others() -> None:
    world = World(QUICK, blocks=6)
    ours = world.make.line(world.tip, 2)
    assert world.ledger.accept_header(ours[1].raw_header, world.now_ms(), source=b"good").verdict is Verdict.ORPHAN
    flood = world.make.line(world.make.block(world.tip, miner="x").id, 70, miner="x")
    for block in flood:
        world.ledger.accept_header(block.raw_header, world.now_ms(), source=b"bad")
    waiting = [world.ledger.is_waiting(block.id) for block in flood]
    assert waiting == [False] * 6 + [True] * 64
    assert world.ledger.is_waiting(ours[1].id)
    assert KEPT_BLOCKS == 144


def test_what_cannot_be_taken_back_any_more_stays() -> None:
    """Bodies were pruned: a longer branch from below them cannot be gone to."""
    world = World(QUICK, blocks=10)
    world.store.begin()
    world.store.delete_bodies([block.id for block in world.line[:6]])
    world.store.commit()
    branch = world.make.line(world.line[4].id, 6, miner="x")
    outcomes = [world.offer(block) for block in branch]
    assert {outcome.verdict for outcome in outcomes} == {Verdict.SIDE}
    assert world.tip == world.line[-1].id
    short = world.make.line(world.line[6].id, 4, miner="y")
    assert [world.offer(block).verdict for block in short][-1] is Verdict.TIP
    world.goes_on()


def waiting(number: int, *, parent: int = 0, source: bytes = b"", body: bool = False, size: int = 10) -> Waiting:
    return Waiting(bytes([number]), bytes([parent]), number, bytes(size), body, source)


def test_orphans_are_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "MAX_ORPHANS", 3)
    monkeypatch.setattr(waiting_module, "MAX_ORPHAN_BYTES", 100)
    orphans = Orphans()
    for number in range(1, 5):
        orphans.add(waiting(number, source=bytes([number])))
    assert [bytes([number]) in orphans for number in range(1, 5)] == [False, True, True, True]
    # A body takes the place of its header, and drives out as many as it needs; a header none of a body.
    orphans.add(waiting(2, body=True, size=85))
    orphans.add(waiting(2))
    assert [bytes([number]) in orphans for number in range(1, 5)] == [False, True, False, True]
    assert [one.body for one in orphans.take(b"\0")] == [False, True]
    assert len(orphans) == 0
    orphans.add(waiting(5, size=100))
    assert len(orphans) == 1


def test_of_blocks_from_the_future_the_farthest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "MAX_HELD", 2)
    held = Held()
    for number in (5, 9, 7):
        held.add(waiting(number))
    held.add(waiting(5, body=True))
    held.add(waiting(5))
    assert (len(held), b"\x09" in held) == (2, False)
    assert [(one.time, one.body) for one in held.due(6)] == [(5, True)]
    assert list(held.due(6)) == []
    assert [one.time for one in held.due(7)] == [7]
