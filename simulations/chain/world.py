"""In what the chain lives in a swarm: for each node a store without a disk, which outlives the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from apps.chain.core.app import Chain
from apps.chain.core.books import Books
from apps.chain.core.memory import MemoryStore
from apps.chain.core.miner import Miner
from apps.chain.core.params import Params, simulated
from overlay.app import App, AppContext
from overlay.runtime.chance import Rng
from simulations.chain.luck import Luck
from simulations.scenario import BadScenario

if TYPE_CHECKING:
    from simulations.swarm import Swarm

#: Digests of the state are compared so often: often enough to say where two nodes went apart.
DIGEST_EVERY = 16


class SwarmChain(Chain):
    """The application of a node with its books in the same process."""

    def __init__(self, books: Books, *, miner: Miner | None = None) -> None:
        super().__init__(books.params, books.operations(), light=books.light, keep=books.keep, miner=miner)
        self.books = books

    async def run(self, ctx: AppContext) -> None:
        # Signatures of a swarm may be cheap ones: what its peers check with is what its books check with.
        self.books.verifier = ctx.dht.endpoint.verifier
        if isinstance(self._miner, Luck):
            self._miner.loop = ctx.dht.loop
        await super().run(ctx)


#: Makes the application of a node on its books.
MakeChain = Callable[[Books, Miner | None], SwarmChain]


class ChainWorld:
    """A `simulations.apps.World`; scenarios call it "chain"."""

    def __init__(self) -> None:
        #: Of all nodes; a part of a scenario sets others before they start.
        self.params: Params = simulated(b"swarm")
        self.digest_every = DIGEST_EVERY
        #: By node; what is in them outlives the process.
        self.stores: dict[int, MemoryStore] = {}
        #: What runs on each node, or ran when it was switched off.
        self.running: dict[int, SwarmChain] = {}
        #: By node: hashes a second; and what its luck is drawn from, by its lives.
        self.rates: dict[int, float] = {}
        self.luck: Callable[[int], Rng] = Rng
        #: Of adversaries, before the rates are given: their share of all hashes.
        self.powers: dict[int, float] = {}
        self.light: set[int] = set()
        #: By node: how many blocks it keeps, if not all.
        self.keeps: dict[int, int] = {}
        #: Nodes whose application is another one: adversaries.
        self.others: dict[int, MakeChain] = {}

    def app(self, node: int) -> App:
        books = Books(
            self.store(node), self.params, light=node in self.light, keep=self.keeps.get(node, 0),
            digest_every=self.digest_every, pace=self.store(node).pace,
        )  # fmt: skip
        miner = Luck(self.rates[node], self.luck(node)) if node in self.rates else None
        made = self.others[node](books, miner) if node in self.others else SwarmChain(books, miner=miner)
        self.running[node] = made
        return made

    def power_lost(self, node: int) -> None:
        """As a disk does, its store forgets what was not synced."""
        self.store(node).power_loss()

    def store(self, node: int) -> MemoryStore:
        found = self.stores.get(node)
        if found is None:
            found = self.stores[node] = MemoryStore()
        return found


def chain_of(swarm: Swarm) -> ChainWorld:
    """That of a swarm. BadScenario if nobody keeps a chain there."""
    found = swarm.worlds.find(ChainWorld)
    if found is None:
        raise BadScenario("population.apps", 'expected "chain" among them: a part of the scenario is about the chain')
    return found
