"""One transaction, and where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.chain.core.explorer.chain import Chain, Unknown
from apps.chain.core.operations import Pay
from apps.chain.core.rows import ActiveRow, TxRow
from apps.chain.core.tx import Tx

if TYPE_CHECKING:
    from apps.chain.core.proof import Proof
    from overlay.identity.keys import Verifier


@attrs.frozen(slots=True)
class Facts:
    tx: Tx
    #: None if it waits in a mempool.
    block: ActiveRow | None
    pos: int | None
    confirmations: int
    #: Leaves of the tree of its block.
    leaves: int


def confirmed(chain: Chain, row: TxRow) -> Facts:
    """Unknown if its block was thrown away since."""
    tx = chain.txs_at([(row.height, row.pos)]).get((row.height, row.pos))
    active = chain.active(row.height)
    if tx is None:
        raise Unknown(
            "the block of this transaction is not kept here any more",
            block=f"{row.height:,}", ask="a node that keeps all blocks",
        )  # fmt: skip
    return Facts(tx, active, row.pos, chain.height - row.height + 1, active.txs)


def proved(chain: Chain, proof: Proof) -> Facts:
    """By a proof of a block of this chain."""
    active = chain.active(proof.header.height)
    return Facts(proof.tx, active, proof.position, chain.height - active.height + 1, active.txs)


def waiting(tx: Tx) -> Facts:
    return Facts(tx, None, None, 0, 0)


def is_signed(tx: Tx, verify: Verifier) -> bool:
    return verify(tx.sender, tx.signed, tx.signature)


def change_of(tx: Tx, key: bytes) -> int:
    """Units that an account gains by it, below zero if it spends them."""
    received = sum(op.amount for op in tx.operations if type(op) is Pay and op.to == key)
    return received - tx.spent if tx.sender == key else received
