"""The headers of one peer, followed to their end.

Whoever says that it has more work is asked for it; what it answers must lead there. Each answer but the last is full,
stands on what was there before and ends higher than the one before it, so that there are no more answers than headers,
each of which has cost work; and they come at a least rate. Who does neither break a rule nor get on is left for another
peer: the network may be slow, and a chain may change while it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from apps.chain.core.batches import Batches
from apps.chain.core.desk import Desk
from apps.chain.core.header import decode_header
from apps.chain.core.limits import ANSWER_S, EACH_ANSWER_S, HEADERS_PER_MESSAGE, MAX_LOCATOR
from apps.chain.core.news import Told
from apps.chain.core.outcome import Verdict
from apps.chain.core.talk import Talk
from apps.chain.core.wire import Headers, Standing
from overlay.app import AppContext
from overlay.errors import BadMessage, OverlayError
from overlay.runtime.ports import SECOND

#: (what became of it, who gave it): reports and blames.
Tell = Callable[[Sequence[Told], bytes], object]


class Stuck(OverlayError):
    """It gives no more, or too slowly, or what leads nowhere; nobody is to blame."""


@attrs.define(slots=True, eq=False)
class Following:
    ctx: AppContext
    desk: Desk
    talk: Talk
    batches: Batches
    tell: Tell
    #: Where the peer says that it is.
    claimed: Standing
    _answers: int = attrs.field(default=0, init=False)
    #: How long it let us wait.
    _waited_ns: int = attrs.field(default=0, init=False)

    async def run(self) -> list[Told]:
        """What became of its last headers, and of those that had waited for them. BadMessage, Stuck; TimedOut and
        StreamEnded if it does not answer."""
        first = locator = await self.desk.do("locator")
        reached, again = 0, False
        while True:
            answer = await self._asked(locator)
            told = await self.batches.headers(answer.headers, answer.last, self.talk.peer)
            self.tell(told, self.talk.peer)
            end = told[0]
            if again and end.verdict in (Verdict.AGAIN, Verdict.LITTLE):
                raise Stuck("its chain changed while it was asked for")
            if end.verdict is Verdict.AGAIN:  # a long branch is worth it: now it is kept
                locator, reached, again = first, 0, True
                continue
            if answer.last or end.verdict is Verdict.HELD or any(one.bad for one in told):
                return told
            if end.verdict is Verdict.ORPHAN:
                raise BadMessage("they stand on nothing that was asked for")
            height = decode_header(answer.headers[-1]).height
            if height <= reached or end.verdict not in (Verdict.HEADER, Verdict.KNOWN):
                raise Stuck(f"its headers do not lead beyond height {reached}")
            if height >= self.claimed.height + HEADERS_PER_MESSAGE:
                if self.desk.summary.best_work < self.claimed.work:
                    raise Stuck(f"it said to be at height {self.claimed.height}, with more work")
                return told  # its chain grows: the rest is asked for in the next round
            reached = height
            locator = [end.block, *locator[: MAX_LOCATOR - 1]]

    async def _asked(self, locator: Sequence[bytes]) -> Headers:
        before_ns = self.ctx.now.mono_ns
        answer = await self.talk.headers(locator)
        self._waited_ns += self.ctx.now.mono_ns - before_ns
        self._answers += 1
        if not answer.last and len(answer.headers) < HEADERS_PER_MESSAGE:
            raise BadMessage(f"{len(answer.headers)} of them, and more to come; there are {HEADERS_PER_MESSAGE} then")
        if self._waited_ns > (ANSWER_S + EACH_ANSWER_S * self._answers) * SECOND:
            raise Stuck(f"{self._answers} answers took {self._waited_ns // SECOND} s")
        return answer
