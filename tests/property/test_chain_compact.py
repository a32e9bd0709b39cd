"""Compact blocks: from any part of a block that is here, and whatever others send."""

from __future__ import annotations

import contextlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chain.core import compact as module
from apps.chain.core.block import Block
from apps.chain.core.compact import decode_compact, encode_compact, picked, rebuild
from apps.chain.core.rules import Invalid, Rule
from overlay.errors import BadMessage
from overlay.wire import cbor
from tests.support.chains import PARAMS, Maker, anchor


@cache
def blocks() -> tuple[Block, Block]:
    make = Maker(PARAMS)
    txs = [make.tx("anna", anchor(f"{nonce}"), nonce=nonce) for nonce in range(12)]
    return make.block(PARAMS.genesis_id, txs), make.block(PARAMS.genesis_id, txs[:5])


@given(st.sets(st.integers(0, 11)), st.booleans())
def test_what_is_missing_is_asked_for_and_the_rest_is_here(here: set[int], other: bool) -> None:
    block = blocks()[0]
    more = [b"something else", *(blocks()[1].txs if other else ())]
    rebuilding = rebuild(decode_compact(encode_compact(block)), {*(block.txs[at] for at in here), *more})
    there = here | set(range(5)) if other else here
    assert rebuilding.missing == tuple(at for at in range(12) if at not in there)
    assert (rebuilding.block() is None) == bool(rebuilding.missing)
    rebuilding.fill(picked(block, rebuilding.missing))
    rebuilt = rebuilding.block()
    assert rebuilt is not None
    assert (rebuilt.id, rebuilt.raw) == (block.id, block.raw)


def test_it_is_small() -> None:
    assert len(encode_compact(blocks()[0])) == 1 + 2 + len(blocks()[0].raw_header) + 2 + 12 * 8


def test_other_transactions_than_those_asked_for_are_noticed() -> None:
    block = blocks()[0]
    rebuilding = rebuild(decode_compact(encode_compact(block)), block.txs[:10])
    for answer in ([], list(block.txs[10:11]), [block.txs[11], block.txs[10]], [block.txs[10], b"junk"]):
        with pytest.raises(BadMessage):
            rebuild(decode_compact(encode_compact(block)), block.txs[:10]).fill(answer)
    rebuilding.fill(block.txs[10:])
    assert rebuilding.block() is not None


def test_a_collision_leads_to_the_whole_body_and_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    block = blocks()[0]
    with monkeypatch.context() as patch:
        patch.setattr(module, "short_id", lambda _block, raw: bytes([raw[-1] & 1]) * 8)
        compact = decode_compact(encode_compact(block))
        # Both of one id are here: neither is taken.
        assert len(rebuild(compact, block.txs[:4]).missing) in (5, 7, 12)
        one = next(tx for tx in block.txs if tx != block.txs[0] and tx[-1] & 1 == block.txs[0][-1] & 1)
        two = next(tx for tx in block.txs if tx[-1] & 1 != one[-1] & 1)
        rebuilding = rebuild(compact, [one, two])
        assert rebuilding.missing == ()
        assert rebuilding.block() is None


@pytest.mark.parametrize("positions", [[-1], [12], [1, 1], [2, 1]])
def test_positions_that_a_block_has_not(positions: list[int]) -> None:
    with pytest.raises(BadMessage):
        picked(blocks()[0], positions)


@given(st.binary(max_size=200) | st.lists(st.binary(max_size=30), max_size=3).map(cbor.encode))
def test_bytes_of_strangers_raise_nothing_else(data: bytes) -> None:
    with contextlib.suppress(Invalid):
        decode_compact(data)


def test_more_or_fewer_ids_than_the_header_counts() -> None:
    raw_header, ids = cbor.decode(encode_compact(blocks()[0]))
    for other in (ids[:-8], ids + bytes(8), ids[:-1], b""):
        with pytest.raises(Invalid) as caught:
            decode_compact(cbor.encode([raw_header, other]))
        assert caught.value.rule is Rule.B2
    with pytest.raises(Invalid, match="B1"):
        decode_compact(cbor.encode([raw_header, bytes(20_000)]))
