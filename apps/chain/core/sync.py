"""Headers first: the best of some peers is followed, then bodies are fetched from all that have them.

A round compares the work of a few peers and asks the best one for its headers. Whoever claims more work than its
headers have is barred: no correct peer ever has less than it said. Then bodies are fetched (fetching.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import attrs

from apps.chain.core.batches import Batches
from apps.chain.core.desk import Desk
from apps.chain.core.fetching import Fetch
from apps.chain.core.following import Following, Tell
from apps.chain.core.limits import COMPARED_TIPS, MAX_BODIES, MAX_BODIES_PER_PEER
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

    def told(self, peer: bytes, standing: Standing) -> None:
        """`peer` says where it is."""
        self.peers.told(peer, standing)
        if not standing.light and standing.work > self.desk.summary.best_work:
            self.wake(peer)

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
            wait_ns = SECOND if not self.peers.known else self.every_ns if self.peers.answered else soon_ns
            soon_ns = min(2 * wait_ns, self.every_ns)
            with self.ctx.dht.loop.move_on_after(wait_ns):
                await self._woken
            self._woken = None

    async def _round(self) -> None:
        hints, self._hints = self._hints, {}
        leaders = await self.peers.compare(COMPARED_TIPS, first=hints)
        self._compare_states(leaders)
        # Who was of use before others: what those claim may take long to be found a lie.
        for leader in sorted(leaders, key=lambda one: not one.useful_ns):
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
            fetch = Fetch(self, deque(plan))
            await fetch.run()
            if self.desk.summary.tip == before and not fetch.again:
                return  # nobody gives the next one: the next round asks others

    def _forgotten(self, height: int) -> int:
        """`height`, if nobody who has more keeps that block any more, else 0."""
        having = self.peers.with_work(self.desk.summary.work + 1)
        return height if having and not any(self.peers.keeps(one.id, height) for one in having) else 0
