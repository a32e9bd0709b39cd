"""Workloads of the chain: who mines and pays, who spends twice, and how soon all agree after something happened."""

from __future__ import annotations

from typing import Any

import attrs

from apps.chain.core.limits import MIN_MIN_DIFFICULTY
from apps.chain.core.operations import Pay
from apps.chain.core.params import simulated
from apps.chain.core.tx import decode_tx, encode_tx
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Ok, Outcome
from simulations.bounds import after, between, not_negative, positive, share
from simulations.chain.chronicle import Chronicle
from simulations.chain.world import ChainWorld, chain_of
from simulations.measures import quantile
from simulations.swarm import Swarm

#: A transaction is good for so many blocks.
_WINDOW = 1_000
_FEE = 1_000


@attrs.frozen(slots=True, kw_only=True)
class MineBlocks:
    """A share of the honest nodes mine, all with the same hash rate; those through which others join do not. Together,
    adversaries included, they are so fast that a block of `difficulty` takes `target_s`. Some of them pay others.

    What is measured: simulations.chain.chronicle.
    """

    miners: float = attrs.field(default=1.0, validator=share)
    #: Share of the honest nodes that keep headers alone; none of them mines.
    light: float = attrs.field(default=0.0, validator=share)
    difficulty: int = attrs.field(default=1024, validator=between(MIN_MIN_DIFFICULTY, 1 << 20))
    #: Parameters of the chain.
    target_s: int = attrs.field(default=15, validator=between(1, 3600))
    half_life: int = attrs.field(default=20, validator=between(1, 1 << 30))
    least_difficulty: int = attrs.field(default=MIN_MIN_DIFFICULTY, validator=between(MIN_MIN_DIFFICULTY, 1 << 20))
    maturity: int = attrs.field(default=20, validator=between(1, 1 << 20))
    #: The state is digested, and compared, every so many blocks; 0: never.
    digest_every: int = attrs.field(default=16, validator=between(0, 1 << 30))
    from_s: float = attrs.field(default=30.0, validator=not_negative)
    #: Figures count blocks that are found from here on.
    count_from_s: float | None = attrs.field(default=None, validator=after("from_s"))
    #: They stop; the chain is quiet from then on.
    to_s: float | None = attrs.field(default=None, validator=after("from_s"))
    #: Payments a second of all of them, once they have something.
    payments: float = attrs.field(default=0.0, validator=between(0, 1000))

    def begin(self, swarm: Swarm) -> None:
        world = chain_of(swarm)
        world.params = simulated(
            b"swarm", least_difficulty=self.least_difficulty, target_s=self.target_s, half_life=self.half_life,
            maturity=self.maturity,
        )  # fmt: skip
        world.digest_every = self.digest_every
        world.luck = lambda node: swarm.rng("luck", node, swarm.engine.life(node))
        honest = [node for node in swarm.corruptible if node < swarm.scenario.population.nodes]
        light = swarm.rng("light").sample(honest, round(self.light * len(honest)))
        world.light |= set(light)
        whole = [node for node in honest if node not in world.light]
        miners = sorted(swarm.rng("miners").sample(whole, max(1, round(self.miners * len(whole)))))
        self._give_rates(world, miners)
        chronicle = Chronicle(swarm, world, self.from_s if self.count_from_s is None else self.count_from_s)
        chronicle.begin()
        for node in world.rates:
            swarm.at(self.from_s, lambda node=node: self._mine(swarm, node, "mine_start"))  # type: ignore[misc]
            if self.to_s is not None:
                swarm.at(self.to_s, lambda node=node: self._mine(swarm, node, "mine_stop"))  # type: ignore[misc]
        if self.payments:
            rng = swarm.rng("payments")
            pay = _Payments(swarm, world, miners, rng)
            swarm.watchers.append(pay.watch)
            swarm.every(1 / self.payments, pay.one, begin_s=self.from_s)
            swarm.at(swarm.scenario.duration_s, pay.sum_up)

    def _give_rates(self, world: ChainWorld, miners: list[int]) -> None:
        rate = self.difficulty / self.target_s
        left = 1.0 - sum(world.powers.values())
        world.rates |= {node: rate * power for node, power in world.powers.items()}
        world.rates |= {node: rate * left / len(miners) for node in miners}

    def _mine(self, swarm: Swarm, node: int, command: str) -> None:
        if swarm.engine.awake(node):
            swarm.ask(node, "app", {"app": "chain", "command": command, "args": {}}, lambda _outcome, _took: None)


