"""Compact blocks: a header and 8 bytes for each transaction, which most peers have in their pools.

    compact = [header, ids]      ids: for each transaction BLAKE2b-64 of its bytes, keyed by the id of the block

The key makes collisions useless: nobody can prepare two transactions that are alike in a block that is not mined yet.
What does not lead to the root of the header, for whatever reason, is fetched whole. BIP 152 is the pattern.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from apps.chain.core.block import Block, check_body, make_block
from apps.chain.core.header import Header, decode_header, id_of
from apps.chain.core.limits import MAX_COMPACT_BYTES, SHORT_ID_BYTES
from apps.chain.core.rules import Invalid, Rule
from overlay.errors import BadMessage
from overlay.wire import cbor


@attrs.frozen(slots=True)
class Compact:
    raw_header: bytes
    id: bytes
    header: Header
    #: Of all transactions, one after another.
    ids: bytes = attrs.field(repr=False)


def short_id(block: bytes, raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=SHORT_ID_BYTES, key=block).digest()


def encode_compact(block: Block) -> bytes:
    return cbor.encode([block.raw_header, b"".join(short_id(block.id, tx) for tx in block.txs)])


def decode_compact(raw: bytes) -> Compact:
    """Invalid B1, B2 or a rule of the header; check that, and its work, before asking for anything."""
    if len(raw) > MAX_COMPACT_BYTES:
        raise Invalid(Rule.B1, f"a compact block of {len(raw)} bytes, at most {MAX_COMPACT_BYTES}")
    try:
        items: Any = cbor.decode(raw, max_items=2)
    except BadMessage as error:
        raise Invalid(Rule.B1, error.reason) from None
    if type(items) is not list or len(items) != 2 or any(type(item) is not bytes for item in items):
        raise Invalid(Rule.B1, "a compact block is a header and short ids")
    raw_header, ids = items
    header = decode_header(raw_header)
    if len(ids) != SHORT_ID_BYTES * header.txs:
        raise Invalid(Rule.B2, f"{len(ids)} bytes of short ids, the header counts {header.txs} transactions")
    return Compact(raw_header, id_of(raw_header), header, ids)


@attrs.define(slots=True, eq=False)
class Rebuilding:
    """A block that is put together from what is here and what is asked for."""

    compact: Compact
    _txs: list[bytes | None]

    @property
    def missing(self) -> tuple[int, ...]:
        """Positions of transactions that are to be asked for."""
        return tuple(at for at, tx in enumerate(self._txs) if tx is None)

    def fill(self, txs: Sequence[bytes]) -> None:
        """The missing ones, in their order; BadMessage if they are not those that were asked for.

        Whoever gave `compact` can be wrong as well: one that does not fit is not the fault of who gives it, but of one
        of the two, so it is their word against each other and the whole block is asked for."""
        missing = self.missing
        if len(txs) != len(missing):
            raise BadMessage(f"{len(txs)} transactions, asked for were {len(missing)}")
        for at, tx in zip(missing, txs, strict=True):
            if short_id(self.compact.id, tx) != self._id(at):
                raise BadMessage(f"transaction {at} is not the one that was asked for")
            self._txs[at] = tx

    def block(self) -> Block | None:
        """None if any is missing, or if they do not lead to the root: then the whole body is to be fetched."""
        txs = [tx for tx in self._txs if tx is not None]
        if len(txs) != len(self._txs):
            return None
        try:
            check_body(self.compact.header, txs)
        except Invalid:
            return None
        return make_block(self.compact.raw_header, txs)

    def _id(self, at: int) -> bytes:
        return self.compact.ids[SHORT_ID_BYTES * at : SHORT_ID_BYTES * (at + 1)]


def rebuild(compact: Compact, here: Iterable[bytes]) -> Rebuilding:
    """`here`: bytes of transactions that may be in it (`Pool.known`)."""
    found: dict[bytes, bytes | None] = {}
    for raw in here:
        short = short_id(compact.id, raw)
        # Two of one id: neither is taken, the right one is asked for.
        found[short] = None if short in found else raw
    ids = compact.ids
    return Rebuilding(
        compact, [found.get(ids[at : at + SHORT_ID_BYTES]) for at in range(0, len(ids), SHORT_ID_BYTES)]
    )  # fmt: skip


def picked(block: Block, positions: Sequence[int]) -> list[bytes]:
    """What another one misses of a block; BadMessage if it has no such positions, or not in order."""
    if list(positions) != sorted(set(positions)) or any(not 0 <= at < len(block.txs) for at in positions):
        raise BadMessage("positions of transactions that the block has not")
    return [block.txs[at] for at in positions]
