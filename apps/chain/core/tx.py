"""Transactions: bytes, ids and what they say. Rules X1 to X6, X8 and X10, which need nothing but the transaction.

    tx    = [body, signature]                        two byte strings: what was signed is never encoded again
    body  = [1, chain id, sender, nonce, fee, first height, last height, [operation, ...]]
    txid  = SHA-256("p2pnode/txid/1\\0" + body)       without the signature: nobody can change it
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from apps.chain.core.amounts import credits_text
from apps.chain.core.limits import (
    BYTES_PER_UNIT,
    MAX_BODY_ITEMS,
    MAX_NUMBER,
    MAX_OPERATIONS,
    MAX_TX_BYTES,
    MAX_WINDOW,
)
from apps.chain.core.merkle import leaf_of
from apps.chain.core.operations import Operation, Pay, decode_operation, encode_operation
from apps.chain.core.rules import Invalid, Rule
from overlay.errors import BadMessage
from overlay.identity.sizes import KEY_BYTES, SIGNATURE_BYTES
from overlay.wire import cbor

if TYPE_CHECKING:
    from overlay.identity.keys import Signer

VERSION = 1
CHAIN_ID_BYTES = 8
SIGNED: Final = b"p2pnode/tx/1\0"
_TXID = b"p2pnode/txid/1\0"
_ITEMS = 8


@attrs.frozen(slots=True, eq=False)
class Tx:
    """A transaction that keeps every rule it can keep alone, but for its signature (X7) and its evidence (X9)."""

    raw: bytes = attrs.field(repr=False)
    txid: bytes
    #: Of the tree of a block; it covers the signature, which the id does not.
    leaf: bytes = attrs.field(repr=False)
    sender: bytes
    nonce: int
    fee: int
    #: First and last height of a block that may hold it.
    first: int
    last: int
    operations: tuple[Operation, ...]
    #: Fee and payments together.
    spent: int
    body: bytes = attrs.field(repr=False)
    signature: bytes = attrs.field(repr=False)

    @property
    def signed(self) -> bytes:
        """What the signature is over."""
        return SIGNED + self.body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tx) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.leaf)


def least_fee(size: int) -> int:
    """Of a transaction of so many bytes (X8), without what a name costs."""
    return -(-size // BYTES_PER_UNIT)


def encode_tx(
    signer: Signer, chain_id: bytes, operations: Sequence[Operation], *, nonce: int, fee: int, first: int, last: int
) -> bytes:
    """A signed transaction. Whether it keeps the rules, `decode_tx` says."""
    items = [encode_operation(operation) for operation in operations]
    body = cbor.encode([VERSION, chain_id, signer.key, nonce, fee, first, last, items])
    return cbor.encode([body, signer.sign(SIGNED + body)])


def decode_tx(raw: bytes, chain_id: bytes) -> Tx:
    """Invalid, with the first rule of X1 to X6, X8 and X10 that it breaks. The signature is NOT checked."""
    if len(raw) > MAX_TX_BYTES:
        raise Invalid(Rule.X1, f"a transaction of {len(raw)} bytes, at most {MAX_TX_BYTES}")
    body, signature = _outer(raw)
    version, chain, sender, nonce, fee, first, last, items = _items(body)
    if version != VERSION:
        raise Invalid(Rule.X2, f"version {version}")
    if chain != chain_id:
        raise Invalid(Rule.X3, f"for chain {chain.hex()}, not {chain_id.hex()}")
    if not 1 <= len(items) <= MAX_OPERATIONS:
        raise Invalid(Rule.X4, f"{len(items)} operations")
    operations = tuple(map(decode_operation, items))
    spent = fee
    for operation in operations:
        if type(operation) is Pay:
            spent += operation.amount
    if fee < 1 or spent >= MAX_NUMBER:
        raise Invalid(Rule.X5, f"a fee of {fee} units and {spent - fee} to pay")
    if not first <= last <= first + MAX_WINDOW:
        raise Invalid(Rule.X6, f"valid from {first} to {last}")
    if fee * BYTES_PER_UNIT < len(raw):
        least = credits_text(least_fee(len(raw)))
        raise Invalid(Rule.X8, f"a fee of {credits_text(fee)} credits for {len(raw)} bytes, at least {least}")
    txid = hashlib.sha256(_TXID + body).digest()
    return Tx(raw, txid, leaf_of(raw), sender, nonce, fee, first, last, operations, spent, body, signature)


def _outer(raw: bytes) -> tuple[bytes, bytes]:
    try:
        items = cbor.decode(raw, max_items=2)
    except BadMessage as error:
        raise Invalid(Rule.X1, error.reason) from None
    if type(items) is not list or len(items) != 2 or type(items[0]) is not bytes or type(items[1]) is not bytes:
        raise Invalid(Rule.X1, "a transaction is a body and a signature")
    if len(items[1]) != SIGNATURE_BYTES:
        raise Invalid(Rule.X1, f"a signature of {len(items[1])} bytes")
    return items[0], items[1]


def _items(body: bytes) -> list[Any]:
    """Of the right number and types; numbers in their range."""
    try:
        items = cbor.decode(body, max_items=MAX_BODY_ITEMS)
    except BadMessage as error:
        raise Invalid(Rule.X1, error.reason) from None
    if type(items) is not list or len(items) != _ITEMS:
        raise Invalid(Rule.X1, f"a body has {_ITEMS} items")
    version, chain, sender, nonce, fee, first, last, operations = items
    for number in (version, nonce, fee, first, last):
        if type(number) is not int:
            raise Invalid(Rule.X1, "version, nonce, fee and heights are numbers")
    for number in (version, nonce, first, last):
        if not 0 <= number < MAX_NUMBER:
            raise Invalid(Rule.X1, f"a number that is not in 0..2^53-1: {number}")
    if type(chain) is not bytes or len(chain) != CHAIN_ID_BYTES:
        raise Invalid(Rule.X1, f"a chain id has {CHAIN_ID_BYTES} bytes")
    if type(sender) is not bytes or len(sender) != KEY_BYTES:
        raise Invalid(Rule.X1, f"a sender has {KEY_BYTES} bytes")
    if type(operations) is not list:
        raise Invalid(Rule.X1, "operations are a list")
    return items
