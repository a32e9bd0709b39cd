"""One topic at this node: who listens here, who subscribes elsewhere, what was lately passed on."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from overlay.gossip.mesh import Mesh
from overlay.gossip.roster import Roster
from overlay.limits import MAX_HAVERS, MAX_KNOWN_SUBSCRIBERS, MAX_LOST_SUBSCRIBERS, MAX_SUBSCRIPTION_BYTES
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
    body: bytes = attrs.field(repr=False)


@attrs.define(slots=True, eq=False)
class Subscription:
    """`async for delivered in subscription`. It waits for nobody: the oldest message is dropped and counted."""

    topic: str
    _queue: Queue[Delivered]
    _on_close: Callable[[Subscription], object]
    dropped: int = 0
    #: Bytes of the messages that wait.
    waiting: int = 0
    closed: bool = False
    #: Nobody iterates: the topic is subscribed, and whoever wants its messages has them from the events.
    unread: bool = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Delivered:
        try:
            message = await self._queue.get()
        except QueueClosed:
            raise StopAsyncIteration from None
        self.waiting -= len(message.body)
        return message

    def __len__(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    def deliver(self, message: Delivered) -> None:
        if self.closed or self.unread:
            return
        self.waiting += len(message.body)
        while len(self._queue) >= self._queue.capacity or (len(self._queue) and self.waiting > MAX_SUBSCRIPTION_BYTES):
            self.waiting -= len(self._queue.get_nowait().body)
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
    #: Of a body that goes by stream; else empty.
    digest: bytes = b""
    #: Keys of those who are known to have it.
    have: dict[bytes, None] = attrs.Factory(dict)
    #: It was offered to some outside the mesh.
    offered: bool = False

    def had_by(self, key: bytes) -> None:
        """Of those known to have it the first is forgotten beyond MAX_HAVERS: at worst it is offered again."""
        if key not in self.have and len(self.have) >= MAX_HAVERS:
            mesh = self.topic.mesh
            del self.have[next((other for other in self.have if other not in mesh), next(iter(self.have)))]
        self.have[key] = None


@attrs.define(slots=True, eq=False)
class Topic:
    """All of it is bounded, since others fill it: by the mesh, by the roster, or by a limit of its own."""

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
    #: Of those in `roster.lost`, by key: when they last said something, monotonic ns.
    silent_since: dict[bytes, int] = attrs.Factory(dict)
    #: Those of them who are back, by key: they are offered what was said since.
    back: dict[bytes, tuple[Contact, int]] = attrs.Factory(dict)
    #: Calls of `publish` that look for receivers still.
    publishing: int = 0
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

    def concerns(self, key: bytes) -> bool:
        """Whether messages are, or may soon be, sent or offered to it: only of such is it noted what they have."""
        mesh, roster = self.mesh, self.roster
        return (
            key in mesh
            or key in roster.known
            or key in self.fanout
            or key in self.asking
            or key in mesh.asked
            or key in roster.claimed
        )

    def fell_silent(self, contact: Contact, heard_ns: int) -> None:
        """It does not answer, and did last at `heard_ns`."""
        key = contact.key
        member = self.mesh.members.pop(key, None)
        self.fanout.pop(key, None)
        self.back.pop(key, None)
        self.roster.fell_silent(contact)
        if key in self.roster.lost:
            heard_ns = max(heard_ns, member.heard_ns if member is not None else 0)
            self.silent_since = {one: at for one, at in self.silent_since.items() if one in self.roster.lost}
            self.silent_since.setdefault(key, heard_ns)

    def confirm(self, contact: Contact) -> None:
        """It said itself that it subscribes."""
        since_ns = self.silent_since.pop(contact.key, None)
        if since_ns is not None and contact.key in self.roster.lost:
            if len(self.back) >= MAX_LOST_SUBSCRIBERS:
                del self.back[next(iter(self.back))]
            self.back[contact.key] = contact, since_ns
        self.roster.confirm(contact)

    def rescued(self, key: bytes) -> None:
        """It brought a message before any member of the mesh did."""
        if key in self.rescued_by or len(self.rescued_by) < MAX_KNOWN_SUBSCRIBERS:
            self.rescued_by[key] = self.rescued_by.get(key, 0) + 1