@attrs.define(slots=True, eq=False)
class _Payments:
    """One after another, of random miners to random miners."""

    swarm: Swarm
    world: ChainWorld
    miners: list[int]
    rng: Rng
    #: id -> (who pays, since when, height of its chain then).
    _open: dict[bytes, tuple[int, int, int]] = attrs.field(factory=dict, init=False)
    #: In how many blocks from then on each was, 1: in the next one.
    _waited: list[int] = attrs.field(factory=list, init=False)

    def one(self) -> None:
        honest = [node for node in self.miners if self.swarm.engine.awake(node)]
        if len(honest) < 2:
            return
        node, to = self.rng.sample(honest, 2)
        amount = 1_000 + self.rng.below(1_000_000)
        began_ns = self.swarm.engine.now_ns

        def ended(outcome: Outcome, _took_ns: int) -> None:
            if isinstance(outcome, Ok):  # else it has nothing yet
                height = self.world.store(node).tip().height
                self._open[bytes.fromhex(outcome.value["tx"])] = node, began_ns, height

        args = {"to": self.swarm.population.keys(to).key.hex(), "amount": amount}
        self.swarm.ask(node, "app", {"app": "chain", "command": "send", "args": args}, ended)

    def watch(self, node: int, at_ns: int, event: Any) -> None:
        """With each block of its own it is looked whether they are in."""
        if getattr(event, "app", "") != "chain" or event.name != "block":
            return
        store = self.world.store(node)
        for txid, (payer, began_ns, height) in list(self._open.items()):
            row = store.tx(txid) if payer == node else None
            if row is not None:
                self.swarm.measures.operation("payment").add(began_ns, at_ns - began_ns, True)
                self._waited.append(row.height - height)
                del self._open[txid]

    def sum_up(self) -> None:
        """`payment_blocks_p99`; those that are in no block at the end count as far as they have waited."""
        waited = self._waited + [
            self.world.store(node).tip().height - height for node, _, height in self._open.values()
        ]
        if waited:
            self.swarm.measures.counts["payment_blocks_p99"] = quantile(waited, 99)


@attrs.frozen(slots=True, kw_only=True)
class OneChain:
    """From `from_s` on (a partition heals): `one_chain_s`, seconds until all honest nodes have one tip for the first
    time; the rest of the run, if they never have."""

    from_s: float = attrs.field(validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        chronicle = Chronicle(swarm, chain_of(swarm), self.from_s)
        done: list[float] = []

        def look() -> None:
            if not done and len({tip for _, tip, _ in chronicle.tips().values()}) == 1:
                done.append(swarm.now_s - self.from_s)
                swarm.mark("one chain")

        def sum_up() -> None:
            swarm.measures.counts["one_chain_s"] = done[0] if done else swarm.now_s - self.from_s

        swarm.every(1, look, begin_s=self.from_s + 1)
        swarm.at(swarm.scenario.duration_s, sum_up)


@attrs.frozen(slots=True, kw_only=True)
class DoubleSpends:
    """At `at_s`, in a partition, `count` owners sign two payments with one nonce, and give each to a node of another
    part. At the end: `double_spends`; `double_once`, the share of them of which exactly one payment is in the chain of
    every honest node, the same one; `double_both`, those of which any node has both."""

    at_s: float = attrs.field(validator=not_negative)
    count: int = attrs.field(default=5, validator=positive)

    def begin(self, swarm: Swarm) -> None:
        world = chain_of(swarm)
        spent: list[tuple[bytes, bytes]] = []
        swarm.at(self.at_s, lambda: self._spend(swarm, world, spent))
        swarm.at(swarm.scenario.duration_s, lambda: self._sum_up(swarm, world, spent))

    def _spend(self, swarm: Swarm, world: ChainWorld, spent: list[tuple[bytes, bytes]]) -> None:
        rng = swarm.rng("double spends")
        honest = swarm.honest()
        rich = [node for node in honest if self._balance(swarm, world, node, node) > 100 * _FEE]
        for owner in sorted(rng.sample(rich, self.count)):
            apart = [node for node in honest if swarm.network.barrier(owner, node) is not None]
            if apart:
                self._one(swarm, world, owner, rng.choice(apart), rng, spent)

    def _one(
        self, swarm: Swarm, world: ChainWorld, owner: int, other: int, rng: Rng, spent: list[tuple[bytes, bytes]]
    ) -> None:
        # What both parts agree on is what it had before they parted.
        amount = min(self._balance(swarm, world, owner, node) for node in (owner, other)) - 10 * _FEE
        nonce = min(self._nonce(swarm, world, owner, node) for node in (owner, other))
        pair = []
        for node in (owner, other):
            height = world.store(node).tip().height
            raw = encode_tx(
                swarm.population.signer(owner), world.params.chain_id, [Pay(rng.bytes(32), max(1, amount))],
                nonce=nonce, fee=_FEE, first=max(0, height - _WINDOW // 2), last=height + _WINDOW // 2,
            )  # fmt: skip
            pair.append(raw)
            args = {"app": "chain", "command": "submit", "args": {"tx": raw.hex()}}
            swarm.ask(node, "app", args, lambda _outcome, _took: None)
        spent.append((pair[0], pair[1]))

    def _sum_up(self, swarm: Swarm, world: ChainWorld, spent: list[tuple[bytes, bytes]]) -> None:
        once = both = 0
        for pair in spent:
            ids = [decode_tx(raw, world.params.chain_id).txid for raw in pair]
            found = {
                tuple(world.store(node).tx(txid) is not None for txid in ids)
                for node in swarm.honest() if node not in world.light
            }  # fmt: skip
            once += len(found) == 1 and sum(next(iter(found))) == 1
            both += any(all(one) for one in found)
        counts = swarm.measures.counts
        counts |= {"double_spends": len(spent), "double_both": both}
        if spent:
            counts["double_once"] = round(once / len(spent), 6)

    def _balance(self, swarm: Swarm, world: ChainWorld, owner: int, at: int) -> int:
        key = swarm.population.keys(owner).key
        found = world.store(at).accounts((key,)).get(key)
        return 0 if found is None else found.balance

    def _nonce(self, swarm: Swarm, world: ChainWorld, owner: int, at: int) -> int:
        key = swarm.population.keys(owner).key
        found = world.store(at).accounts((key,)).get(key)
        return 0 if found is None else found.nonce
