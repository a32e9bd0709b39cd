"""A bounded queue between tasks: a full one makes its producer wait, or says no."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Generic

from overlay.errors import LimitError, LocalError
from overlay.runtime.future import PAUSE, Future

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from overlay.runtime.loop import Loop

    T = TypeVar("T", default=Any)  # so that a bare `Queue` means Queue[Any]
else:
    from typing import TypeVar

    T = TypeVar("T")


class QueueClosed(LocalError):
    """Nothing more will come out of this queue, and nothing can be put in."""


class QueueEmpty(LocalError):
    """There is nothing in this queue at the moment."""


class Queue(Generic[T]):
    """First in, first out, for items, for waiting getters and for waiting putters.

    `get` and `put` are checkpoints as in trio, whether they wait or not: they raise Cancelled before
    they did anything, never after. An item is never lost to a getter that is being cancelled.
    """

    __slots__ = ("_closed", "_getters", "_items", "_loop", "_putters", "capacity")

    def __init__(self, loop: Loop, capacity: int) -> None:
        if capacity < 1:
            raise LocalError(f"a queue of {capacity} items could carry nothing")
        self.capacity = capacity
        self._loop = loop
        self._items: deque[T] = deque()
        self._getters: OrderedDict[Future[T], None] = OrderedDict()
        self._putters: OrderedDict[Future[None], T] = OrderedDict()
        self._closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Raises LimitError if the queue is full, QueueClosed if it is closed."""
        if self._closed:
            raise QueueClosed("the queue is closed")
        while self._getters:
            getter, _ = self._getters.popitem(last=False)
            if getter.awaited:  # else its task was cancelled and only has not run since
                getter.set(item)
                return
        if len(self._items) >= self.capacity:
            raise LimitError(f"the queue is full: {self.capacity} items wait already")
        self._items.append(item)

    async def put(self, item: T) -> None:
        """Waits for room. Raises QueueClosed if the queue is closed before there is any."""
        self._loop.raise_if_cancelled()
        if self._closed or self._getters or len(self._items) < self.capacity:
            self.put_nowait(item)
            await PAUSE
            return
        room: Future[None] = Future(self._loop._ready)
        self._putters[room] = item
        try:
            await room
        finally:
            self._putters.pop(room, None)

    def get_nowait(self) -> T:
        """Raises QueueEmpty, or QueueClosed if nothing will come any more."""
        if not self._items:
            raise QueueClosed("the queue is closed") if self._closed else QueueEmpty("the queue is empty")
        item = self._items.popleft()
        while self._putters:
            putter, waiting = self._putters.popitem(last=False)
            if putter.awaited:
                self._items.append(waiting)
                putter.set()
                break
        return item

    async def get(self) -> T:
        """Waits for an item. Raises QueueClosed once the queue is closed and empty."""
        self._loop.raise_if_cancelled()
        if self._items or self._closed:
            item = self.get_nowait()
            await PAUSE
            return item
        arrival: Future[T] = Future(self._loop._ready)
        self._getters[arrival] = None
        try:
            return await arrival
        finally:
            self._getters.pop(arrival, None)

    def close(self) -> None:
        """What is in the queue can still be taken out; whoever waits gets QueueClosed. Idempotent."""
        self._closed = True
        for putter in self._putters:
            putter.fail(QueueClosed("the queue was closed before there was room"))
        for getter in self._getters:
            getter.fail(QueueClosed("the queue is closed"))
        self._putters.clear()
        self._getters.clear()

    def __aiter__(self) -> Queue[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.get()
        except QueueClosed:
            raise StopAsyncIteration from None
