"""Topics, as the rest of the peer sees them: subscribe, publish, and what GOSSIP from others asks for."""

from __future__ import annotations

import attrs

from overlay.errors import LimitError, LocalError
from overlay.gossip.exchange import Exchange
from overlay.gossip.lines import Lines
from overlay.gossip.state import GossipState
from overlay.gossip.topic import Delivered as Delivered
from overlay.gossip.topic import Subscription as Subscription
from overlay.gossip.topic import Topic
from overlay.gossip.upkeep import BEAT_NS, FANOUT_NS, IDLE_BEAT_NS, MeshUpkeep
from overlay.limits import (
    MAX_SUBSCRIPTION_BUFFER,
    MAX_SUBSCRIPTIONS,
    MAX_TOPIC,
    MAX_TOPICS,
    MESH,
    MESH_HIGH,
    SUBSCRIPTION_BUFFER,
)
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.queue import Queue
from overlay.wire.gossip import Call, Gossiped, Graft, Have, Prune, Publish
from overlay.wire.publication import encode_publication, is_topic, message_id, peek_publication, topic_key
from overlay.wire.registry import GossipStatus, Kind


@attrs.frozen(slots=True)
class TopicView:
    name: str
    subscribed: bool
    #: Peers to whom messages go at once.
    mesh: int
    #: Other subscribers that are known or claimed to be, those of the mesh included.
    known: int
    #: Messages that were new to us.
    seen: int
    #: Messages that readers here were too slow for.
    dropped: int


