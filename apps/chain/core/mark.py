"""The mark of a node: a block of its chain, and a digest of the state after it, for others to compare with theirs."""

from __future__ import annotations

import attrs

from apps.chain.core.ledger import Ledger
from apps.chain.core.state import digest_of
from apps.chain.core.store import Table

#: What rules make of blocks. All else is their transactions in other orders: it grows for ever, and `chain-explorer
#: verify` looks at it.
STATE = Table.ACCOUNTS, Table.NAMES, Table.EVIDENCE


@attrs.frozen(slots=True)
class Mark:
    height: int = 0
    block: bytes = bytes(32)
    #: 32 bytes; empty: no state was digested yet.
    digest: bytes = b""


def marked(before: Mark, ledger: Ledger, every: int) -> Mark:
    """That of the tip, if its height is a multiple of `every` (0: never) and no better block is known: who catches up
    would read all accounts many times for marks that nobody compares any more. Else the one before."""
    tip = ledger.tip
    if not every or tip.height % every or tip.id == before.block or ledger.best.work > tip.work:
        return before
    return Mark(tip.height, tip.id, digest_of(ledger.store, STATE))
