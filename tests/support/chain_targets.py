"""Everything of the chain that reads bytes or text of strangers, as fuzz targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apps.chain.core import bech32m, wire
from apps.chain.core.address import format_address, parse_address
from apps.chain.core.block import decode_block, decode_txs, encode_block
from apps.chain.core.compact import decode_compact, encode_compact
from apps.chain.core.facts import decode_params, encode_params
from apps.chain.core.header import decode_header, encode_header
from apps.chain.core.operations import Evidence, Operation, SetName, decode_operation, encode_operation
from apps.chain.core.proof import check_proof, make_proof
from apps.chain.core.rows import TxRow
from apps.chain.core.tx import decode_tx
from overlay.wire import cbor
from tests.support.chains import QUICK, World, anchor, key_of, pay
from tests.support.fuzzing import Target, accept_all, as_text, as_utf8, bad, local

_CORE = "apps.chain.core"
_OPERATIONS: tuple[Operation, ...] = (
    pay("bert", 7, memo=b"rent"), anchor("a report"), SetName(b"edge-3", b"a value"), Evidence(b"proof of nothing")
)
_WORLD = World(QUICK, blocks=6)
#: All sorts of operations but evidence, of which nothing counts yet.
_TX = _WORLD.make.tx("anna", *_OPERATIONS[:3], nonce=0, fee=2_000_000)
_WORLD.accepts(_WORLD.next(_TX, _WORLD.make.tx("bert", pay("anna", 1), nonce=0)))
_ANY_TX = _WORLD.make.tx("anna", *_OPERATIONS, nonce=1)
_BLOCK = _WORLD.make.block(_WORLD.line[5].id, [_TX, _ANY_TX])
for _ in range(3):
    _WORLD.accepts(_WORLD.next(after_s=5))
_PROOF = make_proof(_WORLD.store, QUICK, TxRow(decode_tx(_TX, QUICK.chain_id).txid, 7, 0))
_ID = bytes(range(32))
_QUESTIONS = (
    wire.AskHeaders((_ID, bytes(32))), wire.AskBodies((_ID,)), wire.AskTxs(_ID, (0, 7, 300)), wire.AskPool(),
    wire.AskProof(_ID), wire.AskAccount(_ID),
)  # fmt: skip
_ANSWERS = (
    wire.Headers((_BLOCK.raw_header,), True), wire.Part(True, b"a part"), wire.Txs((_TX, _ANY_TX)),
    wire.AccountIs(10**9, 3, 100),
)  # fmt: skip
_STANDINGS = wire.Standing(9, _ID, 1 << 70, 0, bytes(32), _ID, False, 4), wire.Standing(9, _ID, 1, 0, _ID, b"", True)


def _again(decode: Callable[[bytes], Any], encode: Callable[[Any], bytes]) -> Callable[[bytes], object]:
    """What is read has one encoding."""

    def run(data: bytes) -> None:
        assert encode(decode(data)) == data

    return bad(run)


def _block(data: bytes) -> None:
    block = decode_block(data)
    assert encode_block(block.raw_header, block.txs) == data
    decode_txs(block.txs, QUICK.chain_id)


def _tx(data: bytes) -> None:
    tx = decode_tx(data, QUICK.chain_id)
    assert [decode_operation(encode_operation(one)) for one in tx.operations] == list(tx.operations)


def _compact(data: bytes) -> None:
    compact = decode_compact(data)
    assert cbor.encode([compact.raw_header, compact.ids]) == data


def _proof(data: bytes) -> None:
    proof = check_proof(data, verifier=accept_all)
    assert len(proof.ids) == proof.last.height - proof.header.height + 1


def _address(data: bytes) -> None:
    """There is one address of a key, in small letters or in capital ones."""
    text = as_text(data)
    assert format_address(parse_address(text, hrp="xs"), hrp="xs") == text.strip().lower()


TARGETS: dict[str, Target] = {
    "chain-header": Target(
        _again(decode_header, encode_header), (f"{_CORE}.header.decode_header",),
        (_BLOCK.raw_header, QUICK.raw_genesis),
    ),
    "chain-block": Target(
        bad(_block), (f"{_CORE}.block.decode_block", f"{_CORE}.block.decode_txs"),
        (_BLOCK.raw, encode_block(QUICK.raw_genesis, ())),
    ),
    "chain-compact": Target(bad(_compact), (f"{_CORE}.compact.decode_compact",), (encode_compact(_BLOCK),)),
    "chain-tx": Target(bad(_tx), (f"{_CORE}.tx.decode_tx",), (_TX, _ANY_TX)),
    "chain-operation": Target(
        _again(lambda data: decode_operation(cbor.decode(data)), lambda one: cbor.encode(encode_operation(one))),
        (f"{_CORE}.operations.decode_operation",), tuple(cbor.encode(encode_operation(one)) for one in _OPERATIONS),
    ),
    "chain-txs": Target(
        _again(wire.decode_txs, wire.encode_txs), (f"{_CORE}.wire.decode_txs",), (wire.encode_txs([_TX, _ANY_TX]),)
    ),
    "chain-standing": Target(
        _again(wire.decode_standing, wire.encode_standing), (f"{_CORE}.wire.decode_standing",),
        tuple(map(wire.encode_standing, _STANDINGS)),
    ),
    "chain-where": Target(
        _again(wire.decode_where, wire.encode_where), (f"{_CORE}.wire.decode_where",),
        tuple(map(wire.encode_where, (None, *_STANDINGS))),
    ),
    "chain-question": Target(
        _again(wire.decode_question, wire.encode_question), (f"{_CORE}.wire.decode_question",),
        tuple(map(wire.encode_question, _QUESTIONS)),
    ),
    "chain-answer": Target(
        _again(wire.decode_answer, wire.encode_answer), (f"{_CORE}.wire.decode_answer",),
        tuple(map(wire.encode_answer, _ANSWERS)),
    ),
    "chain-proof": Target(bad(_proof), (f"{_CORE}.proof.check_proof",), (_PROOF,)),
    "chain-params": Target(
        _again(decode_params, encode_params), (f"{_CORE}.facts.decode_params",), (encode_params(QUICK),)
    ),
    "chain-address": Target(
        local(_address), (f"{_CORE}.address.parse_address", f"{_CORE}.bech32m.decode"),
        as_utf8(format_address(key_of("anna").key, hrp="xs")),
    ),
    "chain-bech32m": Target(
        local(lambda data: bech32m.decode(as_text(data))), (), as_utf8(format_address(key_of("bert").key, hrp="xn"))
    ),
}  # fmt: skip
