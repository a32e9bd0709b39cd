"""Headers first: the best of some peers is followed, then bodies are fetched from all that have them.

A round compares the work of a few peers and asks the best one for its headers. Whoever claims more work than its
headers have is barred: no correct peer ever has less than it said. Bodies come in windows from several peers at once
and are connected in order, many in one transaction of the store. A peer that gives no body in time is asked for none
for a minute, and another one is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs

from apps.chain.core.batches import Batches
from apps.chain.core.desk import Desk
from apps.chain.core.following import Following, Tell
from apps.chain.core.limits import (
    COMPARED_TIPS,
    MAX_BODIES,
    MAX_BODIES_PER_PEER,
    MAX_CONNECTED_AT_ONCE,
)
from apps.chain.core.news import Told
from apps.chain.core.outcome import Verdict
from apps.chain.core.peers import Known, Peers
from apps.chain.core.talk import Talks
from apps.chain.core.wire import Standing
from overlay.app import AppContext
from overlay.errors import BadMessage, LocalError, OverlayError
from overlay.runtime.future import Future
from overlay.runtime.ports import SECOND

#: Bodies that are planned at once: while these come, the rest need not be known.
_PLANNED = 1024
#: More blocks than this that are connected at once are told as one event.
FEW_BLOCKS = 8
#: So long bodies that have come wait for the next ones.
_GATHER_NS = SECOND // 5
#: Whatever strangers publish, rounds are at least so far apart.
_APART_NS = SECOND // 2


@attrs.define(slots=True, eq=False)
class Sync:
    ctx: AppContext
    desk: Desk
    peers: Peers
    talks: Talks
    batches: Batches
    tell: Tell
    #: Nothing said how far others are for so long: some are asked.
    every_ns: int
    light: bool
    #: The last round found nobody who has more than is here.
    done: bool = attrs.field(default=False, init=False)
    #: Height of the block that comes next, if all who have more have forgotten it; 0: somebody may give it.
    forgotten: int = attrs.field(default=0, init=False)
    #: Peers that are to be asked first: what they published has no parent here.
    _hints: dict[bytes, None] = attrs.field(factory=dict, init=False)
    _woken: Future[None] | None = attrs.field(default=None, init=False)

    def wake(self, peer: bytes = b"") -> None:
        """`peer` has something that does not fit to what is here."""
        if peer and len(self._hints) < COMPARED_TIPS:
            self.peers.heard_of(peer)
            self._hints[peer] = None
        if self._woken is not None:
            self._woken.set()

    async def run(self) -> None:
        soon_ns = SECOND
        while True:
            try:
                await self._round()
            except LocalError as error:  # our disk: it goes on when there is room again
                self.done = False
                self.ctx.emit("trouble", error=str(error))
            if self._hints:
                await self.ctx.sleep(_APART_NS)
                continue
            self._woken = self.ctx.dht.loop.future()
            # Soon again while nobody is known, and while nobody answered: a node that has just begun reaches few.
            wait_ns = SECOND if not self.peers.known else self.every_ns if self._is_answered() else soon_ns
            soon_ns = min(2 * wait_ns, self.every_ns)
            with self.ctx.dht.loop.move_on_after(wait_ns):
                await self._woken
            self._woken = None

    def _is_answered(self) -> bool:
        return any(one.standing is not None for one in self.peers.known.values())

    async def _round(self) -> None:
        hints, self._hints = self._hints, {}
        leaders = await self.peers.compare(COMPARED_TIPS, first=hints)
        self._compare_states(leaders)
        for leader in leaders:
            standing = leader.standing
            if standing is None or standing.light or self.peers.is_slow(leader.id):
                continue
            if standing.work > self.desk.summary.best_work:
                await self._headers(leader, standing)
        if not self.light:
            await self._bodies()
        if leaders:
            self.done = not any(map(self._is_ahead, leaders))

    def _is_ahead(self, one: Known) -> bool:
        """Whether it has more than is here, as far as can be told: what light ones say is followed by nobody, and who
        gives nothing of what it says to have may not have it."""
        their = one.standing
        return (
            their is not None and not their.light and their.work > self.desk.summary.work
            and not self.peers.is_slow(one.id)
        )  # fmt: skip

    def _compare_states(self, others: Sequence[Known]) -> None:
        """After one block all have one state, or the rules are not the same everywhere: people must hear of that."""
        own = self.desk.summary
        for one in others:
            their = one.standing
            if their is None or not own.digest or not their.digest or their.mark != own.mark:
                continue
            if their.digest != own.digest and one.disagreed != own.mark:
                one.disagreed = own.mark
                self.ctx.emit("diverged", peer=one.id, height=own.mark_height, block=own.mark)

    # --- headers ----------------------------------------------------------------------------

    async def _headers(self, leader: Known, claimed: Standing) -> None:
        talk = self.talks.of(leader.id)
        try:
            told = await Following(self.ctx, self.desk, talk, self.batches, self.tell, claimed).run()
        except BadMessage as error:
            self.peers.bar(leader.id, f"headers: {error.reason}")
            return
        except LocalError:
            raise
        except OverlayError:
            self.peers.slow(leader.id)
            leader.standing = None
            return
        if any(one.bad for one in told):
            return
        if self.desk.summary.best_work >= claimed.work or any(one.verdict is Verdict.HELD for one in told):
            return
        self.peers.bar(leader.id, "it claims more work than its headers have")

    # --- bodies -----------------------------------------------------------------------------

    async def _bodies(self) -> None:
        while True:
            plan = await self.desk.do("plan", _PLANNED)
            self.forgotten = self._forgotten(plan[0][1]) if plan else 0
            if not plan or self.forgotten:
                return
            if len(plan) > MAX_BODIES:  # more than one peer may help
                await self.peers.compare(MAX_BODIES // MAX_BODIES_PER_PEER)
            before = self.desk.summary.tip
            fetch = _Fetch(self, deque(plan))
            await fetch.run()
            if self.desk.summary.tip == before and not fetch.again:
                return  # nobody gives the next one: the next round asks others

    def _forgotten(self, height: int) -> int:
        """`height`, if nobody who has more keeps that block any more, else 0."""
        work = self.desk.summary.work + 1
        kept = self.peers.with_work(work, height=height)
        return height if self.peers.with_work(work) and not kept else 0


@attrs.define(slots=True, eq=False)
class _Fetch:
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
