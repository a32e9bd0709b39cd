"""Transactions of this node: the key of the node is its account.

What is sent is kept until it is deep in the chain, or can never be, and is published again meanwhile: others forget
what waits when they restart.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apps.chain.core.amounts import credits_text
from apps.chain.core.batches import Batches
from apps.chain.core.desk import Desk
from apps.chain.core.limits import CLAIM_FEE, MAX_OWN_TXS, MAX_WINDOW
from apps.chain.core.operations import Operation, SetName
from apps.chain.core.params import Params
from apps.chain.core.relay import TxRelay
from apps.chain.core.rules import Invalid
from apps.chain.core.tx import SIGNED, Tx, decode_tx, encode_tx, least_fee
from overlay.app import AppContext
from overlay.errors import LocalError
from overlay.runtime.ports import SECOND
from overlay.runtime.queue import Queue

_OWN = b"tx/"
#: So many blocks on top, and it is not published again: deeper changes of branch raise an alarm anyhow.
DEEP = 6
#: What a transaction pays by default, by what the rules ask for at least.
_FEE_FACTOR = 4
#: It can be in a block from here on: the next one may be found on a branch that is a little behind.
_BEHIND = 2
#: A name that ends within so many blocks may be anybody's before a transaction is in one.
_SURELY_OURS = 100


def _too_little(tx: Tx, most: int, pending: int) -> str:
    """`most`: units that are there for it."""
    paid = tx.spent - tx.fee
    rest = f", since {credits_text(pending)} wait to be spent" if pending else ""
    text = f"it is not sent: it costs {credits_text(tx.spent)} credits with its fee, and there are "
    text += f"{credits_text(most)}{rest}"
    return f"{text}; you can send at most {credits_text(max(most - tx.fee, 0))}" if paid else text



@attrs.define(slots=True, eq=False)
class Wallet:
    ctx: AppContext
    desk: Desk
    batches: Batches
    relay: TxRelay
    params: Params
    #: Holds one item while a transaction is made: two at once would have one nonce.
    _turn: Queue[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._turn = Queue(self.ctx.dht.loop, 1)

    @property
    def key(self) -> bytes:
        return self.ctx.dht.endpoint.signer.key

    async def send(self, operations: Sequence[Operation], *, fee: int | None = None) -> Tx:
        """Signs and publishes a transaction. LocalError if the rules, or what is in the account, forbid it."""
        await self._turn.put(None)
        try:
            claims = [await self._claims(one) for one in operations]
            balance, _, nonce, pending, _ = await self.desk.do("account", self.key)
            tx = self._signed(operations, nonce, fee, CLAIM_FEE * sum(claims))
            if tx.spent > (most := balance - pending):
                raise LocalError(_too_little(tx, most, pending))
            await self._submit(tx.raw)
            return tx
        finally:
            self._turn.get_nowait()

    async def _claims(self, operation: Operation) -> bool:
        """Whether it takes a name that is not this account's for some time to come."""
        if not isinstance(operation, SetName) or not operation.value:
            return False
        found = await self.desk.do("name", operation.name)
        return found is None or found[0] != self.key or found[2] <= self.desk.summary.height + _SURELY_OURS

    async def submit(self, raw: bytes) -> bytes:
        """A transaction that was signed elsewhere; its id."""
        return await self._submit(raw)

    async def _submit(self, raw: bytes) -> bytes:
        [(entry, txid, rule, why, _)] = await self.batches.txs([raw])
        if entry not in ("added", "gap", "known"):
            raise LocalError(f"it is not sent: {rule}{': ' if rule else ''}{why}")
        if sum(1 for _ in self.ctx.storage.scan(_OWN)) < MAX_OWN_TXS:
            self.ctx.storage.put(_OWN + txid, raw)
            await self.ctx.storage.synced()
        self.ctx.emit("tx", tx=txid, entry=entry)
        self.relay.publish(raw)
        return txid

    def _signed(self, operations: Sequence[Operation], nonce: int, fee: int | None, claims: int) -> Tx:
        first = max(0, self.desk.summary.height - _BEHIND)
        signer = self.ctx.signer(SIGNED)

        def made(paid: int) -> bytes:
            return encode_tx(
                signer, self.params.chain_id, operations, nonce=nonce, fee=paid, first=first, last=first + MAX_WINDOW
            )

        if fee is None:
            # A number of 53 bits takes 8 bytes more than one below 24.
            fee = _FEE_FACTOR * least_fee(len(made(1)) + 8) + claims
        try:
            return decode_tx(made(fee), self.params.chain_id)
        except Invalid as error:
            raise LocalError(f"it is not sent: {error.reason}") from None

    async def run(self) -> None:
        """Says again what is not deep in the chain yet, and forgets what is, or never can be."""
        while True:
            await self.ctx.sleep(4 * self.params.target_s * SECOND)
            for key, raw in list(self.ctx.storage.scan(_OWN)):
                try:
                    await self._look(key, raw)
                except LocalError as error:
                    self.ctx.emit("trouble", error=str(error))

    async def _look(self, key: bytes, raw: bytes) -> None:
        txid = key[len(_OWN) :]
        where = await self.desk.do("where", txid)
        if where is not None and where[1] >= DEEP:
            self.ctx.storage.delete(key)
            return
        if where is None:
            [(entry, _, rule, why, _)] = await self.batches.txs([raw])
            if entry == "invalid":
                self.ctx.storage.delete(key)
                self.ctx.emit("tx lost", tx=txid, reason=f"{rule}: {why}")
                return
        if where is None or not where[1]:
            self.relay.publish(raw)
