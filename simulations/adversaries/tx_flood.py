"""Who has many accounts fills the pools of all with cheap transactions."""

from __future__ import annotations

from functools import partial

import attrs

from apps.chain.core.books import Books
from apps.chain.core.limits import MAX_OPERATIONS, MAX_POOL_PER_ACCOUNT
from apps.chain.core.miner import How, Miner
from apps.chain.core.operations import Operation, Pay
from apps.chain.core.relay import bundled
from apps.chain.core.tx import encode_tx, least_fee
from apps.chain.core.wire import txs_topic
from overlay.app import AppContext
from overlay.errors import LimitError, LocalError
from overlay.identity.keys import KeyPair, Signer
from overlay.limits import MESSAGES_PER_AUTHOR_S
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from overlay.wire.publication import room_for
from simulations.adversaries.positions import chosen, near_key
from simulations.bounds import after, between, not_negative, positive
from simulations.chain.world import ChainWorld, SwarmChain, chain_of
from simulations.fake_keys import FakeKeyPair
from simulations.population import Codec
from simulations.swarm import Swarm

#: What each account gets to spend, in units, and a transaction pays: a fourth more than the rules ask for.
_SHARE = 1_000_000
_FEE_FACTOR = 1.25
_WINDOW = 5_000


@attrs.frozen(slots=True, kw_only=True)
class TxFlooders:
    """They mine as all others until `from_s`, divide what they have among `accounts` of their own, and from then on
    publish `rate` transactions a second each, of all accounts in turn, as far ahead as a pool takes them.

    Counts `flood_sent`; at the end `flood_pool`, the most that waited at an honest node.
    """

    count: int = attrs.field(default=1, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    accounts: int = attrs.field(default=80, validator=between(1, 1000))
    rate: float = attrs.field(default=200.0, validator=between(0.1, 4 * MESSAGES_PER_AUTHOR_S))
    from_s: float = attrs.field(default=600.0, validator=not_negative)
    to_s: float = attrs.field(default=660.0, validator=(positive, after("from_s")))
    #: Of all hashes, each.
    power: float = attrs.field(default=0.1, validator=between(0, 0.5))

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.counts |= {"flood_sent": 0, "flood_pool": 0}
        world = chain_of(swarm)
        for node in chosen(swarm, "tx-flooders", 0, self.count, self.near):
            world.powers[node] = self.power
            world.others[node] = partial(self._make, swarm, node)
            swarm.corrupt(node, "tx-flooders", swarm.population.peer)
        swarm.samplers.append(lambda _swarm: self._sample(swarm, world))

    def _make(self, swarm: Swarm, node: int, books: Books, miner: Miner | None) -> SwarmChain:
        return Flooder(books, miner, self, swarm, node)

    def _sample(self, swarm: Swarm, world: ChainWorld) -> None:
        most = max((one.desk.summary.waiting for node in swarm.honest()
                    if (one := world.running.get(node)) is not None and hasattr(one, "desk")), default=0)  # fmt: skip
        counts = swarm.measures.counts
        counts["flood_pool"] = max(counts["flood_pool"], most)


class Flooder(SwarmChain):
    def __init__(self, books: Books, miner: Miner | None, plan: TxFlooders, swarm: Swarm, node: int) -> None:
        super().__init__(books, miner=miner)
        self.plan, self.swarm, self.rng = plan, swarm, swarm.rng("flood", node)
        self.accounts = [_signer(swarm, self.rng) for _ in range(plan.accounts)]

    async def run(self, ctx: AppContext) -> None:
        await super().run(ctx)
        await self.mine(How())
        ctx.spawn(self._flood(ctx), name="flood")

    async def _flood(self, ctx: AppContext) -> None:
        await self._until(self.plan.from_s - 5 * self.params.target_s)
        await self._divide()
        await self._until(self.plan.from_s)
        next_nonces = dict.fromkeys(range(len(self.accounts)), 0)
        topic, owed = txs_topic(self.params.chain_id), 0.0
        while self.swarm.now_s < self.plan.to_s:
            await ctx.sleep(SECOND)
            owed += self.plan.rate
            raws = self._more(next_nonces, int(owed))
            owed -= int(owed)
            self.swarm.measures.count("flood_sent", len(raws))
            for body in bundled(raws, room_for(topic)):
                try:
                    await ctx.publish(topic, body)
                except LimitError:
                    break

    async def _until(self, at_s: float) -> None:
        await self.ctx.sleep(max(0, round((at_s - self.swarm.now_s) * SECOND)))

    async def _divide(self) -> None:
        """Sixteen accounts with each transaction."""
        for at in range(0, len(self.accounts), MAX_OPERATIONS):
            pays: list[Operation] = [Pay(one.key, _SHARE) for one in self.accounts[at : at + MAX_OPERATIONS]]
            try:
                await self.wallet.send(pays)
            except LocalError:  # it has mined less than it hoped
                return

    def _more(self, next_nonces: dict[int, int], count: int) -> list[bytes]:
        """Of all accounts in turn, each as far ahead of the chain as a pool takes them; from there on again."""
        raws = []
        height = self.desk.summary.height
        for _ in range(count):
            at = self.rng.below(len(self.accounts))
            signer = self.accounts[at]
            found = self.books.store.accounts((signer.key,)).get(signer.key)
            if found is None:
                continue
            nonce = max(next_nonces[at], found.nonce)
            if nonce >= found.nonce + MAX_POOL_PER_ACCOUNT:
                nonce = found.nonce
            next_nonces[at] = nonce + 1
            raws.append(self._one(signer, nonce, height))
        return raws

    def _one(self, signer: Signer, nonce: int, height: int) -> bytes:
        size = 200
        fee = round(_FEE_FACTOR * least_fee(size))
        return encode_tx(
            signer, self.params.chain_id, [Pay(self.rng.bytes(32), 1)], nonce=nonce, fee=fee, first=max(0, height - 5),
            last=height + _WINDOW,
        )  # fmt: skip


def _signer(swarm: Swarm, rng: Rng) -> Signer:
    keys = KeyPair.from_seed(rng.bytes(32))
    return keys if swarm.population.codec is Codec.REAL else FakeKeyPair(keys.key)
