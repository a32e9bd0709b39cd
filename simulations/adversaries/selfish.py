"""A miner that keeps its blocks back and publishes them when that makes the work of others worth nothing.

The strategy is Algorithm 1 of Eyal and Sirer, Majority is not Enough: Bitcoin Mining is Vulnerable (2014). So is the
revenue that is expected of it, where gamma is the share of the honest work that is done on its block in a race of one
against one:

    R = (a(1-a)^2(4a + g(1-2a)) - a^3) / (1 - a(1 + (2-a)a))
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import attrs

from apps.chain.core.books import Books
from apps.chain.core.miner import Miner
from apps.chain.core.news import Told
from apps.chain.core.outcome import Verdict
from overlay.app import AppContext
from overlay.errors import Refused
from simulations.adversaries.positions import chosen
from simulations.bounds import between, not_negative
from simulations.chain.world import ChainWorld, SwarmChain, chain_of
from simulations.swarm import Swarm

#: The interval of the revenue comes from so many parts of the chain, each taken for one observation.
_PARTS = 50


def expected_revenue(alpha: float, gamma: float) -> float:
    """Of Eyal and Sirer, equation 8."""
    a, g = alpha, gamma
    return (a * (1 - a) ** 2 * (4 * a + g * (1 - 2 * a)) - a**3) / (1 - a * (1 + (2 - a) * a))


@attrs.define(slots=True, eq=False)
class Races:
    """What the selfish miner saw of its races of one block against one."""

    #: (its block, theirs) of the race that is on.
    on: tuple[bytes, bytes] | None = None
    #: Races that an honest miner decided, on its block and on theirs.
    for_it: int = 0
    against_it: int = 0

    @property
    def gamma(self) -> float:
        return self.for_it / max(1, self.for_it + self.against_it)

    def decided(self, parent: bytes) -> None:
        """An honest block came on top of one of the two."""
        if self.on is not None and parent in self.on:
            if parent == self.on[0]:
                self.for_it += 1
            else:
                self.against_it += 1
        self.on = None


class SelfishChain(SwarmChain):
    """Its own ledger follows its own branch; all others see what it has published."""

    def __init__(self, books: Books, miner: Miner | None, races: Races) -> None:
        super().__init__(books, miner=miner)
        self.races = races
        #: Blocks that are kept back, upwards: (height, id, compact).
        self.kept: list[tuple[int, bytes, bytes]] = []
        #: Of what all know.
        self.public = 0

    async def run(self, ctx: AppContext) -> None:
        await super().run(ctx)
        ctx.serve(self._refuse)  # who asked where it is would hear of its branch

    async def _refuse(self, _peer: bytes, _body: bytes) -> bytes:
        raise Refused("it does not say")

    async def publish_block(self, compact: bytes) -> None:
        """It found one: only if that decides a race, others hear of it."""
        summary = self.desk.summary
        self.kept.append((summary.height, summary.tip, compact))
        if self.races.on is not None and summary.height == self.public + 1:
            self.races.on = None
            await self._publish(len(self.kept))

    async def _publish(self, count: int) -> None:
        for height, _, compact in self.kept[:count]:
            self.public = max(self.public, height)
            await super().publish_block(compact)
        del self.kept[:count]

    def tell(self, told: Sequence[Told], source: bytes) -> None:
        super().tell(told, source)
        for one in told if source else ():
            if one.verdict in (Verdict.TIP, Verdict.SIDE):
                self._on_public(one.block)

    def _on_public(self, block: bytes) -> None:
        row = self.books.store.header(block)
        if row is None or row.height <= self.public:
            return
        lead = (self.kept[-1][0] if self.kept else self.desk.summary.height) - self.public
        self.public = row.height
        self.races.decided(row.parent)
        if not self.kept:
            return
        if self.kept[-1][0] < row.height:  # it has lost, and begins anew behind theirs
            self.kept.clear()
        elif lead == 1:
            self.races.on = self.kept[-1][1], block
            self.ctx.spawn(self._publish(1), name="race")
        elif lead == 2:
            self.ctx.spawn(self._publish(len(self.kept)), name="override")
        else:
            self.ctx.spawn(self._publish(1), name="lead")


@attrs.frozen(slots=True, kw_only=True)
class SelfishMiner:
    """One node has a share `alpha` of all hashes and keeps its blocks back.

    At the end, of the blocks from `count_from_s` on: `selfish_blocks`; `selfish_revenue`, its share of them, with the
    interval `selfish_low` to `selfish_high` (95 %); `selfish_gamma`, as measured, of `selfish_races`;
    `selfish_expected` by the formula, and `selfish_off`, the distance of the two.
    """

    alpha: float = attrs.field(default=0.3, validator=between(0.01, 0.49))
    count_from_s: float = attrs.field(default=60.0, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        world = chain_of(swarm)
        [node] = chosen(swarm, "selfish-miner", 0, 1, "")
        races = Races()
        world.powers[node] = self.alpha
        world.others[node] = lambda books, miner: SelfishChain(books, miner, races)
        swarm.corrupt(node, "selfish-miner", swarm.population.peer)
        swarm.at(swarm.scenario.duration_s, lambda: self._sum_up(swarm, world, node, races))

    def _sum_up(self, swarm: Swarm, world: ChainWorld, node: int, races: Races) -> None:
        key = swarm.population.keys(node).key
        honest = min(one for one in swarm.honest() if one not in world.light)
        store = world.store(honest)
        begin = world.params.genesis_time + self.count_from_s
        own = [row.miner == key for row in store.actives(1, store.tip().height) if row.time >= begin]
        counts = swarm.measures.counts
        counts |= {
            "selfish_blocks": len(own), "selfish_races": races.for_it + races.against_it,
            "selfish_gamma": round(races.gamma, 4),
        }  # fmt: skip
        if len(own) < _PARTS:
            return
        revenue, expected = sum(own) / len(own), expected_revenue(self.alpha, races.gamma)
        half = 1.96 * _error_of(own)
        counts |= {
            "selfish_revenue": round(revenue, 5), "selfish_expected": round(expected, 5),
            "selfish_off": round(abs(revenue - expected), 5), "selfish_low": round(revenue - half, 5),
            "selfish_high": round(revenue + half, 5),
        }  # fmt: skip
        swarm.mark(f"revenue {revenue:.4f} ({revenue - half:.4f} to {revenue + half:.4f}), expected {expected:.4f}")


def _error_of(own: Sequence[bool]) -> float:
    """Standard error of the mean, by the means of parts: blocks one after another depend on each other."""
    size = len(own) // _PARTS
    means = [sum(own[at : at + size]) / size for at in range(0, _PARTS * size, size)]
    mean = sum(means) / _PARTS
    return sqrt(sum((one - mean) ** 2 for one in means) / (_PARTS - 1) / _PARTS)
