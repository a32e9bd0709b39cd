"""Bytes of unknown sort: what they are, what they say, and the rule that they break."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import attrs

from apps.chain.core import headers as header_rules
from apps.chain.core import signatures
from apps.chain.core.block import Block, check_body, decode_block, decode_txs
from apps.chain.core.explorer.chain import Chain
from apps.chain.core.header import Header, decode_header, id_of
from apps.chain.core.limits import MAX_BLOCK_BYTES, MAX_BLOCK_TXS, MAX_PROOF_BYTES, MAX_PROOF_ITEMS
from apps.chain.core.proof import Proof, check_proof
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.tx import CHAIN_ID_BYTES, Tx, decode_tx
from overlay.errors import BadMessage
from overlay.identity.keys import Verifier
from overlay.wire import cbor


class Sort(enum.StrEnum):
    HEADER = "header"
    BLOCK = "block"
    TX = "tx"
    PROOF = "proof"


@attrs.define(slots=True)
class Decoded:
    sort: Sort
    size: int
    header: Header | None = None
    #: Id of the header, or of that of the block.
    block: bytes | None = None
    #: Of the block, or the one transaction; empty if they cannot be decoded.
    txs: tuple[Tx, ...] = ()
    #: Transactions of the block, decoded or not.
    count: int = 0
    proof: Proof | None = None
    #: Which chain it was measured by: that of the store, or the one that a transaction names itself; None: by no chain.
    chain_id: bytes | None = None
    #: Whether its rules that depend on a chain were checked: its work, and its place behind its parent.
    placed: bool = False
    #: Code of the rule that it breaks, "" if no other than the encoding of a proof; None: it breaks none.
    rule: str | None = None
    why: str = ""


def sort_of(raw: bytes) -> Sort:
    """BadMessage if it is nothing of a chain."""
    items: Any = cbor.decode(raw, max_items=max(MAX_PROOF_ITEMS, MAX_BLOCK_TXS + 3))
    match items:
        case [bytes(), list()]:
            return Sort.BLOCK
        case [bytes(), bytes()]:
            return Sort.TX
        case [int(), list(), int(), bytes(), int(), bytes(), list()]:
            return Sort.PROOF
        case [int(), int(), bytes(), *_]:
            return Sort.HEADER
    raise BadMessage("neither a header, a block, a transaction nor a proof has such items")


def decode(raw: bytes, chain: Chain | None, verifier: Verifier, *, sort: Sort | None = None) -> Decoded:
    """`sort`: what it is meant to be; else what it looks like, BadMessage if like nothing."""
    if sort is None:
        if len(raw) > max(MAX_BLOCK_BYTES, MAX_PROOF_BYTES):
            raise BadMessage(f"{len(raw)} bytes are more than anything of a chain has")
        sort = sort_of(raw)
    found = Decoded(sort, len(raw), chain_id=None if chain is None else chain.params.chain_id)
    steps: dict[Sort, Callable[[Decoded, bytes, Chain | None, Verifier], None]] = {
        Sort.HEADER: _header, Sort.BLOCK: _block, Sort.TX: _tx, Sort.PROOF: _proof,
    }  # fmt: skip
    try:
        steps[sort](found, raw, chain, verifier)
    except Invalid as error:
        found.rule, found.why = str(error.rule), error.why
    except BadMessage as error:
        found.rule, found.why = "", error.reason
    return found


def _header(found: Decoded, raw: bytes, chain: Chain | None, verifier: Verifier) -> None:
    found.block, found.header = id_of(raw), decode_header(raw)
    if chain is None or found.block == chain.params.genesis_id:
        return
    header_rules.check_alone(found.header, raw, chain.params)
    parent = chain.view.header(found.header.parent)
    if parent is not None:
        header_rules.check_placed(found.header, found.block, parent, chain.params)
        found.placed = True


def _block(found: Decoded, raw: bytes, chain: Chain | None, verifier: Verifier) -> None:
    block: Block = decode_block(raw)
    found.count = len(block.txs)
    _header(found, block.raw_header, chain, verifier)
    check_body(block.header, block.txs)
    if found.chain_id is None and block.txs:
        found.chain_id = chain_id_in(block.txs[0])
    if found.chain_id is not None:
        found.txs = decode_txs(block.txs, found.chain_id)
        _check_signatures(found.txs, verifier)


def _tx(found: Decoded, raw: bytes, chain: Chain | None, verifier: Verifier) -> None:
    if found.chain_id is None:
        found.chain_id = chain_id_in(raw)
    # Without a chain id its encoding is bad: decoding says how.
    found.txs = (decode_tx(raw, found.chain_id or bytes(CHAIN_ID_BYTES)),)
    _check_signatures(found.txs, verifier)


def _proof(found: Decoded, raw: bytes, chain: Chain | None, verifier: Verifier) -> None:
    found.proof = check_proof(raw, verifier=verifier)
    found.chain_id, found.txs, found.header = found.proof.params.chain_id, (found.proof.tx,), found.proof.header
    found.block = found.proof.ids[0]


def _check_signatures(txs: tuple[Tx, ...], verifier: Verifier) -> None:
    bad = signatures.first_bad(signatures.checks_of(txs), verifier=verifier)
    if bad is not None:
        raise Invalid(Rule.X7, f"its sender did not sign it (transaction {bad})")


def chain_id_in(raw: bytes) -> bytes | None:
    """The chain that a transaction is for, as it says itself; None if it cannot be read."""
    try:
        body, _ = cbor.decode(raw, max_items=2)
        items = cbor.decode(body, max_items=128)
        return items[1] if type(items[1]) is bytes and len(items[1]) == CHAIN_ID_BYTES else None
    except (BadMessage, ValueError, TypeError, LookupError):
        return None