@attrs.define(slots=True, eq=False)
class Gossip:
    """All topics of one peer. Without a topic it sets no timer and sends nothing of its own accord."""

    state: GossipState
    _lines: Lines = attrs.field(init=False)
    _exchange: Exchange = attrs.field(init=False)
    _upkeep: MeshUpkeep = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._lines = Lines(self.state, lambda: self._upkeep.wake(IDLE_BEAT_NS))
        self._exchange = Exchange(self.state, self._lines)
        self._upkeep = MeshUpkeep(self.state, self._exchange)
        self.state.endpoint.serve(Kind.GOSSIP, self._on_gossip)

    def subscribe(self, topic: str, *, buffer: int = SUBSCRIPTION_BUFFER, unread: bool = False) -> Subscription:
        """Every message of a topic from now on, once each, those of this peer too. `buffer`: how many may wait; none of
        one that is `unread`, whose messages are reported as GossipDelivered and nothing more.

        Raises LocalError for a name that is none, LimitError at MAX_TOPICS or MAX_SUBSCRIPTIONS.
        """
        if not 1 <= buffer <= MAX_SUBSCRIPTION_BUFFER:
            raise LocalError(f"a subscription lets 1 to {MAX_SUBSCRIPTION_BUFFER} messages wait, not {buffer}")
        if sum(len(one.subscriptions) for one in self.state.topics.values()) >= MAX_SUBSCRIPTIONS:
            raise LimitError(f"{MAX_SUBSCRIPTIONS} subscriptions are open already; close some")
        found = self._open(topic)
        subscription = Subscription(topic, Queue(self.state.loop, buffer), self._closed, unread=unread)
        found.subscriptions.append(subscription)
        if len(found.subscriptions) == 1:
            self._upkeep.start(found)
        return subscription

    async def publish(self, topic: str, body: bytes) -> int:
        """Sign a message and send it: to how many peers. 0: nobody is known who subscribes.

        It works without a subscription. What does not fit into a datagram (publication.room_for) is announced, and
        given by stream to those who ask. Raises LocalError for a body above MAX_LARGE_BODY, LimitError for more
        messages, or bytes by stream, than others would take of us.
        """
        state, endpoint = self.state, self.state.endpoint
        encode_publication(endpoint.signer, endpoint.network, topic, 0, body)  # before anything is looked for
        found = self._open(topic)
        found.publishing += 1  # no beat drops the topic meanwhile
        try:
            if not found.subscribed and found.fanout_until_ns <= state.now_ns:
                found.fanout.clear()
            receivers = self._receivers(found)
            if not receivers and state.directory.ready:
                await self._upkeep.look(found)
                receivers = self._receivers(found)
            return self._publish(found, receivers, body)
        finally:  # also if it was cancelled or refused: then nothing is left of it
            found.publishing -= 1
            self._upkeep.drop_if_unused(found)

    def _publish(self, found: Topic, receivers: list[Contact], body: bytes) -> int:
        state, endpoint = self.state, self.state.endpoint
        seq = endpoint.stamps.take(state.loop.now)
        raw = encode_publication(endpoint.signer, endpoint.network, found.name, seq, body)
        known_as, publication = message_id(raw), peek_publication(raw)
        reason = state.memory.admit(known_as, endpoint.signer.key, seq, state.loop.now, size=publication.size)
        if reason is not None:
            raise LimitError(f"not published, others would refuse it: {reason}")
        if not found.subscribed:
            found.fanout = {contact.key: contact for contact in receivers}
            found.fanout_until_ns = state.now_ns + FANOUT_NS
        before = dict.fromkeys(found.mesh.members)
        kept = self._exchange.accept(found, publication, known_as, (), body)
        self._exchange.send([contact for contact in receivers if contact.key not in before], kept)
        self._upkeep.wake(BEAT_NS)
        return len(receivers)

    def topics(self) -> list[TopicView]:
        """By name."""
        return [
            TopicView(
                topic.name, topic.subscribed, len(topic.mesh), len(topic.roster) + len(topic.fanout), topic.seen,
                sum(one.dropped for one in topic.subscriptions),
            )
            for topic in sorted(self.state.topics.values(), key=lambda topic: topic.name)
        ]  # fmt: skip

    def forget(self, key: bytes) -> None:
        """That peer said goodbye."""
        for topic in self.state.topics.values():
            topic.mesh.drop(key, now_ns=self.state.now_ns)
            topic.roster.forget(key)
            topic.fanout.pop(key, None)

    def leave(self) -> None:
        """Say goodbye to all meshes; subscriptions stay open, and nothing is sent until the next beat."""
        for topic in self.state.topics.values():
            for member in tuple(topic.mesh.members.values()):
                self._upkeep.prune(topic, member.contact, GossipStatus.STRANGER)

    def _open(self, name: str) -> Topic:
        if not is_topic(name):
            raise LocalError(f"not a topic: {name!r} (1 to {MAX_TOPIC} bytes of printable text)")
        topics = self.state.topics
        key = topic_key(name)
        found = topics.get(key)
        if found is None:
            if len(topics) >= MAX_TOPICS:
                raise LimitError(f"{MAX_TOPICS} topics are in use already; close some")
            found = topics[key] = Topic(name, key)
        return found

    def _closed(self, subscription: Subscription) -> None:
        topic = self.state.topics[topic_key(subscription.topic)]
        topic.subscriptions.remove(subscription)
        if not topic.subscriptions:
            self._upkeep.stop(topic)

    def _receivers(self, topic: Topic) -> list[Contact]:
        """Our own messages go to the mesh and beyond, so that no mesh can keep them from the others."""
        state = self.state
        near = [member.contact for member in topic.mesh.members.values()] or list(topic.fanout.values())
        near = [contact for contact in near if not state.banned(contact.key)]
        keys = dict.fromkeys(contact.key for contact in near)
        others = [
            contact
            for contact in topic.roster.candidates(state.rng)
            if contact.key not in keys and not state.banned(contact.key)
        ]
        most = MESH_HIGH if topic.subscribed else MESH
        return near + others[: max(0, most - len(near))]

    def _on_gossip(self, inbound: Inbound) -> None:
        endpoint = self.state.endpoint
        match inbound.message:
            case Publish() as publish:
                self._exchange.on_publish(inbound, publish)
                if self.state.topics:
                    self._upkeep.wake(BEAT_NS)
            case Have() as have:
                endpoint.reply(inbound, self._exchange.on_have(inbound, have))
            case Graft() as graft:
                endpoint.reply(inbound, self._upkeep.on_graft(inbound, graft))
            case Prune() as prune:
                endpoint.reply(inbound, self._upkeep.on_prune(inbound, prune))
            case Call() as call:
                endpoint.reply(inbound, self._on_call(inbound, call))

    def _on_call(self, inbound: Inbound, message: Call) -> Gossiped:
        """It wants a body of us, and cannot open a stream to us."""
        state, sender = self.state, inbound.contact
        topic, kept = state.topics.get(message.topic), state.kept.get(message.id)
        status = GossipStatus.STRANGER
        if topic is not None and topic.concerns(sender.key) and not state.banned(sender.key):
            if topic.subscribed:
                status = GossipStatus.MESH if sender.key in topic.mesh else GossipStatus.KNOWN
            if kept is not None and kept.topic is topic and kept.digest in state.bodies:
                try:
                    self._lines.dial(sender)
                except LimitError:
                    state.count("put off")
        return Gossiped(state.endpoint.token_for(sender), status, 0, b"", b"", b"")
