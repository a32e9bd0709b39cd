"""Peers that keep the chain from others: they pass nothing on, and lie about what they have when they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import attrs

from apps.chain.core.books import Books
from apps.chain.core.miner import Miner
from apps.chain.core.wire import decode_where, encode_standing
from overlay.app import AppContext
from overlay.errors import BadMessage, Refused
from overlay.peer import Peer
from overlay.rpc.endpoint import Endpoint
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Entropy, Storage
from simulations.adversaries.gossipers import Mute
from simulations.adversaries.positions import chosen, near_key
from simulations.bounds import positive, share
from simulations.chain.world import SwarmChain, chain_of
from simulations.swarm import Swarm

#: What each of them says, in turn: that it has more work than it has; that it has a chain whose bodies it does not
#: give, or gives changed; that it knows of nothing.
LIES = ("boast", "withhold", "change", "deny")

Operations = Mapping[str, Callable[..., Any]]


class LiarChain(SwarmChain):
    def __init__(self, books: Books, miner: Miner | None, lie: str, count: Callable[[], object]) -> None:
        super().__init__(books, miner=miner)
        self.lie, self.count = lie, count
        self.operations = self._lying(self.operations)

    async def run(self, ctx: AppContext) -> None:
        await super().run(ctx)
        ctx.serve(self._stand)

    async def publish_block(self, compact: bytes) -> None:
        """It mines for nobody."""

    async def _stand(self, peer: bytes, body: bytes) -> bytes:
        try:
            decode_where(body)
        except BadMessage as error:
            raise Refused(error.reason) from None
        true = self.serving.standing()
        self.count()
        if self.lie == "boast":
            return encode_standing(attrs.evolve(true, work=3 * true.work + 1_000_000, height=true.height + 1))
        if self.lie == "deny":
            genesis = self.params.genesis_id
            return encode_standing(attrs.evolve(true, height=0, tip=genesis, work=0, mark=genesis, mark_height=0))
        return encode_standing(true)

    def _lying(self, operations: Operations) -> Operations:
        body, after = operations["body"], operations["after"]

        def given(block: bytes) -> Any:
            value, summary = body(block)
            if value is None or self.lie == "boast":
                return value, summary
            return (None if self.lie in ("withhold", "deny") else _changed(value)), summary

        def headers(locator: Any) -> Any:
            value, summary = after(locator)
            return ([] if self.lie == "deny" else value), summary

        return {**operations, "body": given, "after": headers}


def _changed(body: bytes) -> bytes:
    """With its last byte another: of a block without transactions that is one transaction too many."""
    return body[:-1] + (b"\x81\x41\x00" if body[-1:] == b"\x80" else bytes([body[-1] ^ 1]))


@attrs.frozen(slots=True, kw_only=True)
class ChainLiars:
    """They keep the chain, pass on no message to anybody, and lie when they are asked, each in one of the ways of LIES.

    Counts `liar_asked`, how often one was asked where it is; `liar_bad`, how often an honest node barred one.
    """

    fraction: float = attrs.field(default=0.25, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.counts |= {"liar_asked": 0, "liar_bad": 0}
        world = chain_of(swarm)

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = swarm.population.peer(index, storage, rng, entropy)
            made.gossip.state.endpoint = cast(Endpoint, Mute(made.endpoint, lambda: None))
            return made

        nodes = chosen(swarm, "chain-liars", self.fraction, self.count, self.near)
        ids = {swarm.population.id(node) for node in nodes}
        for at, node in enumerate(nodes):
            world.others[node] = partial(self._make, swarm, LIES[at % len(LIES)])
            swarm.corrupt(node, "chain-liars", peer)

        def watch(node: int, _at_ns: int, event: Any) -> None:
            if getattr(event, "app", "") != "chain" or event.name != "bad peer" or node in swarm.adversaries:
                return
            swarm.measures.count("liar_bad", dict(event.fields)["peer"] in ids)

        swarm.watchers.append(watch)

    def _make(self, swarm: Swarm, lie: str, books: Books, miner: Miner | None) -> SwarmChain:
        return LiarChain(books, miner, lie, lambda: swarm.measures.count("liar_asked"))
