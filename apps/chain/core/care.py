"""What this node sent, until it is deep in the chain: published again, since others forget what waits when they
restart, and given up only if no block can have it any more, and that is buried as deep.
"""

from __future__ import annotations

import attrs

from apps.chain.core.limits import DEEP_REORG
from apps.chain.core.operations import SetName
from apps.chain.core.tx import Tx
from apps.chain.core.wallet import Wallet
from overlay.errors import LocalError
from overlay.runtime.ports import SECOND

#: Rules that say nothing for ever: it is too early, nonces before it are missing, or there is too little yet. That its
#: heights are over, or its nonce is used, is found without the pool.
_NOT_YET = ("S1", "S2", "S3")
#: All of it is looked at after so many targets.
_LOOK_TARGETS = 4


@attrs.define(slots=True, eq=False)
class Care:
    wallet: Wallet
    #: Height since which a transaction (by its id) has been impossible, or a nonce of ours missing, at each look.
    _since: dict[bytes | int, int] = attrs.field(factory=dict, init=False)

    def reconsider(self) -> None:
        """The branch has changed: what was impossible on the other one is judged anew."""
        self._since.clear()

    async def run(self) -> None:
        ctx, every_ns = self.wallet.ctx, _LOOK_TARGETS * self.wallet.params.target_s * SECOND
        with ctx.dht.loop.move_on_after(every_ns):
            while not self.wallet.is_synced():
                await ctx.sleep(SECOND)
        while True:
            try:
                await self._look()
            except LocalError as error:
                ctx.emit("trouble", error=str(error))
            await ctx.sleep(every_ns)

    async def _look(self) -> None:
        wallet = self.wallet
        if not wallet.is_synced():
            self._since.clear()  # all of it begins anew: nothing is buried now
        for tx, _ in wallet.own.given_up():
            if await wallet.confirmations(tx):  # somebody sent it after all
                wallet.own.hold(tx)
        nonces: dict[bytes, int] = {}
        for tx in wallet.own.held():
            if tx.sender not in nonces:
                _, nonces[tx.sender], _, _ = await wallet.desk.do("account", tx.sender)
            await self._look_at(tx, nonces[tx.sender])
        if wallet.is_synced():
            await self._fill()

    async def _look_at(self, tx: Tx, settled: int) -> None:
        """`settled`: the nonce of its account, without what waits."""
        wallet = self.wallet
        if deep := await wallet.confirmations(tx):
            self._since.pop(tx.txid, None)
            if deep >= DEEP_REORG:  # deeper changes of branch raise an alarm
                wallet.own.forget(tx)
            return
        never, may_be = await self._outlook(tx, settled)
        if may_be:
            wallet.relay.publish(tx.raw)
        if not never:
            self._since.pop(tx.txid, None)
        elif self._is_buried(tx.txid):
            since = self._since.pop(tx.txid)
            wallet.own.give_up(tx, never)
            if tx.sender == wallet.key:
                self._since[tx.nonce] = since
            wallet.ctx.emit("tx lost", tx=tx.txid, reason=never)

    async def _outlook(self, tx: Tx, settled: int) -> tuple[str, bool]:
        """Of one in no block: (why none can have it, "" if one may; whether one may soon, as far as is known here)."""
        if tx.nonce < settled:
            return f"S2: another one with its nonce, {tx.nonce}, is in a block", False
        if tx.last <= self.wallet.desk.summary.height:
            return f"S1: valid up to block {tx.last}", False
        [(entry, _, rule, why, _)] = await self.wallet.batches.txs([tx.raw])
        if entry != "invalid":
            return "", True
        # Before its turn it is judged by others that wait, which may never be in a block themselves.
        if rule in _NOT_YET or tx.nonce != settled or await self._ends_in_time(tx):
            return "", False
        return f"{rule}: {why}", False

    async def _ends_in_time(self, tx: Tx) -> bool:
        """Whether a name that it wants is another's, and free again before it is too late for it."""
        names = [one.name for one in tx.operations if isinstance(one, SetName)]
        found = [await self.wallet.desk.do("name", name) for name in names]
        return any(name is not None and name[0] != tx.sender and name[2] <= tx.last for name in found)

    def _is_buried(self, what: bytes | int) -> bool:
        """Whether it has been so for as many blocks as are never taken back. Asked for the first time, it has just
        begun."""
        height = self.wallet.desk.summary.height
        return height - self._since.setdefault(what, height) + 1 >= DEEP_REORG

    async def _fill(self) -> None:
        """Nonces of those that were given up, if others wait behind."""
        while (nonce := await self.wallet.missing()) is not None and self._is_buried(nonce):
            await self.wallet.fill(nonce)
        held = {tx.nonce for tx in self.wallet.own.of(self.wallet.key)}
        for filled in held & self._since.keys():
            del self._since[filled]
