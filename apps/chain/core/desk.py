"""Where operations on the books are asked for: one at a time, what this node does for itself before what others ask."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from apps.chain.core.summary import Summary
from overlay.app import AppContext
from overlay.errors import OverlayError
from overlay.runtime.future import Future


@attrs.frozen(slots=True, eq=False)
class _Job:
    operation: str
    args: tuple[Any, ...]
    done: Future[Any]


#: Operations that write: while one of them fails the store does.
_WRITES = frozenset({"headers", "header", "compact", "fill", "blocks", "tick", "mined", "prune"})

#: What was, and what is.
Hear = Callable[[Summary, Summary], object]


@attrs.define(slots=True, eq=False)
class Desk:
    """Operations are awaited by a task of their own: whoever asked for one may be cancelled, and it still ends before
    the next one begins."""

    ctx: AppContext
    #: As the last operation left it.
    summary: Summary
    #: Why nothing can be written now; "": it can.
    trouble: str = attrs.field(default="", init=False)
    _hearers: list[Hear] = attrs.field(factory=list, init=False)
    _own: deque[_Job] = attrs.field(factory=deque, init=False)
    _others: deque[_Job] = attrs.field(factory=deque, init=False)
    _news: Future[None] = attrs.field(init=False)

    @classmethod
    async def open(cls, ctx: AppContext) -> Desk:
        """LocalError if the store cannot be used."""
        _, summary = await ctx.operate("open")
        desk = cls(ctx, Summary(*summary))
        desk._news = ctx.dht.loop.future()
        ctx.spawn(desk._run(), name="books")
        return desk

    def watch(self, hear: Hear) -> None:
        """Called after each operation that moved the tip, the best header or what waits."""
        self._hearers.append(hear)

    async def do(self, operation: str, *args: Any) -> Any:
        """For this node. LocalError if it fails."""
        return await self._asked(self._own, operation, args)

    async def serve(self, operation: str, *args: Any) -> Any:
        """For another peer: it waits for all that is for this node."""
        return await self._asked(self._others, operation, args)

    async def _asked(self, queue: deque[_Job], operation: str, args: tuple[Any, ...]) -> Any:
        job = _Job(operation, args, self.ctx.dht.loop.future())
        queue.append(job)
        self._news.set()
        return await job.done

    async def _run(self) -> None:
        while True:
            queue = self._own or self._others
            if not queue:
                self._news = self.ctx.dht.loop.future()
                await self._news
                continue
            job = queue.popleft()
            try:
                value, summary = await self.ctx.operate(job.operation, *job.args)
            except OverlayError as error:
                if job.operation in _WRITES:
                    self.trouble = str(error)
                job.done.fail(error)
                continue
            before, self.summary = self.summary, Summary(*summary)
            # A full disk takes what changes nothing: only a row that was written says that there is room again.
            if (before.tip, before.best) != (self.summary.tip, self.summary.best):
                self.trouble = ""
            job.done.set(value)
            if before != self.summary:
                for hear in self._hearers:
                    hear(before, self.summary)
