"""Bodies in windows from several peers at once, connected in order, many in one transaction of the store.

A peer that gives no body in time is asked for none for a minute, and another one is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from apps.chain.core.limits import MAX_BODIES, MAX_BODIES_PER_PEER, MAX_CONNECTED_AT_ONCE
from apps.chain.core.news import Told
from apps.chain.core.outcome import Verdict
from overlay.errors import BadMessage, LocalError, OverlayError
from overlay.runtime.future import Future
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.chain.core.sync import Sync

#: More blocks than this that are connected at once are told as one event.
FEW_BLOCKS = 8
#: So long bodies that have come wait for the next ones.
_GATHER_NS = SECOND // 5


@attrs.define(slots=True, eq=False)
class Fetch:
    """The bodies of one plan."""

    sync: Sync
    #: (block, height, trusted) that nobody is asked for yet, upwards.
    wanted: deque[tuple[bytes, int, bool]]
    #: Those not connected yet, upwards.
    order: deque[tuple[bytes, int, bool]] = attrs.field(init=False)
    #: What came: block -> (body, who gave it).
    got: dict[bytes, tuple[bytes, bytes]] = attrs.field(factory=dict, init=False)
    #: Asked and not come.
    asked: int = attrs.field(default=0, init=False)
    #: Peers that fetch, or did.
    tried: dict[bytes, None] = attrs.field(factory=dict, init=False)
    fetching: int = attrs.field(default=0, init=False)
    over: bool = attrs.field(default=False, init=False)
    #: Another plan may go on where this one ended.
    again: bool = attrs.field(default=False, init=False)
    #: Something came, or somebody gave up.
    news: Future[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.order = deque(self.wanted)
        self.news = self.sync.ctx.dht.loop.future()

    def _stir(self) -> None:
        news, self.news = self.news, self.sync.ctx.dht.loop.future()
        news.set()

    async def run(self) -> None:
        trouble: LocalError | None = None
        async with self.sync.ctx.dht.loop.group(name="chain: bodies") as group:
            while self.order and not self.over:
                for peer in self._helpers():
                    self.tried[peer] = None
                    self.fetching += 1
                    group.spawn(self._from(peer), name="chain: bodies of a peer")
                try:
                    if await self._connect():
                        continue
                except LocalError as error:  # our disk; it would leave the group as another error
                    trouble = error
                    break
                if not self.fetching:
                    break  # nobody is left
                await self.news
            self.over = True
            group.scope.cancel()
        if trouble is not None:
            raise trouble

    def _helpers(self) -> list[bytes]:
        """Peers that have what comes next and are not fetching for us yet."""
        if not self.wanted:
            return []
        work = self.sync.desk.summary.work + 1
        next_height = self.wanted[0][1]
        having = self.sync.peers.with_work(work, height=next_height)
        found = [one.id for one in having if one.id not in self.tried]
        return found[: max(0, MAX_BODIES // MAX_BODIES_PER_PEER - self.fetching)]

    async def _from(self, peer: bytes) -> None:
        mine: deque[tuple[bytes, int, bool]] = deque()

        def take(block: bytes, body: bytes) -> None:
            if not body:
                raise _NotThere
            self.got[block] = body, peer
            mine.popleft()
            self.asked -= 1
            self._stir()

        try:
            while self.wanted and not self.over:
                if not self.sync.peers.keeps(peer, self.wanted[0][1]):
                    del self.tried[peer]  # somebody else gave lower ones back: it is asked again once those are here
                    return
                room = MAX_BODIES - self.asked - len(self.got)
                if room <= 0:
                    await self.news
                    continue
                mine.extend(self.wanted.popleft() for _ in range(min(room, MAX_BODIES_PER_PEER, len(self.wanted))))
                self.asked += len(mine)
                await self.sync.talks.of(peer).bodies([block for block, _, _ in mine], take)
        except BadMessage as error:
            self.sync.peers.bar(peer, f"bodies: {error.reason}")
        except (OverlayError, _NotThere):
            self.sync.peers.slow(peer)
        finally:
            self.wanted.extendleft(reversed(mine))
            self.asked -= len(mine)
            self.fetching -= 1
            self._stir()

    def _ready(self) -> int:
        """How many have come of those that are next."""
        count, most = 0, min(len(self.order), MAX_CONNECTED_AT_ONCE)
        while count < most and self.order[count][0] in self.got:
            count += 1
        return count

    async def _connect(self) -> bool:
        """What has come in order; whether there was any."""
        count = self._ready()
        if 0 < count < MAX_BODIES_PER_PEER and self.asked:  # others are on their way: one transaction for them all
            with self.sync.ctx.dht.loop.move_on_after(_GATHER_NS):
                while self.asked and self._ready() < MAX_BODIES_PER_PEER:
                    await self.news
            count = self._ready()
        if not count:
            return False
        ready = [self.order[at] for at in range(count)]
        given = [self.got.pop(block) for block, _, _ in ready]
        told = await self.sync.batches.blocks(
            [body for body, _ in given], [peer for _, peer in given], trusted=[trusted for _, _, trusted in ready]
        )  # fmt: skip
        self._stir()  # there is room again
        if count > FEW_BLOCKS and all(_is_next(each) for each in told):
            whole = tuple(at for each in told for at in each[0].connected)
            self.sync.tell([attrs.evolve(told[-1][0], connected=whole)], b"")
            told = [[attrs.evolve(each[0], connected=())] for each in told]
        for (block, _, _), (_, peer), each in zip(ready, given, told, strict=True):
            self.sync.tell(each, peer)
            if each[0].block not in (block, b""):
                self.sync.peers.bar(peer, "it gave another block than it was asked for")
                self.over = self.again = True
                return True
            if each[0].bad:
                # The way to the best header is another one now, or the body comes from somebody else: who gave this
                # is barred.
                self.over = self.again = True
                return True
            self.order.popleft()
        return True


def _is_next(told: Sequence[Told]) -> bool:
    """A block that came to the tip, and nothing else happened."""
    return len(told) == 1 and told[0].verdict is Verdict.TIP and not told[0].disconnected


class _NotThere(Exception):
    """It says that it has the block and does not give it."""
