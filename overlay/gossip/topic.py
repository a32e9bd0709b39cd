"""One topic at this node: who listens here, who subscribes elsewhere, what was lately passed on."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.gossip.mesh import Mesh
from overlay.gossip.roster import Roster
from overlay.rpc.contact import Contact
from overlay.runtime.queue import Queue, QueueClosed


@attrs.frozen(slots=True)
class Delivered:
    """A message of a topic, its author's signature checked."""

    author_id: bytes
    author_key: bytes
    topic: str
    #: Grows with each message of this author; at least its wall milliseconds.
    seq: int
    body: bytes


@attrs.define(slots=True, eq=False)
class Subscription:
    """`async for delivered in subscription`. It waits for nobody: the oldest message is dropped and counted."""

    topic: str
    _queue: Queue[Delivered]
    _on_close: Callable[[Subscription], object]
    dropped: int = 0
    closed: bool = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Delivered:
        try:
            return await self._queue.get()
        except QueueClosed:
            raise StopAsyncIteration from None

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    def deliver(self, message: Delivered) -> None:
        if self.closed:
            return
        if len(self._queue) >= self._queue.capacity:
            self._queue.get_nowait()
            self.dropped += 1
        self._queue.put_nowait(message)

    def close(self) -> None:
        """No more messages come; those that wait can still be read. May be called again."""
        if not self.closed:
            self.closed = True
            self._queue.close()
            self._on_close(self)


@attrs.define(slots=True, eq=False)
class Kept:
    """A message that may be given again."""

    id: bytes
    topic: Topic
    raw: bytes
    at_ns: int
    #: Keys of those who are known to have it.
    have: dict[bytes, None] = attrs.Factory(dict)
    #: It was offered to some outside the mesh.
    offered: bool = False


@attrs.define(slots=True, eq=False)
class Topic:
    name: str
    #: SHA-256 of the name (overlay.wire.publication).
    key: bytes
    mesh: Mesh = attrs.Factory(Mesh)
    roster: Roster = attrs.Factory(Roster)
    subscriptions: list[Subscription] = attrs.Factory(list)
    #: By id, oldest first: those that are still offered to who may lack them.
    recent: dict[bytes, Kept] = attrs.Factory(dict)
    #: Keys with a HAVE in flight.
    asking: dict[bytes, None] = attrs.Factory(dict)
    #: To whom messages go while we do not subscribe, and until when.
    fanout: dict[bytes, Contact] = attrs.Factory(dict)
    fanout_until_ns: int = 0
    #: Messages that only those outside our mesh brought us, by key.
    rescued_by: dict[bytes, int] = attrs.Factory(dict)
    seen: int = 0
    #: When what is next due.
    look_ns: int = 0
    look_wait_ns: int = 0
    announce_ns: int = 0
    announced: int = 0
    review_ns: int = 0
    lost_ns: int = 0
    #: "look" and "announce" while they run.
    running: dict[str, None] = attrs.Factory(dict)

    @property
    def subscribed(self) -> bool:
        return bool(self.subscriptions)
