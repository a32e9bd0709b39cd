"""Headers: bytes, ids and what they say. Rules H1, H2 and H5, which need nothing but the header.

    header = [1, height, parent, root, transactions, time, difficulty, miner, extra, nonce]
    id     = SHA-256("p2pnode/hdr/1\\0" + header)      cheap, whatever the proof of work is

The nonce is last, so that a miner changes the last eight bytes only.
"""

from __future__ import annotations

import hashlib
from typing import Any

import attrs

from apps.chain.core.limits import (
    MAX_BLOCK_TXS,
    MAX_DIFFICULTY,
    MAX_EXTRA_BYTES,
    MAX_HEADER_BYTES,
    MAX_NUMBER,
    NONCE_BYTES,
)
from apps.chain.core.rules import Invalid, Rule
from overlay.errors import BadMessage
from overlay.wire import cbor

VERSION = 1
ID_BYTES = 32
_ID = b"p2pnode/hdr/1\0"
_ITEMS = 10
#: (at, bytes) of the three items that are of a fixed length beside the nonce.
_FIXED = (2, 32), (3, 32), (7, 32), (9, NONCE_BYTES)
#: (at, exclusive bound) of the numbers.
_NUMBERS = (0, MAX_NUMBER), (1, MAX_NUMBER), (4, MAX_NUMBER), (5, MAX_NUMBER), (6, MAX_DIFFICULTY + 1)


@attrs.frozen(slots=True)
class Header:
    height: int
    #: Id of the block before.
    parent: bytes
    #: Of the tree over the transactions (merkle.py), and how many there are.
    root: bytes
    txs: int
    #: Seconds since 1970.
    time: int
    #: Hashes that it costs on average.
    difficulty: int
    #: Public key of who is credited.
    miner: bytes
    extra: bytes = attrs.field(default=b"", kw_only=True)
    nonce: bytes = attrs.field(default=bytes(NONCE_BYTES), kw_only=True)


def encode_header(header: Header) -> bytes:
    h = header
    items = [VERSION, h.height, h.parent, h.root, h.txs, h.time, h.difficulty, h.miner, h.extra, h.nonce]
    return cbor.encode(items)


def prefix_of(header: Header) -> bytes:
    """All bytes before those of the nonce, for `work.search`."""
    return encode_header(header)[:-NONCE_BYTES]


def id_of(raw: bytes) -> bytes:
    """The id of a block, from the bytes of its header."""
    return hashlib.sha256(_ID + raw).digest()


def decode_header(raw: bytes) -> Header:
    """Invalid H1, H2 or H5 if no header of this protocol has these bytes."""
    if len(raw) > MAX_HEADER_BYTES:
        raise Invalid(Rule.H1, f"a header of {len(raw)} bytes, at most {MAX_HEADER_BYTES}")
    try:
        items: Any = cbor.decode(raw, max_items=_ITEMS)
    except BadMessage as error:
        raise Invalid(Rule.H1, error.reason) from None
    if type(items) is not list or len(items) != _ITEMS:
        raise Invalid(Rule.H1, f"a header has {_ITEMS} items")
    for at, size in _FIXED:
        if type(items[at]) is not bytes or len(items[at]) != size:
            raise Invalid(Rule.H1, f"item {at} of a header has {size} bytes")
    for at, bound in _NUMBERS:
        if type(items[at]) is not int or not 0 <= items[at] < bound:
            raise Invalid(Rule.H1, f"item {at} of a header is a number from 0 to {bound - 1}")
    version, height, parent, root, txs, time, difficulty, miner, extra, nonce = items
    if type(extra) is not bytes or len(extra) > MAX_EXTRA_BYTES:
        raise Invalid(Rule.H1, f"extra bytes of a header are at most {MAX_EXTRA_BYTES}")
    if version != VERSION:
        raise Invalid(Rule.H2, f"version {version}")
    if txs > MAX_BLOCK_TXS:
        raise Invalid(Rule.H5, f"{txs} transactions, at most {MAX_BLOCK_TXS}")
    return Header(height, parent, root, txs, time, difficulty, miner, extra=extra, nonce=nonce)
