"""Transactions behind a nonce that is missing: they wait aside until it comes."""

from __future__ import annotations

import attrs

from apps.chain.core.admission import rate_of
from apps.chain.core.limits import MAX_POOL_GAPS
from apps.chain.core.tx import Tx


@attrs.define(slots=True, eq=False)
class Gaps:
    """By account and nonce, one for each; of the most that are kept the one that pays least for a byte goes first."""

    _by_sender: dict[bytes, dict[int, Tx]] = attrs.Factory(dict)
    _by_id: dict[bytes, Tx] = attrs.Factory(dict)

    def get(self, txid: bytes) -> Tx | None:
        return self._by_id.get(txid)

    def at(self, sender: bytes, nonce: int) -> Tx | None:
        return self._by_sender.get(sender, {}).get(nonce)

    def all(self) -> list[Tx]:
        """One account after another."""
        return [tx for line in self._by_sender.values() for tx in line.values()]

    def spent(self, sender: bytes) -> int:
        """Units, of all that it has here."""
        return sum(tx.spent for tx in self._by_sender.get(sender, {}).values())

    def in_the_way(self, tx: Tx) -> Tx | None:
        """What has to go for it: the one in its place, or the one that pays least if there are too many."""
        gone = self.at(tx.sender, tx.nonce)
        if gone is None and len(self._by_id) >= MAX_POOL_GAPS:
            gone = min(self._by_id.values(), key=rate_of)
        return gone

    def add(self, tx: Tx) -> tuple[Tx, ...]:
        """What had to go."""
        gone = self.in_the_way(tx)
        if gone is not None:
            self.drop(gone)
        self._by_sender.setdefault(tx.sender, {})[tx.nonce] = tx
        self._by_id[tx.txid] = tx
        return () if gone is None else (gone,)

    def drop(self, tx: Tx) -> None:
        del self._by_id[tx.txid]
        line = self._by_sender[tx.sender]
        del line[tx.nonce]
        if not line:
            del self._by_sender[tx.sender]
