"""Transactions that this node cares for, as its storage keeps them over restarts.

    tx/<id>    its bytes: until it is deep in the chain, or given up
    back/<id>  height of the block that had it and does not count any more
    lost/<id>  [its bytes, why it was given up], 100 at most, for people
"""

from __future__ import annotations

import attrs

from apps.chain.core.rules import Invalid
from apps.chain.core.tx import Tx, decode_tx
from overlay.app_storage import AppStorage
from overlay.wire import cbor

_OWN, _BACK, _LOST = b"tx/", b"back/", b"lost/"
_MOST_LOST = 100


@attrs.define(slots=True, eq=False)
class Own:
    storage: AppStorage
    chain_id: bytes
    #: By id, what is cared for.
    _held: dict[bytes, Tx] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        for _, raw in self.storage.scan(_OWN):
            # The same home may have kept another chain before, with another puzzle: that is left alone.
            if (tx := self._decoded(raw)) is not None:
                self._held[tx.txid] = tx

    def __len__(self) -> int:
        return len(self._held)

    def held(self) -> list[Tx]:
        """One account after another, each in the order of its nonces; of two with one nonce first who pays more."""
        return sorted(self._held.values(), key=lambda tx: (tx.sender, tx.nonce, -tx.fee, tx.txid))

    def of(self, sender: bytes) -> list[Tx]:
        return [tx for tx in self.held() if tx.sender == sender]

    def hold(self, tx: Tx) -> None:
        self.storage.put(_OWN + tx.txid, tx.raw)
        self._held[tx.txid] = tx
        self.storage.delete(_LOST + tx.txid)

    def hold_again(self, tx: Tx, height: int) -> None:
        """It was in the block of that height, which does not count any more."""
        self.hold(tx)
        self.storage.put(_BACK + tx.txid, cbor.encode(height))

    def forget(self, tx: Tx) -> None:
        self.storage.delete(_OWN + tx.txid)
        self.storage.delete(_BACK + tx.txid)
        self._held.pop(tx.txid, None)

    def give_up(self, tx: Tx, why: str) -> None:
        lost = [key for key, _ in self.storage.scan(_LOST)]
        for key in lost[: max(0, len(lost) - _MOST_LOST + 1)]:
            self.storage.delete(key)
        self.storage.put(_LOST + tx.txid, cbor.encode([tx.raw, why.encode()]))
        self.forget(tx)

    def given_up(self) -> list[tuple[Tx, str]]:
        """With why."""
        found = [cbor.decode(kept) for _, kept in self.storage.scan(_LOST)]
        return [(tx, why.decode()) for raw, why in found if (tx := self._decoded(raw)) is not None]

    def taken_back(self) -> list[Tx]:
        """Those that were in a block which does not count any more, whether another one has them now or not."""
        return [tx for tx in self.held() if self.storage.get(_BACK + tx.txid) is not None]

    def _decoded(self, raw: bytes) -> Tx | None:
        try:
            return decode_tx(raw, self.chain_id)
        except Invalid:
            return None
