"""Headers, transactions and blocks: one encoding each, and an error that names a rule for everything else."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.chain.core.block import check_body, decode_block, decode_txs, encode_block
from apps.chain.core.header import Header, decode_header, encode_header
from apps.chain.core.limits import MAX_DIFFICULTY, MAX_NUMBER
from apps.chain.core.merkle import leaf_of, root_of
from apps.chain.core.operations import Anchor, Evidence, Operation, Pay, SetName
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.tx import decode_tx, encode_tx, least_fee
from overlay.identity.keys import KeyPair, verify
from overlay.wire import cbor

CHAIN = b"\1\2\3\4\5\6\7\10"
KEY = KeyPair.from_seed(hashlib.sha256(b"sender").digest())

numbers = st.integers(0, MAX_NUMBER - 1)
hashes = st.binary(min_size=32, max_size=32)
headers = st.builds(
    Header, numbers, hashes, hashes, st.integers(0, 2_000), numbers, st.integers(0, MAX_DIFFICULTY), hashes,
    extra=st.binary(max_size=16), nonce=st.binary(min_size=8, max_size=8),
)  # fmt: skip
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(Pay, hashes, st.integers(1, 2**48), memo=st.binary(max_size=32)),
    st.builds(Anchor, hashes, tag=st.binary(max_size=32)),
    st.builds(SetName, st.from_regex(rb"[a-z0-9-]{3,32}", fullmatch=True), st.binary(max_size=128)),
    st.builds(Evidence, st.binary(min_size=1, max_size=200)),
)
lists = st.lists(operations, min_size=1, max_size=16)


def signed(found: list[Operation], *, nonce: int = 0, fee: int = 64, first: int = 0, last: int = 9) -> bytes:
    return encode_tx(KEY, CHAIN, found, nonce=nonce, fee=fee, first=first, last=last)


@given(headers)
def test_a_header_is_read_back(header: Header) -> None:
    raw = encode_header(header)
    assert decode_header(raw) == header
    assert encode_header(decode_header(raw)) == raw


@given(lists, numbers, st.integers(64, 2**40), st.integers(0, 2**40), st.integers(0, 5_760))
def test_a_transaction_is_read_back(found: list[Operation], nonce: int, fee: int, first: int, window: int) -> None:
    raw = signed(found, nonce=nonce, fee=fee, first=first, last=first + window)
    if len(raw) > 4_096:
        with pytest.raises(Invalid, match="X1"):
            decode_tx(raw, CHAIN)
        return
    tx = decode_tx(raw, CHAIN)
    assert (tx.sender, tx.nonce, tx.fee, tx.first, tx.last) == (KEY.key, nonce, fee, first, first + window)
    assert tx.operations == tuple(found)
    assert tx.spent == fee + sum(op.amount for op in found if isinstance(op, Pay))
    assert verify(tx.sender, tx.signed, tx.signature)
    assert signed(list(tx.operations), nonce=nonce, fee=fee, first=first, last=first + window) == raw


@given(st.lists(st.binary(max_size=64), max_size=8))
def test_a_block_is_read_back(txs: list[bytes]) -> None:
    header = Header(1, bytes(32), root_of([leaf_of(tx) for tx in txs]), len(txs), 1, 256, bytes(32))
    block = decode_block(encode_block(encode_header(header), txs))
    check_body(block.header, block.txs)
    assert (block.header, block.txs) == (header, tuple(txs))


@given(st.binary(max_size=300))
def test_bytes_of_strangers_raise_nothing_else(data: bytes) -> None:
    for decode in (decode_header, decode_block, lambda raw: decode_tx(raw, CHAIN)):
        with contextlib.suppress(Invalid):
            decode(data)


@given(lists, st.data())
def test_a_transaction_with_a_byte_changed_is_another_or_none(found: list[Operation], data: st.DataObject) -> None:
    raw = signed(found)
    at, bit = data.draw(st.integers(0, len(raw) - 1)), data.draw(st.integers(0, 7))
    changed = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
    with contextlib.suppress(Invalid):
        tx = decode_tx(changed, CHAIN)
        assert tx.raw == changed
        assert not verify(tx.sender, tx.signed, tx.signature)


items = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=70) | st.none() | st.booleans() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=11),
    max_leaves=12,
)


@given(st.lists(items, min_size=7, max_size=11))
def test_items_of_any_sort_raise_nothing_else(found: list[object]) -> None:
    with contextlib.suppress(Invalid):
        decode_header(cbor.encode(found))
    with contextlib.suppress(Invalid):
        decode_tx(cbor.encode([cbor.encode(found), bytes(64)]), CHAIN)


@given(st.lists(items, max_size=18))
def test_operations_of_any_sort_raise_nothing_else(found: list[object]) -> None:
    with contextlib.suppress(Invalid):
        decode_tx(cbor.encode([cbor.encode([1, CHAIN, bytes(32), 0, 64, 0, 1, found]), bytes(64)]), CHAIN)


def test_a_body_of_the_most_items_and_bytes_is_decoded() -> None:
    pays: list[Operation] = [Pay(bytes(32), 2**40, memo=bytes(32))] * 16
    assert len(decode_tx(signed(pays), CHAIN).operations) == 16
    evidence = signed([Evidence(bytes(3_500))])
    assert len(evidence) < 4_096
    assert least_fee(len(evidence)) == 57
    assert decode_tx(evidence, CHAIN).operations == (Evidence(bytes(3_500)),)


def test_the_error_of_a_block_names_the_transaction() -> None:
    good, bad = signed([Pay(bytes(32), 1)]), signed([Pay(bytes(32), 1)], fee=1)
    with pytest.raises(Invalid, match=r"X8: .*transaction 1\)") as caught:
        decode_txs([good, bad], CHAIN)
    assert caught.value.rule is Rule.X8
    with pytest.raises(Invalid, match="B4"):
        decode_txs([good, good], CHAIN)
    tx = decode_tx(good, CHAIN)
    assert decode_txs([good], CHAIN, known={good: tx})[0] is tx


@pytest.mark.parametrize(
    "item", [[False, bytes(32), 1, b""], [True, bytes(32), b""], [0, bytes(32), True, b""], 0, None]
)
def test_a_boolean_is_no_number(item: object) -> None:
    body = cbor.encode([1, CHAIN, KEY.key, 0, 64, 0, 1, [item]])
    with pytest.raises(Invalid, match="X4"):
        decode_tx(cbor.encode([body, bytes(64)]), CHAIN)
    with pytest.raises(Invalid, match="H1"):
        decode_header(cbor.encode([True, 0, bytes(32), bytes(32), 0, 0, 256, bytes(32), b"", bytes(8)]))
