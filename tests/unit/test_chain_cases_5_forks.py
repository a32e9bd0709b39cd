"""Branches: cases 73 to 81 (docs/protocol/chain.md)."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from apps.chain.core.admission import Entry
from apps.chain.core.block import Block
from apps.chain.core.ledger import open_ledger
from apps.chain.core.memory import MemoryStore
from apps.chain.core.outcome import Verdict
from apps.chain.core.pool import Pool
from apps.chain.core.rows import Status
from apps.chain.core.rules import Rule
from apps.chain.core.state import digest_of
from tests.support.chains import PARAMS, Maker, World, key_of, pay


def test_73_equal_work_changes_nothing(world: World) -> None:
    fork = world.tip
    world.accepts(world.next(miner="anna"))
    tip, digest = world.tip, world.digest
    other = world.make.block(fork, miner="bert")
    assert world.offer(other).verdict is Verdict.SIDE
    assert (world.tip, world.digest) == (tip, digest)
    reopened = open_ledger(world.store, PARAMS)
    assert reopened.tip.id == tip


def test_73_of_equal_ones_that_are_whole_at_once_the_first_counts(world: World) -> None:
    trunk = world.make.block(world.tip)
    equal = [world.make.block(trunk.id, miner=who) for who in ("anna", "bert", "carl")]
    for block in (trunk, *equal):
        world.ledger.accept_header(block.raw_header, world.now_ms(block))
    assert [world.offer(block).verdict for block in equal] == [Verdict.BODY] * 3
    assert world.offer(trunk).verdict is Verdict.TIP
    seqs = {row.id: row.seq for block in equal if (row := world.store.header(block.id))}
    assert len(set(seqs.values())) == 3
    assert world.tip == min(seqs, key=seqs.__getitem__)


def test_74_more_work_in_fewer_blocks(world: World) -> None:
    """Slow blocks fall back to the least difficulty, quick ones rise above it."""
    world.accepts(world.next(after_s=1))
    fork, slow = world.tip, world.make.line(world.tip, 30, after_s=180)
    for block in slow:
        world.accepts(block)
    quick = world.make.line(fork, 29, after_s=1, miner="bert")
    assert sum(block.header.difficulty for block in quick) > sum(block.header.difficulty for block in slow)
    verdicts = [world.offer(block, now_ms=world.now_ms(slow[-1])).verdict for block in quick]
    assert set(verdicts[:10]) == {Verdict.SIDE}
    assert verdicts[-1] is Verdict.TIP
    assert world.height == slow[-1].header.height - 1


def bad_tx(world: World) -> bytes:
    return world.make.tx("anna", pay("bert", 1), nonce=9)


def branch_with_a_bad_one(world: World, bad_at: int, length: int = 4) -> list[Block]:
    """Longer than three blocks of the tip, with a transaction in it that cannot be."""
    parent, blocks = world.tip, []
    for at in range(length):
        good = world.make.tx("bert", pay("carl", at + 1), nonce=at)
        txs = [bad_tx(world)] if at == bad_at else [good] if at < bad_at else []
        blocks.append(world.make.block(parent, txs, miner="mallory"))
        parent = blocks[-1].id
    return blocks


@pytest.mark.parametrize("bad_at", [3, 0, 1], ids=["75 its last block", "76 its first block", "76 its second"])
def test_75_76_a_branch_with_a_bad_block_is_taken_back(world: World, bad_at: int) -> None:
    branch = branch_with_a_bad_one(world, bad_at)
    for nonce in range(3):
        world.accepts(world.next(world.make.tx("anna", pay("bert", 1), nonce=nonce)))
    tip, digest = world.tip, world.digest
    for block in branch[:-1]:
        assert world.offer(block).verdict is Verdict.SIDE
    outcome = world.offer(branch[-1])
    assert (outcome.verdict, outcome.rule) == (Verdict.INVALID, Rule.S2)
    assert outcome.culprit == (None if bad_at == 3 else branch[bad_at].id)
    assert (outcome.connected, outcome.disconnected) == ((), ())
    assert (world.tip, world.digest) == (tip, digest)
    assert world.ledger.best.id == tip
    statuses = [row.status for block in branch if (row := world.store.header(block.id))]
    good = Status.READY
    assert statuses == [good] * bad_at + [Status.INVALID] + [Status.DOOMED] * (3 - bad_at)
    # What is good of it can still win.
    if bad_at == 3:
        world.make.learn(branch[2])
        more = world.make.line(branch[2].id, 2, miner="bert")
        assert [world.offer(block).verdict for block in more] == [Verdict.TIP, Verdict.TIP]


def test_75_the_good_part_of_a_branch_is_taken_at_once(world: World) -> None:
    branch = branch_with_a_bad_one(world, 3)
    world.accepts(world.next())
    for block in branch[1:]:
        world.refuses(Rule.H6, block, verdict=Verdict.ORPHAN)
    outcome = world.offer(branch[0], now_ms=world.now_ms(branch[-1]))
    assert outcome.verdict is Verdict.SIDE
    assert [one.verdict for one in outcome.then] == [Verdict.TIP, Verdict.TIP, Verdict.INVALID]
    assert world.tip == branch[2].id


def test_75_so_it_is_when_its_first_body_comes_last(world: World) -> None:
    branch = branch_with_a_bad_one(world, 2)
    world.accepts(world.next())
    for block in branch:
        world.ledger.accept_header(block.raw_header, world.now_ms(block))
    assert [world.offer(block).verdict for block in branch[1:]] == [Verdict.BODY] * 3
    outcome = world.offer(branch[0])
    assert outcome.verdict is Verdict.TIP
    assert [(one.verdict, one.block, one.rule) for one in outcome.then] == [
        (Verdict.INVALID, branch[2].id, Rule.S2)
    ]
    assert world.tip == branch[1].id
    assert world.ledger.best.id == branch[1].id


def test_77_there_and_back_three_times(world: World) -> None:
    sides = [world.tip, world.tip]
    seen: dict[int, bytes] = {}
    for turn in range(6):
        side = turn % 2
        parent, txs = sides[side], []
        for at in range(1 if turn == 0 else 2):
            if turn < 2:
                txs = [world.make.tx("anna", pay("bert" if side else "carl", 7), nonce=at)]
            block = world.make.block(parent, txs, miner=("bert", "carl")[side], extra=bytes([turn, at]))
            outcome = world.offer(block)
            parent = block.id
        assert outcome.verdict is Verdict.TIP
        sides[side] = parent
        seen[turn] = world.digest
    assert len(set(seen.values())) == 6
    assert len(world.store.reorgs(limit=10)) == 5
    assert world.digest == replayed(world)


def replayed(world: World) -> bytes:
    """What an empty store says after the same chain."""
    store = MemoryStore()
    ledger = open_ledger(store, world.params, judge=world.judge)
    for row in world.store.actives(1, world.height):
        raw = world.store.block(row.id)
        assert raw is not None
        assert ledger.accept_block(raw, world.now_ms()).verdict is Verdict.TIP
    return digest_of(store)


def test_78_a_hundred_blocks(world: World) -> None:
    fork = world.tip
    for nonce in range(100):
        world.accepts(world.next(world.make.tx("anna", pay("bert", 1), nonce=nonce)))
    branch = world.make.line(fork, 101, miner="bert")
    for block in branch[:-1]:
        world.offer(block, now_ms=world.now_ms(branch[-1]))
    outcome = world.offer(branch[-1])
    assert (outcome.verdict, world.tip) == (Verdict.TIP, branch[-1].id)
    assert (len(outcome.disconnected), len(outcome.connected)) == (100, 101)
    assert world.digest == replayed(world)
    reorg = world.store.reorgs(limit=1)[0]
    assert (reorg.fork, reorg.old_height, reorg.new_height) == (24, 124, 125)


def test_79_what_was_confirmed_on_the_other_branch_waits_again(world: World) -> None:
    pool = Pool(world.store, PARAMS)
    fork = world.tip
    kept = world.make.tx("anna", pay("bert", 5), nonce=0)
    conflict = world.make.tx("bert", pay("carl", 5), nonce=0)
    for tx in (kept, conflict):
        assert pool.add(tx, 0).entry is Entry.ADDED
    pool.update(world.accepts(world.next(kept, conflict)), 0)
    assert len(pool) == 0
    other = world.make.tx("bert", pay("dora", 5), nonce=0)
    branch = [world.make.block(fork, [other], miner="x")]
    branch.append(world.make.block(branch[0].id, miner="x"))
    for block in branch:
        pool.update(world.offer(block), 0)
    assert world.tip == branch[1].id
    assert [tx.raw for tx in pool] == [kept]
    pool.update(world.accepts(world.next(*(tx.raw for tx in pool))), 0)
    assert len(pool) == 0


def test_80_an_account_that_was_made_on_the_other_branch_is_gone(world: World) -> None:
    fork, key = world.tip, key_of("newcomer").key
    world.accepts(world.next(world.make.tx("anna", pay("newcomer", 5), nonce=0)))
    assert world.store.accounts([key])[key].balance == 5
    for block in world.make.line(fork, 2, miner="x"):
        world.offer(block)
    assert world.store.accounts([key]) == {}
    assert world.store.touches(key, limit=1) == []


def test_81_six_blocks_in_every_order() -> None:
    make = Maker(PARAMS)
    trunk = make.line(PARAMS.genesis_id, 4)
    side = make.line(trunk[0].id, 2, miner="side")
    blocks, now_ms = [*trunk, *side], trunk[-1].header.time * 1000
    ends = set()
    for order in itertools.permutations(blocks):
        store = MemoryStore()
        ledger = open_ledger(store, PARAMS)
        for block in order:
            ledger.accept_block(block, now_ms)
        ends.add((ledger.tip.id, digest_of(store)))
    assert len(ends) == 1
    assert ends.pop()[0] == trunk[-1].id


def test_every_case_is_here() -> None:
    names = re.findall(
        r"^def test((?:_\d\d)+)_",
        "".join(path.read_text() for path in Path(__file__).parent.glob("test_chain_cases_*.py")),
        re.MULTILINE,
    )
    assert {int(number) for name in names for number in name[1:].split("_")} == set(range(1, 82))
