"""What all parts of gossip share, and what they need of the peer around them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import attrs

from overlay.errors import LimitError
from overlay.events import Event
from overlay.gossip.bodies import Bodies
from overlay.gossip.conduct import Conducts
from overlay.gossip.memory import Memory
from overlay.gossip.mesh import BACKOFF_S
from overlay.gossip.promises import Promises
from overlay.gossip.topic import Kept, Topic
from overlay.limits import MAX_KEPT_MESSAGES
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Endpoint
from overlay.runtime.chance import Rng
from overlay.runtime.loop import Loop
from overlay.runtime.task import Task
from overlay.streams import Streams
from overlay.trust.policy import Observation, Verdict
from overlay.wire.gossip import Call, Gossiped, Graft, Have, Prune
from overlay.wire.messages import Message


class Directory(Protocol):
    """Where subscribers are found: the DHT, behind a port (overlay.subscribers)."""

    @property
    def ready(self) -> bool:
        """Somebody is there who could be asked."""
        ...

    async def find(self, key: bytes) -> list[Contact]:
        """Who provides a topic's key, as far as holders say; never ourselves."""
        ...

    async def announce(self, key: bytes, ttl_s: int) -> int:
        """How many holders confirmed that we provide it."""
        ...

    def learn(self, v4: bytes, v6: bytes, referrer: Contact) -> list[Contact]:
        """Of packed contacts that a peer named, those that may be asked."""
        ...

    def pack(self, contacts: Sequence[Contact], asker: Contact) -> tuple[bytes, bytes]:
        """Those of whom the asker may be told."""
        ...

    def may_probe(self, contact: Contact) -> bool:
        """Whether a contact that never answered us may be sent something unasked."""
        ...


@attrs.define(slots=True, eq=False)
class GossipState:
    """One per peer."""

    loop: Loop
    endpoint: Endpoint
    rng: Rng
    directory: Directory
    report: Callable[[Event], None]
    #: Have a coroutine run until the peer ends; None if it does not run.
    spawn: Callable[[Coroutine[Any, Any, None], str], Task[None] | None]
    #: Where bodies go that are too long for a datagram.
    streams: Streams
    #: By key.
    topics: dict[bytes, Topic] = attrs.Factory(dict)
    #: By id, oldest first.
    kept: dict[bytes, Kept] = attrs.Factory(dict)
    bodies: Bodies = attrs.Factory(Bodies)
    memory: Memory = attrs.Factory(Memory)
    conducts: Conducts = attrs.Factory(Conducts)
    promised: Promises = attrs.Factory(Promises)

    @property
    def now_ns(self) -> int:
        return self.loop.now.mono_ns

    def banned(self, key: bytes) -> bool:
        return self.endpoint.policy.verdict(key) is Verdict.REFUSE

    def count(self, what: str) -> None:
        self.endpoint.count(f"gossip: {what}")

    def blame(self, key: bytes) -> None:
        """It passed on what its author never said: no correct peer does. It is out of all meshes."""
        self.endpoint.policy.observe(key, Observation.INVALID_DATA, self.now_ns)
        self.conducts.offence(key, self.now_ns)
        for topic in self.topics.values():
            topic.mesh.drop(key, now_ns=self.now_ns, backoff_s=BACKOFF_S)

    def client(self, contact: Contact) -> bool:
        """Its key solves no puzzle. It is served; but it is not passed on, and does not count as subscriber."""
        return contact.work < self.endpoint.network.puzzle_bits

    def confirm(self, topic: Topic, contact: Contact) -> None:
        """It said itself that it subscribes."""
        if not self.client(contact):
            topic.confirm(contact)

    def fell_silent(self, topic: Topic, contact: Contact) -> None:
        peer = self.endpoint.peers.get(contact)
        topic.fell_silent(contact, peer.answered_ns if peer is not None else 0)

    def claim(self, topic: Topic, contact: Contact) -> None:
        """Somebody says that it subscribes."""
        if not self.client(contact):
            topic.roster.claim(contact)

    def keep(self, kept: Kept) -> None:
        if len(self.kept) >= MAX_KEPT_MESSAGES:
            self.forget(next(iter(self.kept)))
        self.kept[kept.id] = kept.topic.recent[kept.id] = kept

    def forget(self, message_id: bytes) -> None:
        kept = self.kept.pop(message_id, None)
        if kept is not None:
            kept.topic.recent.pop(message_id, None)

    def ask(
        self,
        contact: Contact,
        message: Graft | Prune | Have | Call,
        on_answer: Callable[[Contact, Gossiped], object],
        on_failed: Callable[[], object],
    ) -> bool:
        """True: one of the two is called. False: too many requests of ours wait, which is nobody else's fault."""

        def answered(who: Contact, answer: Message) -> None:
            if isinstance(answer, Gossiped):
                on_answer(who, answer)
            else:
                on_failed()

        try:
            self.endpoint.request(contact, message, on_reply=answered, on_failed=on_failed)
        except LimitError:
            self.count("put off")
            return False
        return True
