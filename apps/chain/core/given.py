"""What other peers are given of a chain: bodies, transactions and proofs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from apps.chain.core.admission import rate_of
from apps.chain.core.block import decode_block
from apps.chain.core.compact import picked
from apps.chain.core.limits import HEAD_BYTES, MAX_PART
from apps.chain.core.params import Params
from apps.chain.core.proof import make_proof
from apps.chain.core.rows import Status, TxRow
from apps.chain.core.store import View
from apps.chain.core.tx import Tx
from overlay.errors import BadMessage, NotFound


def body_of(view: View, block: bytes) -> bytes | None:
    """Only of blocks that were found good: who gives another one is at fault."""
    row = view.header(block)
    return view.block(block) if row is not None and row.status is Status.VALID else None


def txs_of(view: View, block: bytes, indexes: Sequence[int]) -> list[bytes]:
    """[] if the block is not here, has no such ones, or they are too long for one answer."""
    raw = body_of(view, block)
    try:
        found = [] if raw is None else picked(decode_block(raw), indexes)
    except BadMessage:
        return []
    return found if sum(map(len, found)) + HEAD_BYTES * len(found) <= MAX_PART else []


def proof_of(view: View, params: Params, of: bytes) -> bytes:
    """That a transaction, or the first one that anchored a digest, is in a block; empty: it is in none, or that is not
    here any more."""
    row = view.tx(of)
    if row is None and (anchors := view.anchors(of)):
        row = TxRow(of, anchors[0].height, anchors[0].pos)
    try:
        return b"" if row is None else make_proof(view, params, row, last=row.height)
    except NotFound:
        return b""


def best_of(waiting: Iterable[Tx]) -> list[bytes]:
    """Those that pay most, in an order in which they can be taken in, as many as fit into an answer."""
    # Of one account the first come first, whatever the later ones pay.
    order = sorted(waiting, key=lambda tx: (-rate_of(tx), tx.txid))
    return [tx.raw for tx in sorted(_fitting(order, MAX_PART), key=lambda tx: (tx.sender, tx.nonce))]


def _fitting(txs: Iterable[Tx], room: int) -> list[Tx]:
    found = []
    for tx in txs:
        room -= len(tx.raw) + HEAD_BYTES
        if room < 0:
            break
        found.append(tx)
    return found
