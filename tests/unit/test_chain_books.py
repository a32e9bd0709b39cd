"""Operations on a chain: blocks that are put together, and what is given to others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from apps.chain.core.admission import Entry
from apps.chain.core.block import Block
from apps.chain.core.books import Books
from apps.chain.core.compact import encode_compact
from apps.chain.core.header import prefix_of
from apps.chain.core.limits import MAX_BLOCK_BYTES, MAX_HEADER_BYTES
from apps.chain.core.memory import MemoryStore
from apps.chain.core.mining import assembled
from apps.chain.core.news import unpack
from apps.chain.core.outcome import Verdict
from apps.chain.core.tx import least_fee
from apps.chain.core.work import search
from tests.support.chains import QUICK, Maker, World, key_of, pay

#: Payments with the longest memos: 426 of them are larger than a block.
_MANY = 426
_PEOPLE = tuple(f"person {number}" for number in range(8))


def large(nonce: int) -> tuple[str, int]:
    return _PEOPLE[nonce % len(_PEOPLE)], nonce // len(_PEOPLE)


@pytest.fixture(scope="module")
def rich() -> tuple[World, list[bytes]]:
    """A chain on which many may spend, and their transactions."""
    world = World(QUICK, blocks=6)
    world.accepts(world.next(world.make.tx("anna", *(pay(who, 1_000_000) for who in _PEOPLE), nonce=0)))
    pays = [pay("bert", 1, memo=bytes(32))] * 16
    txs = [world.make.tx(who, *pays, nonce=nonce, fee=least_fee(2_000)) for who, nonce in map(large, range(_MANY))]
    return world, txs


def books_on(world: World, waiting: Sequence[bytes] = ()) -> Books:
    """New ones, with the chain of a world, and a pool."""
    books = Books(MemoryStore(), QUICK)
    books._open()
    now_ms = world.now_ms()
    blocks = [raw_at(world, height) for height in range(1, world.height + 1)]
    books.blocks(blocks, (), [b""] * len(blocks), now_ms)
    assert books.ledger.tip.id == world.tip
    for tx in waiting:
        assert books.pool.add(tx, now_ms, signed=True).entry is Entry.ADDED
    return books


def raw_at(world: World, height: int) -> bytes:
    row = world.store.active(height)
    raw = None if row is None else world.store.block(row.id)
    assert raw is not None
    return raw


def verdict(told: tuple[Any, ...]) -> tuple[Verdict, str]:
    first = unpack(told)[0]
    return first.verdict, first.rule


def test_a_block_that_is_too_large_is_invalid_however_it_comes(rich: tuple[World, list[bytes]]) -> None:
    world, txs = rich
    block: Block = world.make.block(world.tip, txs)
    now_ms = world.now_ms(block)
    assert len(block.raw) > MAX_BLOCK_BYTES
    warm, cold, half = books_on(world, txs), books_on(world), books_on(world, txs[:400])
    told, _, missing = warm.compact(encode_compact(block), b"peer", now_ms)
    assert (missing, verdict(told)) == ((), (Verdict.INVALID, "B1"))
    told, of, missing = half.compact(encode_compact(block), b"peer", now_ms)
    filled = half.fill(of, [txs[at] for at in missing], (), b"peer", now_ms)
    assert filled is not None
    assert verdict(filled) == (Verdict.INVALID, "B1")
    [told] = cold.blocks([block.raw], (), [b"peer"], now_ms)
    assert verdict(told) == (Verdict.INVALID, "B1")
    for books in (warm, half, cold):
        assert books.ledger.tip.id == world.tip
        assert books.store.block(block.id) is None
    # Where it was put together it is known to be nothing: no body is looked for.
    assert warm.plan(8) == half.plan(8) == []


def test_the_disk_is_waited_for_where_no_more_blocks_are_to_come() -> None:
    line = Maker(QUICK).line(QUICK.genesis_id, 11)
    told: list[int] = []
    books = Books(MemoryStore(), QUICK, pace=told.append)
    books._open()
    now_ms = 1000 * line[-1].header.time
    books.headers([block.raw_header for block in line], True, b"peer", now_ms)
    for at in range(0, 9, 3):
        books.blocks([block.raw for block in line[at : at + 3]], (), [b"peer"] * 3, now_ms)
    assert told == [8, 5, 2]
    books.blocks([line[10].raw], (), [b"peer"], now_ms)
    books.compact(encode_compact(line[9]), b"peer", now_ms)
    assert books.ledger.tip.id == line[10].id
    assert told == [8, 5, 2, 1, 0]


def test_the_state_is_digested_where_no_better_block_is_known() -> None:
    line = Maker(QUICK).line(QUICK.genesis_id, 9)
    books = Books(MemoryStore(), QUICK, digest_every=4)
    books._open()
    now_ms = 1000 * line[-1].header.time
    first = books.summary().digest
    assert len(first) == 32
    books.headers([block.raw_header for block in line[:8]], True, b"peer", now_ms)
    for block in line[:7]:
        books.blocks([block.raw], (), [b"peer"], now_ms)
    assert (books.summary().mark_height, books.summary().digest) == (0, first)
    for block in line[7:]:
        books.blocks([block.raw], (), [b"peer"], now_ms)
    told = books.summary()
    assert (told.height, told.mark_height, told.mark) == (9, 8, line[7].id)
    assert told.digest != first
    # Who comes there in one step has the same one.
    other = Books(MemoryStore(), QUICK, digest_every=8)
    other._open()
    other.blocks([block.raw for block in line[:8]], (), [b"peer"] * 8, now_ms)
    assert other.summary().digest == told.digest


def test_a_beacon_is_of_blocks_that_were_checked_and_are_deep() -> None:
    make = Maker(QUICK)
    line = make.line(QUICK.genesis_id, 9)
    better = make.line(line[1].id, 12, miner="x")
    full, light = Books(MemoryStore(), QUICK), Books(MemoryStore(), QUICK, light=True)
    now_ms = 1000 * better[-1].header.time
    for books in (full, light):
        books._open()
        books.headers([block.raw_header for block in line], True, b"peer", now_ms)
    full.blocks([block.raw for block in line], (), [b"peer"] * 9, now_ms)
    found = [[books.asked.beacon(height) for height in (0, 3, 4, 9, 10**6)] for books in (full, light)]
    assert found == [[QUICK.genesis_id, line[2].id, None, None, None]] * 2
    # Headers of a branch whose bodies nobody has looked at change nothing, but where there is nothing else.
    for books in (full, light):
        books.headers([block.raw_header for block in better], True, b"peer", now_ms)
    assert [full.asked.beacon(height) for height in (3, 4)] == [line[2].id, None]
    assert [light.asked.beacon(height) for height in (3, 8, 9)] == [better[0].id, better[5].id, None]


def test_only_bodies_that_were_found_good_are_given(rich: tuple[World, list[bytes]]) -> None:
    world, txs = rich
    books = books_on(world)
    now_ms = world.now_ms() + 60_000
    # One is whole and was never connected; of another the parent's body is not here; both may break a rule.
    side, parent = world.make.block(world.line[-1].id, miner="x"), world.make.block(world.tip, miner="y")
    orphan = world.make.block(parent.id, txs[:1], miner="y")
    books.headers([parent.raw_header], True, b"peer", now_ms)
    told = books.blocks([side.raw, orphan.raw], (), [b"peer"] * 2, now_ms)
    assert [verdict(one)[0] for one in told] == [Verdict.SIDE, Verdict.BODY]
    for block in (side, orphan):
        assert books.store.block(block.id) == block.raw
        assert books.asked.body(block.id) is None
        assert books.asked.txs_at(block.id, range(len(block.txs))) == []
    assert books.asked.body(world.tip) == raw_at(world, world.height)
    assert books.asked.body(parent.id) is books.asked.body(bytes(32)) is None
    # What was connected once is given, on whatever branch it is.
    assert verdict(books.blocks([parent.raw], (), [b"peer"], now_ms)[0]) == (Verdict.TIP, "")
    assert books.asked.body(parent.id) == parent.raw


def test_a_miner_makes_no_block_that_is_too_large(rich: tuple[World, list[bytes]]) -> None:
    world, txs = rich
    books = books_on(world, txs)
    prefix, difficulty, _, _, count = books.template(key_of("miner").key, world.now_ms())
    raw = search(prefix, difficulty, QUICK.pow, start=0, tries=10**6)
    assert raw is not None
    [taken] = books._templates.txs.values()
    block = assembled(raw, taken)
    assert prefix_of(block.header) == prefix
    assert MAX_BLOCK_BYTES - MAX_HEADER_BYTES - 1_500 < len(block.raw) <= MAX_BLOCK_BYTES
    assert count == len(block.txs) < _MANY
    mined = books.mined(raw, block.header.root, world.now_ms(block))
    assert mined is not None
    assert verdict(mined[0]) == (Verdict.TIP, "")
