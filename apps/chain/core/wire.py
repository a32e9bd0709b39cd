"""What copies of this application say to each other. Everything is one dCBOR array; `decode_*` raise only BadMessage.

Topics (overlay.gossip), one message each:

    <chain id>/txs       [tx, ...]                     of one author, who may pass on nobody else's
    <chain id>/blocks    a compact block (compact.py)

Calls, in datagrams:

    question [1]         answer [height, id, work, mark height, mark id, digest, light, kept from]
    question [1, [where who asks is, as in an answer]]

Streams of protocol "1": questions one after another, each with its answers in the same order.

    [1, [id, ...]]             locator      [1, [header, ...], last]
    [2, [id, ...]]             bodies       [2, more, bytes] ...   parts of each in turn; an empty one: not here
    [3, id, [index, ...]]      of a block   [3, [tx, ...]]         []: not here, or too long: ask for the body
    [4]                        what waits   [3, [tx, ...]]         those that pay most, as many as fit
    [5, txid or digest]        proof        [2, more, bytes] ...   empty: not known
    [6, key]                   account      [4, balance, nonce, height]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from apps.chain.core.header import ID_BYTES
from apps.chain.core.limits import (
    HEADERS_PER_MESSAGE,
    MAX_BLOCK_TXS,
    MAX_BODIES_PER_PEER,
    MAX_HEADER_BYTES,
    MAX_LOCATOR,
    MAX_NUMBER,
    MAX_POOL_TXS,
    MAX_PUBLISHED_TXS,
    MAX_TX_BYTES,
)
from overlay.errors import BadMessage
from overlay.wire import cbor

PROTOCOL = "1"
_WORK_BYTES = 32
_STANDING_ITEMS = 8
#: [number, [index, ...]] of the longest question, and the longest list of an answer, with what is around them.
_MAX_ASKED = 4 + MAX_BLOCK_TXS
_MAX_ANSWERED = 4 + max(HEADERS_PER_MESSAGE, MAX_POOL_TXS)


@attrs.frozen(slots=True)
class Standing:
    """Where a peer is."""

    height: int
    tip: bytes
    work: int
    #: A block of its chain, and the digest of the state after it (mark.py): equal wherever the block is.
    mark_height: int
    mark: bytes
    digest: bytes
    #: It has headers alone.
    light: bool
    #: The first height whose bodies it gives, but for the first block; 0: of all.
    kept_from: int = 0


_WHERE: Final = 1
STANDING_QUESTION: Final = cbor.encode([_WHERE])


def encode_where(standing: Standing | None) -> bytes:
    """Asks where a peer is, and says where this one is."""
    return STANDING_QUESTION if standing is None else cbor.encode([_WHERE, _items_of(standing)])


def decode_where(raw: bytes) -> Standing | None:
    """What the peer that asks says of itself; None: nothing."""
    if raw == STANDING_QUESTION:
        return None
    match _decoded(raw, 2 + _STANDING_ITEMS):
        case [where, list(items)] if type(where) is int and where == _WHERE and len(items) == _STANDING_ITEMS:
            return _standing(items)
    raise BadMessage("no question where this peer is")


def encode_standing(standing: Standing) -> bytes:
    return cbor.encode(_items_of(standing))


def decode_standing(raw: bytes) -> Standing:
    return _standing(_list(raw, _STANDING_ITEMS))


def _items_of(s: Standing) -> list[Any]:
    work = s.work.to_bytes(_WORK_BYTES, "big")
    return [s.height, s.tip, work, s.mark_height, s.mark, s.digest, s.light, s.kept_from]


def _standing(items: list[Any]) -> Standing:
    height, tip, work, mark_height, mark, digest, light, kept_from = items
    for number in (height, mark_height, kept_from):
        _number(number, MAX_NUMBER)
    for value in (tip, work, mark):
        _bytes(value, ID_BYTES, ID_BYTES)
    if type(digest) is not bytes or len(digest) not in (0, ID_BYTES) or type(light) is not bool:
        raise BadMessage("a digest has 32 bytes or none, and light is true or false")
    return Standing(height, tip, int.from_bytes(work, "big"), mark_height, mark, digest, light, kept_from)


# --- topics ---------------------------------------------------------------------------------


def txs_topic(chain_id: bytes) -> str:
    return f"{chain_id.hex()}/txs"


def blocks_topic(chain_id: bytes) -> str:
    return f"{chain_id.hex()}/blocks"


def encode_txs(txs: Sequence[bytes]) -> bytes:
    return cbor.encode(list(txs))


def decode_txs(raw: bytes) -> tuple[bytes, ...]:
    """Bytes that may be transactions."""
    items = _decoded(raw, MAX_PUBLISHED_TXS + 1)
    return _many(items, MAX_PUBLISHED_TXS, 1, MAX_TX_BYTES)


# --- questions of a stream -------------------------------------------------------------------


@attrs.frozen(slots=True)
class AskHeaders:
    """What follows the first of these that is in the chain of who is asked."""

    locator: tuple[bytes, ...]


@attrs.frozen(slots=True)
class AskBodies:
    blocks: tuple[bytes, ...]


@attrs.frozen(slots=True)
class AskTxs:
    block: bytes
    indexes: tuple[int, ...]


@attrs.frozen(slots=True)
class AskPool:
    pass


@attrs.frozen(slots=True)
class AskProof:
    """Id of a transaction, or a digest that was anchored."""

    of: bytes


@attrs.frozen(slots=True)
class AskAccount:
    key: bytes


Question = AskHeaders | AskBodies | AskTxs | AskPool | AskProof | AskAccount


def encode_question(question: Question) -> bytes:
    match question:
        case AskHeaders(locator):
            return cbor.encode([1, list(locator)])
        case AskBodies(blocks):
            return cbor.encode([2, list(blocks)])
        case AskTxs(block, indexes):
            return cbor.encode([3, block, list(indexes)])
        case AskPool():
            return cbor.encode([4])
        case AskProof(of):
            return cbor.encode([5, of])
        case AskAccount(key):
            return cbor.encode([6, key])


def decode_question(raw: bytes) -> Question:
    items = _decoded(raw, _MAX_ASKED)
    match items:
        case [1, list(locator)]:
            return AskHeaders(_many(locator, MAX_LOCATOR, ID_BYTES, ID_BYTES))
        case [2, list(blocks)]:
            return AskBodies(_many(blocks, MAX_BODIES_PER_PEER, ID_BYTES, ID_BYTES))
        case [3, bytes(block), list(indexes)] if len(block) == ID_BYTES and 1 <= len(indexes) <= MAX_BLOCK_TXS:
            for index in indexes:
                _number(index, MAX_BLOCK_TXS)
            return AskTxs(block, tuple(indexes))
        case [4]:
            return AskPool()
        case [5, bytes(of)] if len(of) == ID_BYTES:
            return AskProof(of)
        case [6, bytes(key)] if len(key) == ID_BYTES:
            return AskAccount(key)
    raise BadMessage("no question of this protocol")


# --- answers of a stream ---------------------------------------------------------------------


@attrs.frozen(slots=True)
class Headers:
    headers: tuple[bytes, ...]
    last: bool


@attrs.frozen(slots=True)
class Part:
    """Of a body or a proof; `more`: it goes on."""

    more: bool
    data: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class Txs:
    txs: tuple[bytes, ...]


@attrs.frozen(slots=True)
class AccountIs:
    balance: int
    nonce: int
    height: int


Answer = Headers | Part | Txs | AccountIs


def encode_answer(answer: Answer) -> bytes:
    match answer:
        case Headers(headers, last):
            return cbor.encode([1, list(headers), last])
        case Part(more, data):
            return cbor.encode([2, more, data])
        case Txs(txs):
            return cbor.encode([3, list(txs)])
        case AccountIs(balance, nonce, height):
            return cbor.encode([4, balance, nonce, height])


def decode_answer(raw: bytes) -> Answer:
    items = _decoded(raw, _MAX_ANSWERED)
    match items:
        case [1, list(headers), bool(last)]:
            return Headers(_many(headers, HEADERS_PER_MESSAGE, 1, MAX_HEADER_BYTES), last)
        case [2, bool(more), bytes(data)] if data or not more:
            return Part(more, data)
        case [3, list(txs)]:
            return Txs(_many(txs, MAX_POOL_TXS, 1, MAX_TX_BYTES))
        case [4, int(balance), int(nonce), int(height)]:
            for number in (balance, nonce, height):
                _number(number, MAX_NUMBER)
            return AccountIs(balance, nonce, height)
    raise BadMessage("no answer of this protocol")


# --- inside ---------------------------------------------------------------------------------


def _decoded(raw: bytes, most: int) -> list[Any]:
    items = cbor.decode(raw, max_items=most)
    if type(items) is not list:
        raise BadMessage("expected an array")
    # true and false are equal to 1 and 0 in Python, and no numbers in CBOR.
    if items and type(items[0]) is bool:
        raise BadMessage("expected a number first")
    return items


def _list(raw: bytes, length: int) -> list[Any]:
    items = cbor.decode(raw, max_items=length)
    if type(items) is not list or len(items) != length:
        raise BadMessage(f"expected an array of {length}")
    return items


def _many(items: list[Any], most: int, least_bytes: int, most_bytes: int) -> tuple[bytes, ...]:
    if len(items) > most:
        raise BadMessage(f"{len(items)} items, at most {most}")
    for item in items:
        _bytes(item, least_bytes, most_bytes)
    return tuple(items)


def _bytes(value: Any, least: int, most: int) -> None:
    if type(value) is not bytes or not least <= len(value) <= most:
        raise BadMessage(f"expected {least} to {most} bytes")


def _number(value: Any, bound: int) -> None:
    if type(value) is not int or not 0 <= value < bound:
        raise BadMessage(f"expected a number below {bound}")
