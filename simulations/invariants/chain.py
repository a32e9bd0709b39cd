"""What must hold of the chain at every honest node of a swarm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from apps.chain.core import limits
from apps.chain.core.state import supply_of
from apps.chain.core.store import Table
from overlay.events import AppEvent, Event
from simulations.chain.world import ChainWorld, SwarmChain
from simulations.invariants.base import Broken

if TYPE_CHECKING:
    from simulations.swarm import Swarm


class ChainTrue:
    """Nodes that digested the state after one block found one digest; no honest node bars an honest one; what is kept
    of others is within apps/chain/core/limits.py; at the end all accounts together have what was issued."""

    name: ClassVar[str] = "chain-true"

    def __init__(self, swarm: Swarm) -> None:
        self._world = swarm.worlds.find(ChainWorld)
        self._swarm = swarm
        #: Block -> (digest, who had it first).
        self._digests: dict[bytes, tuple[bytes, int]] = {}
        self._found: list[Broken] = []
        if self._world is not None:
            swarm.watchers.append(self._watch)

    def _watch(self, node: int, at_ns: int, event: Event) -> None:
        if not isinstance(event, AppEvent) or event.app != "chain" or node in self._swarm.adversaries:
            return
        fields = dict(event.fields)
        if event.name == "diverged" and fields["peer"] in self._honest():
            self._note(node, f"it has another state than {fields.get('peer')!r} after one block")
        elif event.name == "bad peer" and fields["peer"] in self._honest():
            self._note(node, f"an honest node was barred: {fields['reason']}")

    def _honest(self) -> set[object]:
        swarm = self._swarm
        return {swarm.population.id(node) for node in range(len(swarm)) if node not in swarm.adversaries}

    def _note(self, node: int, what: str) -> None:
        self._found.append(Broken(self.name, node, self._swarm.now_s, what))

    def sample(self, swarm: Swarm) -> list[Broken]:
        world = self._world
        if world is None:
            return []
        for node in swarm.honest():
            running = world.running.get(node)
            if running is None or not hasattr(running, "serving"):
                continue
            self._compare(node, running)
            for what, n, most in _sizes(running):
                if n > most:
                    self._note(node, f"{n:,} {what}, at most {most:,} are allowed")
        found, self._found = self._found, []
        return found

    def _compare(self, node: int, running: SwarmChain) -> None:
        summary = running.desk.summary
        if summary.digest:
            digest, first = self._digests.setdefault(summary.mark, (summary.digest, node))
            if digest != summary.digest:
                self._note(node, f"another state than that of node {first} after block {summary.mark_height}")

    def at_end(self, swarm: Swarm) -> list[Broken]:
        world = self._world
        for node in swarm.honest() if world is not None else ():
            assert world is not None
            if node in world.light or node not in world.stores:
                continue
            store = world.store(node)
            if store.active(0) is None:
                continue
            have = sum(row[1] for row in store.rows(Table.ACCOUNTS))
            if have != (issued := supply_of(world.params, store)):
                self._note(node, f"all accounts have {have} units together, issued were {issued}")
        return self.sample(swarm)


def _sizes(chain: SwarmChain) -> Iterator[tuple[str, int, int]]:
    """(what, how much, at most)."""
    books = chain.books
    yield "transactions that wait", len(books.pool), limits.MAX_POOL_TXS
    yield "bytes of transactions that wait", books.pool.size, limits.MAX_POOL_BYTES
    yield "blocks from the future", books.ledger.held, limits.MAX_HELD
    yield "blocks without a parent", len(books.ledger._orphans), limits.MAX_ORPHANS
    yield "compact blocks that lack something", len(books._partial), limits.MAX_PARTIAL
    yield "branches that are not kept yet", len(books._branches), limits.MAX_PEERS
    yield "peers", len(chain.peers.known), limits.MAX_PEERS
    yield "barred peers", chain.peers.barred, limits.MAX_BARRED
    yield "authors of invalid transactions", len(chain.txs._conduct), limits.MAX_METERED_AUTHORS
    yield "streams that are answered", sum(chain.serving._served.values()), limits.MAX_SERVED
