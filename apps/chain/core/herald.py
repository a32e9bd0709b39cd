"""Tells those who were of use lately that there is a new tip.

Gossip brings each block to everybody, unless most of those around pass nothing on. Who gave a block that became the tip
is no such peer: each tells some of these by a datagram where it is now, and some who told it so. Who is behind asks.
"""

from __future__ import annotations

import attrs

from apps.chain.core.desk import Desk
from apps.chain.core.peers import Peers
from apps.chain.core.serving import Serving
from apps.chain.core.summary import Summary
from apps.chain.core.sync import Sync
from apps.chain.core.wire import encode_where
from overlay.app import AppContext
from overlay.runtime.future import Future
from overlay.runtime.ports import SECOND

#: Several blocks that come at once are told as one.
_APART_NS = SECOND


@attrs.define(slots=True, eq=False)
class Herald:
    ctx: AppContext
    desk: Desk
    peers: Peers
    serving: Serving
    sync: Sync
    _news: Future[None] = attrs.field(init=False)

    async def run(self) -> None:
        self._news = self.ctx.dht.loop.future()
        self.desk.watch(self._hear)
        while True:
            await self._news
            self._news = self.ctx.dht.loop.future()
            question = encode_where(self.serving.standing())
            async with self.ctx.dht.loop.group(name="chain: herald") as group:
                for one in self.peers.audience():
                    group.spawn(self.peers.ask(one, question=question), name="chain: where we are")
            await self.ctx.sleep(_APART_NS)

    def _hear(self, before: Summary, after: Summary) -> None:
        """While it catches up, others have what is new here."""
        if after.work > before.work and self.sync.done:
            self._news.set()
