"""What peers and people ask of the ledger and of what waits: it changes nothing, and is given as plain data.

Part of the operations of an application (books.py), under the names in `QUESTIONS`.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apps.chain.core.admission import rate_of
from apps.chain.core.ahead import Ahead, headers_after
from apps.chain.core.given import best_of, body_of, proof_of, txs_of
from apps.chain.core.ledger import Ledger
from apps.chain.core.limits import DEEP_REORG, MAX_REORGS
from apps.chain.core.params import Params
from apps.chain.core.pool import Pool
from apps.chain.core.store import Store

QUESTIONS = (
    "after", "body", "txs_at", "best_txs", "proof", "on_line", "beacon", "account", "where", "waiting", "name",
    "reorgs", "immature",
)  # fmt: skip


@attrs.frozen(slots=True, eq=False)
class Asked:
    store: Store
    params: Params
    ledger: Ledger
    pool: Pool
    ahead: Ahead
    #: When what waits was seen first, wall ms.
    seen: dict[bytes, int]
    #: Headers alone are kept.
    light: bool

    # --- for other peers ----------------------------------------------------------------------

    def after(self, locator: Sequence[bytes]) -> list[bytes]:
        """Headers of blocks that are whole here, behind the first of these that is among them: a message of them."""
        return headers_after(self.store, locator)

    def body(self, block: bytes) -> bytes | None:
        return body_of(self.store, block)

    def txs_at(self, block: bytes, indexes: Sequence[int]) -> list[bytes]:
        return txs_of(self.store, block, indexes)

    def proof(self, of: bytes) -> bytes:
        return proof_of(self.store, self.params, of)

    def best_txs(self) -> list[bytes]:
        return best_of(self.pool)

    def on_line(self, height: int, block: bytes) -> bool:
        """Whether it is the block of that height on the way to the best header."""
        row = self.store.header(block)
        return row is not None and row.height == height and self.ahead.leads_to(row)

    def beacon(self, height: int) -> bytes | None:
        """Id of the block of a height once DEEP_REORG blocks stand on it; None: not yet.

        Of the chain that counts, whose blocks were all checked; a light node has no other than that of its headers."""
        if self.light:
            return self.ahead.id_at(height) if height <= self.ledger.best.height - DEEP_REORG else None
        active = self.store.active(height) if height <= self.ledger.tip.height - DEEP_REORG else None
        return None if active is None else active.id

    # --- for people ---------------------------------------------------------------------------

    def account(self, key: bytes) -> tuple[int, int, int, int]:
        """(balance, nonce, nonce of the next transaction, units that waiting ones spend)."""
        found = self.store.accounts((key,)).get(key)
        balance, nonce = (found.balance, found.nonce) if found else (0, 0)
        return balance, nonce, self.pool.next_nonce(key), sum(tx.spent for tx in self.pool.of(key))

    def immature(self, key: bytes) -> int:
        """Units of rewards and fees of its blocks that are not credited yet."""
        tip, params = self.ledger.tip.height, self.params
        unripe = self.store.actives(max(tip - params.maturity + 1, 1), tip)
        return sum(params.reward(row.height) + row.fees for row in unripe if row.miner == key)

    def where(self, txid: bytes) -> tuple[int, int] | None:
        """(height, confirmations) of a transaction in the chain that counts; 0 confirmations: it waits."""
        row = self.store.tx(txid)
        if row is not None:
            return row.height, self.ledger.tip.height - row.height + 1
        return (0, 0) if self.pool.get(txid) is not None else None

    def waiting(self, most: int, now_ms: int) -> list[tuple[bytes, bytes, int, int, int, bytes, int]]:
        """(id, sender, nonce, fee, operations, all bytes, when it was seen first in wall ms) of those that wait, who
        pays most first."""
        order = sorted(self.pool, key=lambda tx: (-rate_of(tx), tx.txid))[:most]
        return [
            (tx.txid, tx.sender, tx.nonce, tx.fee, len(tx.operations), tx.raw, self.seen.setdefault(tx.txid, now_ms))
            for tx in order
        ]

    def reorgs(self) -> list[tuple[int, int, int]]:
        """(when in wall ms, height of the fork, height of the tip before) of changes of branch, oldest first."""
        return [(row.at_ms, row.fork, row.old_height) for row in reversed(self.store.reorgs(limit=MAX_REORGS))]

    def name(self, name: bytes) -> tuple[bytes, bytes, int] | None:
        """(owner, value, first height at which anybody may claim it), None if it is free."""
        row = self.store.names((name,)).get(name)
        return None if row is None or row.expires <= self.ledger.tip.height + 1 else (row.owner, row.value, row.expires)
