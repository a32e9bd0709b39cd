"""What is where in a pool: of each account a line, and of all lines the end that pays least for a byte."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator

import attrs

from apps.chain.core.admission import rate_of
from apps.chain.core.limits import MAX_POOL_BYTES, MAX_POOL_TXS
from apps.chain.core.tx import Tx
from apps.chain.core.working import Working


@attrs.define(slots=True, eq=False)
class Line:
    """Of one account: its transactions in the order of their nonces."""

    txs: list[Tx] = attrs.Factory(list)
    #: The next height, with all of them applied; None: not known.
    working: Working | None = None


@attrs.define(slots=True, eq=False)
class Lines:
    by_id: dict[bytes, Tx] = attrs.Factory(dict)
    by_raw: dict[bytes, Tx] = attrs.Factory(dict)
    by_leaf: dict[bytes, Tx] = attrs.Factory(dict)
    #: Bytes of all of them.
    size: int = 0
    _by_sender: dict[bytes, Line] = attrs.Factory(dict)
    #: (rate, txid) of ends of lines; some are none any more.
    _ends: list[tuple[float, bytes]] = attrs.Factory(list)

    def __len__(self) -> int:
        """Transactions."""
        return len(self.by_id)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._by_sender.values())

    def get(self, sender: bytes) -> Line | None:
        return self._by_sender.get(sender)

    def enter(self, line: Line, tx: Tx) -> None:
        """At the end of it, which is that of its sender from now on."""
        line.txs.append(tx)
        self._by_sender[tx.sender] = line
        self.by_id[tx.txid] = self.by_raw[tx.raw] = self.by_leaf[tx.leaf] = tx
        self.size += len(tx.raw)
        self._ends_with(tx)
        if len(self._ends) > 2 * MAX_POOL_TXS:
            self._ends = [(rate_of(one.txs[-1]), one.txs[-1].txid) for one in self]
            heapq.heapify(self._ends)

    def clear(self) -> None:
        for sender in list(self._by_sender):
            self.forget(sender)

    def forget(self, sender: bytes) -> None:
        """All of that account."""
        for tx in self._by_sender.pop(sender).txs:
            self._take_out(tx)

    def drop_end(self, tx: Tx) -> None:
        line = self._by_sender[tx.sender]
        line.txs.pop()
        line.working = None
        self._take_out(tx)
        if line.txs:
            self._ends_with(line.txs[-1])
        else:
            del self._by_sender[tx.sender]

    def drop_excess(self) -> None:
        """Ends of lines, until there are no more than there is room for."""
        while len(self) > MAX_POOL_TXS or self.size > MAX_POOL_BYTES:
            end = self._worst_end(())
            assert end is not None
            self.drop_end(end)

    def room(self, tx: Tx, *, old: Tx | None = None) -> list[Tx] | None:
        """What would have to go for one more, or for one in place of an `old` one: ends of lines, of those that pay
        least the first. None: they pay as much, or are its own."""
        more, size = (1, len(tx.raw)) if old is None else (0, len(tx.raw) - len(old.raw))
        found: list[Tx] = []
        while len(self) - len(found) + more > MAX_POOL_TXS or self.size + size > MAX_POOL_BYTES:
            end = self._worst_end(found)
            if end is None:
                break
            found.append(end)
            size -= len(end.raw)
        for one in found:
            self._ends_with(one)
        return None if any(rate_of(one) >= rate_of(tx) or one.sender == tx.sender for one in found) else found

    def _worst_end(self, besides: Collection[Tx]) -> Tx | None:
        while self._ends:
            _, txid = heapq.heappop(self._ends)
            tx = self.by_id.get(txid)
            if tx is not None and self._by_sender[tx.sender].txs[-1] is tx and tx not in besides:
                return tx
        return None

    def _ends_with(self, tx: Tx) -> None:
        heapq.heappush(self._ends, (rate_of(tx), tx.txid))

    def _take_out(self, tx: Tx) -> None:
        del self.by_id[tx.txid], self.by_raw[tx.raw], self.by_leaf[tx.leaf]
        self.size -= len(tx.raw)
