"""Hostile bodies: cases 22 to 33 (docs/protocol/chain.md)."""

from __future__ import annotations

import attrs
import pytest

from apps.chain.core import merkle
from apps.chain.core.block import Block, encode_block, make_block
from apps.chain.core.header import encode_header
from apps.chain.core.limits import MAX_BLOCK_BYTES
from apps.chain.core.outcome import Verdict
from apps.chain.core.rules import Rule
from apps.chain.core.tx import least_fee
from overlay.wire import cbor
from tests.support.chains import World, anchor, pay


def three(world: World) -> list[bytes]:
    return [world.make.tx("anna", pay("bert", 1), anchor(f"{nonce}"), nonce=nonce) for nonce in range(3)]


@pytest.mark.parametrize("by", [-1, 1], ids=["22 too small", "23 too large"])
def test_22_23_another_number_of_transactions_than_the_header_counts(world: World, by: int) -> None:
    txs = three(world)
    raw = world.make.mined(attrs.evolve(world.make.header(world.tip, txs), txs=len(txs) + by))
    world.refuses(Rule.B2, make_block(raw, txs), verdict=Verdict.MUTATED)


def test_24_a_transaction_in_place_of_another(world: World) -> None:
    txs = three(world)
    block = world.next(*txs[:2])
    world.refuses(Rule.B3, make_block(block.raw_header, [txs[0], txs[2]]), verdict=Verdict.MUTATED)


def test_25_transactions_in_another_order(world: World) -> None:
    txs = three(world)
    block = world.next(*txs)
    world.refuses(Rule.B3, make_block(block.raw_header, [txs[0], txs[2], txs[1]]), verdict=Verdict.MUTATED)
    world.accepts(block)


def test_26_the_last_transaction_twice_does_not_spoil_the_block(world: World) -> None:
    txs = three(world)
    block = world.next(*txs)
    world.refuses(Rule.B2, make_block(block.raw_header, [*txs, txs[2]]), verdict=Verdict.MUTATED)
    world.accepts(block)


def test_27_the_body_of_one_peer_does_not_spoil_that_of_another(world: World) -> None:
    txs = three(world)
    block = world.next(*txs)
    mutated = make_block(block.raw_header, [txs[1], txs[0], txs[2]])
    assert world.offer(mutated, source=b"a").verdict is Verdict.MUTATED
    assert world.offer(block, source=b"b").verdict is Verdict.TIP
    assert world.tip == block.id


def test_28_a_transaction_twice_by_its_header(world: World) -> None:
    txs = three(world)
    block = world.next(txs[0], txs[0])
    world.refuses(Rule.B4, block)
    world.refuses(Rule.H11, block)


def filled(world: World, size: int) -> Block:
    """A good block of exactly so many bytes: payments with long memos, and at last some bytes in the header."""
    txs: list[bytes] = []

    def one(operations: int, *memos: int) -> bytes:
        plain = [pay("bert", 1)] * (operations - len(memos))
        pays = [pay("bert", 1, memo=bytes(memo)) for memo in memos]
        return world.make.tx("anna", *plain, *pays, nonce=len(txs), fee=least_fee(1_500))

    def left(*more: bytes) -> int:
        header = attrs.evolve(world.make.header(world.tip), txs=len(txs) + len(more))
        return size - len(encode_block(encode_header(header), [*txs, *more]))

    while (room := left()) > 900:
        txs.append(one(16, *[32] * 16) if room > 2_300 else one(10))
    last = (one(count, min(memo, 32), max(0, memo - 32)) for count in range(2, 17) for memo in range(65))
    txs.append(next(tx for tx in last if 0 <= left(tx) <= 16))
    return world.next(*txs, extra=bytes(left()))


@pytest.fixture(scope="module")
def full() -> tuple[Block, Block]:
    """Of the most bytes, and of one more."""
    world = World()
    return filled(world, MAX_BLOCK_BYTES), filled(world, MAX_BLOCK_BYTES + 1)


def test_29_a_block_of_the_most_bytes_is_accepted(world: World, full: tuple[Block, Block]) -> None:
    assert len(full[0].raw) == MAX_BLOCK_BYTES
    world.accepts(full[0])


def test_30_a_byte_more_is_not(world: World, full: tuple[Block, Block]) -> None:
    assert len(full[1].raw) == MAX_BLOCK_BYTES + 1
    world.refuses(Rule.B1, full[1].raw)


def test_30_nor_is_one_that_was_put_together_here(world: World, full: tuple[Block, Block]) -> None:
    world.refuses(Rule.B1, full[1])
    assert world.ledger.best.id == world.tip
    assert world.store.block(full[1].id) is None
    world.refuses(Rule.H11, full[1])  # its header commits to all of it: there is no other body


def test_30_nor_one_whose_parent_has_no_body_yet(world: World, full: tuple[Block, Block]) -> None:
    parent = world.next()
    header = world.make.header(parent.id, full[1].txs, extra=full[1].header.extra)
    block = make_block(world.make.mined(header), full[1].txs)
    assert len(block.raw) > MAX_BLOCK_BYTES
    world.ledger.accept_header(parent.raw_header, world.now_ms(parent))
    world.refuses(Rule.B1, block)
    assert world.store.block(block.id) is None
    world.accepts(parent)


def test_30_nor_is_a_block_in_another_encoding(world: World) -> None:
    raw = world.next().raw
    for other in (raw + b"\0", b"\x83" + raw[1:] + b"\0", b"\x9f" + raw[1:] + b"\xff", b"", cbor.encode([b"", [0]])):
        world.refuses(Rule.B1, other)


def test_31_a_transaction_more_than_allowed(world: World) -> None:
    header = world.make.header(world.tip, [b"tx"] * 2_001)
    world.refuses_header(Rule.H5, encode_header(header))
    world.refuses(Rule.H5, encode_block(encode_header(header), [b"tx"] * 2_001))
    world.refuses(Rule.B1, encode_block(encode_header(header), [b"tx"] * 2_002))


def test_32_no_transactions_and_a_root(world: World) -> None:
    raw = world.make.mined(attrs.evolve(world.make.header(world.tip), root=bytes(32)))
    world.refuses(Rule.B3, make_block(raw, ()), verdict=Verdict.MUTATED)


def test_33_a_leaf_that_is_a_node_of_the_tree(world: World) -> None:
    txs = three(world)[:2]
    leaves = [merkle.leaf_of(tx) for tx in txs]
    block = world.next(*txs)
    trick = leaves[0] + leaves[1]
    world.refuses(Rule.B2, make_block(block.raw_header, [trick]), verdict=Verdict.MUTATED)
    one = world.make.mined(attrs.evolve(world.make.header(world.tip, txs), txs=1))
    world.refuses(Rule.B3, make_block(one, [trick]), verdict=Verdict.MUTATED)
    world.accepts(block)
