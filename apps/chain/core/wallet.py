"""Transactions of this node: the key of the node is its account. What becomes of them, care.py looks after."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from apps.chain.core.amounts import credits_text
from apps.chain.core.batches import Batches
from apps.chain.core.block import decode_block, decode_txs
from apps.chain.core.desk import Desk
from apps.chain.core.limits import CLAIM_FEE, MAX_NONCE_AHEAD, MAX_OWN_TXS, MAX_POOL_PER_ACCOUNT, MAX_WINDOW
from apps.chain.core.operations import Operation, Pay, SetName
from apps.chain.core.own import Own
from apps.chain.core.params import Params
from apps.chain.core.relay import TxRelay
from apps.chain.core.rules import Invalid
from apps.chain.core.tx import SIGNED, Tx, decode_tx, encode_tx, least_fee
from overlay.app import AppContext
from overlay.errors import LocalError
from overlay.runtime.ports import SECOND
from overlay.runtime.queue import Queue

#: What a transaction pays by default, by what the rules ask for at least.
_FEE_FACTOR = 4
#: It can be in a block from here on: the next one may be found on a branch that is a little behind.
_BEHIND = 2
#: A name that ends within so many blocks may be anybody's before a transaction is in one.
_SURELY_OURS = 100
#: After a start a transaction waits so long for somebody who keeps the chain.
_WAIT_NS = 10 * SECOND
#: Of a node that is alone, or has just begun.
_NOT_SYNCED = "; nobody has said yet how far the chain is (p2pnode chain status)"


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
    #: Whether nobody has more of the chain than is here.
    is_synced: Callable[[], bool]
    own: Own = attrs.field(init=False)
    #: Until when one that is sent waits for others, monotonic.
    _wait_until_ns: int = attrs.field(init=False)
    #: Nobody had more once, since the start: nonces and balance are what others say, too.
    _was_synced: bool = attrs.field(default=False, init=False)
    #: Holds one item while a transaction is made: two at once would have one nonce.
    _turn: Queue[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.own = Own(self.ctx.storage, self.params.chain_id)
        self._turn = Queue(self.ctx.dht.loop, 1)
        self._wait_until_ns = self.ctx.now.mono_ns + _WAIT_NS

    @property
    def key(self) -> bytes:
        return self.ctx.dht.endpoint.signer.key

    # --- one is sent ---

    async def send(self, operations: Sequence[Operation], *, fee: int | None = None) -> Tx:
        """Signs and publishes a transaction. LocalError if the rules, or what is in the account, forbid it, or if this
        node does not know yet what others have."""
        await self._ready()
        await self._turn.put(None)
        try:
            claims = [await self._claims(one) for one in operations]
            balance, settled, nonce, pending = await self.account()
            await self._check_room(settled, nonce)
            tx = self._signed(operations, nonce, fee, CLAIM_FEE * sum(claims))
            if tx.spent > (most := balance - pending):
                raise LocalError(_too_little(tx, most, pending) + ("" if self.is_synced() else _NOT_SYNCED))
            await self._submit(tx)
            return tx
        finally:
            self._turn.get_nowait()

    async def missing(self) -> int | None:
        """The nonce that comes next, if nothing here has it and something of ours waits behind."""
        _, _, nonce, _ = await self.desk.do("account", self.key)
        nonces = {tx.nonce for tx in self.own.of(self.key)}
        return nonce if nonce not in nonces and max(nonces, default=-1) > nonce else None

    async def fill(self, nonce: int) -> None:
        """Gives it to a payment without effect.

        What waits behind is not signed anew with a lower nonce: anybody could still send the old ones, and would pay
        twice."""
        await self._turn.put(None)
        try:
            if await self.missing() != nonce:
                return  # somebody has sent one meanwhile
            filling = self._signed([Pay(self.key, 1)], nonce, None, 0)
            await self._submit(filling)
        finally:
            self._turn.get_nowait()
        self.ctx.emit("gap filled", tx=filling.txid, nonce=nonce)

    async def account(self) -> tuple[int, int, int, int]:
        """Of this node: (balance, nonce, nonce of the next transaction, units that waiting ones spend). What the pool
        has no room for, or lost, waits here and counts as well."""
        balance, settled, after, pending = await self.desk.do("account", self.key)
        behind = {tx.nonce: tx.spent for tx in reversed(self.own.of(self.key)) if tx.nonce >= after}
        while after in behind:
            after += 1
        return balance, settled, after, pending + sum(behind.values())

    async def _ready(self) -> None:
        """Waits for the first sync, but not long. Where nobody answers, this node is alone and goes on."""
        while not self._is_ready() and self.ctx.now.mono_ns < self._wait_until_ns:
            await self.ctx.sleep(SECOND)
        if not self._is_ready() and self.relay.peers.answered:
            text = "it is not sent: the chain is not synced yet, others may have more of it"
            raise LocalError(f"{text}; try again once `p2pnode chain status` says that it is up to date")

    def _is_ready(self) -> bool:
        self._was_synced |= self.is_synced()
        return self._was_synced

    async def _check_room(self, settled: int, nonce: int) -> None:
        """LocalError if too many wait."""
        if nonce - settled >= MAX_POOL_PER_ACCOUNT:
            text = f"it is not sent: {nonce - settled} of this account wait already"
            raise LocalError(f"{text}; try again once some are in a block")
        _, _, after, _ = await self.desk.do("account", self.key)
        if nonce > after + MAX_NONCE_AHEAD:
            text = f"it is not sent: {nonce - after} wait for the one with nonce {after}, which no block can have now"
            raise LocalError(f"{text}; look at `p2pnode chain wallet show`, and try again")

    async def _claims(self, operation: Operation) -> bool:
        """Whether it takes a name that is not this account's for some time to come."""
        if not isinstance(operation, SetName) or not operation.value:
            return False
        found = await self.desk.do("name", operation.name)
        return found is None or found[0] != self.key or found[2] <= self.desk.summary.height + _SURELY_OURS

    async def submit(self, raw: bytes) -> bytes:
        """A transaction that was signed elsewhere; its id."""
        tx = self._decoded(raw)
        await self._submit(tx)
        return tx.txid

    async def _submit(self, tx: Tx) -> None:
        # What others signed takes no room from what this node pays itself.
        if len(self.own.of(self.key) if tx.sender == self.key else self.own.held()) >= MAX_OWN_TXS:
            text = f"it is not sent: {MAX_OWN_TXS} that this node sent are not deep in the chain yet"
            raise LocalError(f"{text}; try again after some blocks")
        [(entry, _, rule, why, _)] = await self.batches.txs([tx.raw])
        if entry not in ("added", "gap", "known"):
            raise LocalError(f"it is not sent: {rule}{': ' if rule else ''}{why}")
        self.own.hold(tx)
        await self.ctx.storage.synced()
        self.ctx.emit("tx", tx=tx.txid, entry=entry)
        self.relay.publish(tx.raw)

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
        return self._decoded(made(fee))

    def _decoded(self, raw: bytes) -> Tx:
        try:
            return decode_tx(raw, self.params.chain_id)
        except Invalid as error:
            raise LocalError(f"it is not sent: {error.reason}") from None

    # --- what was sent ---

    async def confirmations(self, tx: Tx) -> int:
        where = await self.desk.do("where", tx.txid)
        return where[1] if where is not None else 0

    async def load(self) -> None:
        """At the start, before anything is signed or mined: the pool is empty, and what waits belongs into it."""
        if held := self.own.held():
            await self.batches.txs([tx.raw for tx in held])

    # --- what a change of branch takes back ---

    async def returned(self, blocks: Sequence[tuple[int, bytes]]) -> None:
        """(height, id) of blocks that do not count any more: what this node had sent in them is said again, however
        deep it was, until it is in one that does."""
        for height, block in blocks:
            raw = await self.desk.do("body", block)
            for tx in decode_txs(decode_block(raw).txs, self.params.chain_id) if raw else ():
                if tx.sender == self.key and len(self.own) < MAX_OWN_TXS:
                    self.own.hold_again(tx, height)
        await self.ctx.storage.synced()

    async def gone(self) -> list[tuple[Tx, str]]:
        """Own transactions that were in a block and are in none now, or were given up: these with the reason."""
        found = [(tx, "") for tx in self.own.taken_back() if not await self.confirmations(tx)]
        for tx, why in self.own.given_up():
            where = await self.desk.do("where", tx.txid)
            if where is None:
                found.append((tx, why))
            elif not where[1]:  # somebody sent it after all, and it waits again
                found.append((tx, ""))
        return found
