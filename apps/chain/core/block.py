"""Blocks: a header and its transactions, as bytes. Rules B1 to B4, and those of every transaction alone.

    block = [header, [tx, ...]]       byte strings: nothing that was hashed is ever encoded again
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from apps.chain.core import merkle
from apps.chain.core.header import Header, decode_header, id_of
from apps.chain.core.limits import MAX_BLOCK_BYTES, MAX_BLOCK_TXS
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.tx import Tx, decode_tx
from overlay.errors import BadMessage
from overlay.wire import cbor

#: The transactions of a block are counted by the decoder together with the two items around them. One more than is
#: allowed may be decoded, so that a header that counts too many is told so (H5).
_MAX_ITEMS = 2 + MAX_BLOCK_TXS + 1


@attrs.frozen(slots=True, eq=False)
class Block:
    """Header and body that came together; whether they belong together, `check_body` says."""

    raw: bytes = attrs.field(repr=False)
    raw_header: bytes = attrs.field(repr=False)
    id: bytes
    header: Header
    #: Bytes of the transactions.
    txs: tuple[bytes, ...] = attrs.field(repr=False)


def encode_block(raw_header: bytes, txs: Sequence[bytes]) -> bytes:
    return cbor.encode([raw_header, list(txs)])


def decode_block(raw: bytes) -> Block:
    """Invalid B1, or a rule of the header. The transactions are bytes still."""
    check_size(raw)
    try:
        items: Any = cbor.decode(raw, max_items=_MAX_ITEMS)
    except BadMessage as error:
        raise Invalid(Rule.B1, error.reason) from None
    if type(items) is not list or len(items) != 2 or type(items[0]) is not bytes or type(items[1]) is not list:
        raise Invalid(Rule.B1, "a block is a header and a list of transactions")
    raw_header, txs = items
    if any(type(tx) is not bytes for tx in txs):
        raise Invalid(Rule.B1, "a transaction that is no byte string")
    return Block(raw, raw_header, id_of(raw_header), decode_header(raw_header), tuple(txs))


def make_block(raw_header: bytes, txs: Sequence[bytes]) -> Block:
    """Of what is here already: a header and transactions. It may be too large: `check_size`."""
    raw = encode_block(raw_header, txs)
    return Block(raw, raw_header, id_of(raw_header), decode_header(raw_header), tuple(txs))


def check_size(raw: bytes) -> None:
    if len(raw) > MAX_BLOCK_BYTES:
        raise Invalid(Rule.B1, f"a block of {len(raw)} bytes, at most {MAX_BLOCK_BYTES}")


def check_body(header: Header, txs: Sequence[bytes]) -> None:
    """Invalid B2 or B3 if this is not the body of the header. That says nothing about the header."""
    if len(txs) != header.txs:
        raise Invalid(Rule.B2, f"{len(txs)} transactions, the header counts {header.txs}")
    if merkle.root_of([merkle.leaf_of(tx) for tx in txs]) != header.root:
        raise Invalid(Rule.B3, "the transactions are not those of the header")


def decode_txs(txs: Sequence[bytes], chain_id: bytes, *, known: Mapping[bytes, Tx] | None = None) -> tuple[Tx, ...]:
    """Each by itself (X1 to X6, X8, X10), and none twice (B4); the error says which it is.

    `known`: bytes -> what they were decoded to before, by the mempool."""
    known = known or {}
    decoded: list[Tx] = []
    for at, raw in enumerate(txs):
        tx = known.get(raw)
        if tx is None:
            try:
                tx = decode_tx(raw, chain_id)
            except Invalid as error:
                raise Invalid(error.rule, f"{error.why} (transaction {at})") from None
        decoded.append(tx)
    if len({tx.txid for tx in decoded}) != len(decoded):
        raise Invalid(Rule.B4, "a transaction is in it twice")
    return tuple(decoded)
