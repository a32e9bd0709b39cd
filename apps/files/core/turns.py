"""Commands on one share: one after another, in the order in which they came.

Each of them waits for the disk in between. Side by side, one would write down what the other has just undone, or delete
what the other has just begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from overlay.runtime.future import Future
from overlay.runtime.loop import Loop


@attrs.frozen(slots=True, eq=False)
class Turns:
    loop: Loop
    #: By share: whose turn it is, and who waits. As many as commands are under way (MAX_COMMANDS of overlay.limits).
    _waiting: dict[bytes, deque[Future[None]]] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def of(self, share: bytes) -> AsyncIterator[None]:
        waiting = self._waiting.setdefault(share, deque())
        turn: Future[None] = self.loop.future()
        waiting.append(turn)
        try:
            if waiting[0] is not turn:
                await turn
            yield
        finally:  # a command may be cancelled while it waits
            first = waiting[0] is turn
            waiting.remove(turn)
            if not waiting:
                del self._waiting[share]
            elif first:
                waiting[0].set()
