"""Transactions of this node: the key of the node is its account.

What is sent is kept until it is deep in the chain, or can never be, and is published again meanwhile: others forget
what waits when they restart.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apps.chain.core.amounts import credits_text
from apps.chain.core.batches import Batches
from apps.chain.core.block import decode_block, decode_txs
from apps.chain.core.desk import Desk
from apps.chain.core.limits import CLAIM_FEE, MAX_OWN_TXS, MAX_WINDOW
from apps.chain.core.operations import Operation, Pay, SetName
from apps.chain.core.params import Params
from apps.chain.core.relay import TxRelay
from apps.chain.core.rules import Invalid
from apps.chain.core.tx import SIGNED, Tx, decode_tx, encode_tx, least_fee
from overlay.app import AppContext
from overlay.errors import LocalError
from overlay.runtime.ports import SECOND
from overlay.runtime.queue import Queue
from overlay.wire import cbor

_OWN = b"tx/"
#: Those that were in a block which does not count any more, until one has them again: the height of that block.
_BACK = b"back/"
#: Those that can never be: bytes, and why. So many are kept, for people.
_LOST = b"lost/"
_MOST_LOST = 100
#: Rules that a transaction may keep later: it is too early, or there is too little yet.
_NOT_YET = ("S1", "S3")
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
            balance, _, nonce, pending = await self.desk.do("account", self.key)
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
            self.ctx.storage.delete(_BACK + txid)
            return
        if where is None:
            [(entry, _, rule, why, _)] = await self.batches.txs([raw])
            if entry == "invalid":
                tx = decode_tx(raw, self.params.chain_id)
                if rule not in _NOT_YET or tx.last <= self.desk.summary.height:
                    await self._lose(tx, f"{rule}: {why}")
                return
        if where is None or not where[1]:
            self.relay.publish(raw)

    async def _lose(self, tx: Tx, why: str) -> None:
        """It can never be in a block. Those behind it would wait for its nonce for ever: another one takes that."""
        storage = self.ctx.storage
        storage.delete(_OWN + tx.txid)
        storage.delete(_BACK + tx.txid)
        lost = [key for key, _ in storage.scan(_LOST)]
        for key in lost[: max(0, len(lost) - _MOST_LOST + 1)]:
            storage.delete(key)
        storage.put(_LOST + tx.txid, cbor.encode([tx.raw, why.encode()]))
        self.ctx.emit("tx lost", tx=tx.txid, reason=why)
        _, _, after, _ = await self.desk.do("account", self.key)
        behind = any(decode_tx(raw, self.params.chain_id).nonce > tx.nonce for _, raw in storage.scan(_OWN))
        if after == tx.nonce and behind:
            # What waits is not signed anew with a lower nonce: anybody could still send the old one, and it would pay
            # twice.
            filling = await self.send([Pay(self.key, 1)])
            self.ctx.emit("gap filled", tx=filling.txid, nonce=tx.nonce)

    # --- what a change of branch takes back ---

    async def returned(self, blocks: Sequence[tuple[int, bytes]]) -> None:
        """(height, id) of blocks that do not count any more: what this node had sent in them is said again, however
        deep it was, until it is in one that does."""
        for height, block in blocks:
            raw = await self.desk.do("body", block)
            for tx in decode_txs(decode_block(raw).txs, self.params.chain_id) if raw else ():
                if tx.sender == self.key and len(list(self.ctx.storage.scan(_OWN))) < MAX_OWN_TXS:
                    self.ctx.storage.put(_OWN + tx.txid, tx.raw)
                    self.ctx.storage.put(_BACK + tx.txid, cbor.encode(height))
        await self.ctx.storage.synced()

    async def gone(self) -> list[tuple[Tx, str]]:
        """Own transactions that were in a block and are in none now, or can never be: these with the reason."""
        found: list[tuple[Tx, str]] = []
        for key, _ in list(self.ctx.storage.scan(_BACK)):
            txid = key[len(_BACK) :]
            where = await self.desk.do("where", txid)
            raw = self.ctx.storage.get(_OWN + txid)
            if raw is not None and (where is None or not where[1]):
                found.append((decode_tx(raw, self.params.chain_id), ""))
        for _, kept in self.ctx.storage.scan(_LOST):
            raw, why = cbor.decode(kept)
            found.append((decode_tx(raw, self.params.chain_id), why.decode()))
        return found
