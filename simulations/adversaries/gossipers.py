"""Members of a topic who give nothing, and publishers who say too much, or what others never said.

They act as tasks of their own peers: what they send is sent by the endpoint that an honest peer has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import attrs

from overlay.errors import LimitError, LocalError
from overlay.events import Event, GossipDelivered
from overlay.gossip.bodies import Bodies, Held
from overlay.gossip.topic import Topic
from overlay.limits import MAX_TOPIC
from overlay.peer import Peer
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Endpoint, Inbound
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Entropy, Storage
from overlay.wire.gossip import Graft, Publish
from overlay.wire.messages import Message
from overlay.wire.publication import encode_publication, is_topic, message_id, peek_publication, topic_key
from overlay.wire.registry import Kind
from simulations.adversaries.forgers import Impostor
from simulations.adversaries.positions import chosen, near_key
from simulations.bounds import after, between, not_negative, one_of, positive, share
from simulations.swarm import Swarm

#: Who starts late, or again, subscribes within this time.
_LOOK_S = 2.0
#: Spam leaves in bursts, so many times a second.
_BURSTS = 10
#: What spam begins with: so it is known when it is heard.
_FLOOD, _FORGED = b"flood ", b"forged "


def _topic(_instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    if not is_topic(value):
        raise ValueError(f"expected 1 to {MAX_TOPIC} bytes of printable text, found {value!r}", attribute)


@attrs.frozen(slots=True, kw_only=True)
class MuteMembers:
    """They subscribe, take every message, offer it, and send it to nobody (the silent mesh members of Vyzovitis and
    others, GossipSub: Attack-Resilient Message Propagation in the Filecoin and ETH2.0 Networks, 2020). Each asks
    `grafts` random honest nodes a second to be taken into their meshes, so that no place is left for anybody else.

    Counts `kept_back` (messages not sent to somebody) and, at the end, `mute_share`: of the places in the meshes of
    honest nodes, those that mute members have; `mute_chosen_share`: the same of those that the honest chose themselves.
    """

    topic: str = attrs.field(default="news", validator=_topic)
    fraction: float = attrs.field(default=0.2, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=40.0, validator=not_negative)
    grafts: float = attrs.field(default=1.0, validator=between(0, 100))

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.count("kept_back", 0)

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = swarm.population.peer(index, storage, rng, entropy)
            mute = Mute(made.endpoint, lambda: swarm.measures.count("kept_back"))
            made.gossip.state.endpoint = cast(Endpoint, mute)
            if self.grafts:
                chance = swarm.rng("mute-members", index, swarm.engine.life(index))
                made.loop.spawn_root(self._graft(swarm, made, chance), name="mute member")
            return made

        nodes = chosen(swarm, "mute-members", self.fraction, self.count, self.near)
        for node in nodes:
            swarm.corrupt(node, "mute-members", peer)
        _subscribe(swarm, self.topic, nodes, self.from_s)
        swarm.at(swarm.scenario.duration_s, lambda: self._sum_up(swarm, nodes))

    async def _graft(self, swarm: Swarm, peer: Peer, rng: Rng) -> None:
        graft = Graft(topic_key(self.topic))
        while True:
            await peer.loop.sleep(round(SECOND / self.grafts))
            honest = swarm.honest()
            if swarm.now_s < self.from_s or not honest:
                continue
            try:
                peer.endpoint.request(
                    _contact(swarm, peer, rng.choice(honest)), graft, on_reply=lambda *_: None, on_failed=lambda: None
                )
            except LimitError:
                continue

    def _sum_up(self, swarm: Swarm, nodes: list[int]) -> None:
        mute = {swarm.population.keys(node).key for node in nodes}
        topics = [_topic_of(swarm, node, self.topic) for node in swarm.honest()]
        places = [member for topic in topics if topic is not None for member in topic.mesh.members.values()]
        for name, those in (
            ("mute_share", places),
            ("mute_chosen_share", [member for member in places if member.outbound]),
        ):
            taken = sum(1 for member in those if member.contact.key in mute)
            swarm.measures.counts[name] = round(taken / max(1, len(those)), 6)


@attrs.frozen(slots=True, kw_only=True)
class HollowMembers:
    """They subscribe, pass on at once what announces a large body, before anybody could have it, and never send one.
    All else they do as they should.

    Counts `hollow_asked`, how often one was asked for a body.
    """

    topic: str = attrs.field(default="news", validator=_topic)
    fraction: float = attrs.field(default=0.2, validator=share)
    count: int | None = attrs.field(default=None, validator=positive)
    near: str = attrs.field(default="", validator=near_key)
    from_s: float = attrs.field(default=40.0, validator=not_negative)

    def begin(self, swarm: Swarm) -> None:
        swarm.measures.count("hollow_asked", 0)

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = swarm.population.peer(index, storage, rng, entropy)
            hollow = _Hollow(made.gossip.state.bodies, lambda: swarm.measures.count("hollow_asked"))
            made.gossip.state.bodies = cast(Bodies, hollow)
            made.endpoint.serve(Kind.GOSSIP, lambda inbound: self._boast(made, inbound))
            return made

        nodes = chosen(swarm, "hollow-members", self.fraction, self.count, self.near)
        for node in nodes:
            swarm.corrupt(node, "hollow-members", peer)
        _subscribe(swarm, self.topic, nodes, self.from_s)

    def _boast(self, peer: Peer, inbound: Inbound) -> None:
        message, state = inbound.message, peer.gossip.state
        topic = state.topics.get(topic_key(self.topic))
        new = isinstance(message, Publish) and message_id(message.inner) not in state.memory
        if isinstance(message, Publish) and new and topic is not None and peek_publication(message.inner).size:
            for contact in (*(one.contact for one in topic.mesh.members.values()), *topic.roster.known.values()):
                if peer.endpoint.peers.token(contact, peer.loop.now.mono_ns) is not None:
                    peer.endpoint.tell(contact, message)
        peer.gossip._on_gossip(inbound)


@attrs.frozen(slots=True, kw_only=True)
class SpamPublishers:
    """They subscribe, and send `rate` messages a second each to all subscribers that they know. `what`: "flood", which
    they sign themselves and of which nobody has to take more than limits.MESSAGES_PER_AUTHOR_S; "forged", in the names
    of honest nodes.

    Counts `flood_sent` or `forged_sent`, messages; `flood_heard` or `forged_heard`, deliveries at honest nodes; at the
    end `flood_heard_worst` or `forged_heard_worst`, at the node that heard most of them.
    """

    topic: str = attrs.field(default="news", validator=_topic)
    count: int = attrs.field(default=1, validator=between(1, 10_000))
    near: str = attrs.field(default="", validator=near_key)
    what: str = attrs.field(default="flood", validator=one_of("flood", "forged"))
    rate: float = attrs.field(default=200.0, validator=between(1, 2000))
    from_s: float = attrs.field(default=60.0, validator=not_negative)
    to_s: float = attrs.field(default=65.0, validator=(positive, after("from_s")))

    def begin(self, swarm: Swarm) -> None:
        counts, mark = swarm.measures.counts, _FLOOD if self.what == "flood" else _FORGED
        counts |= {f"{self.what}_sent": 0, f"{self.what}_heard": 0}
        heard: dict[int, int] = {}

        def peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
            made = swarm.population.peer(index, storage, rng, entropy)
            chance = swarm.rng(f"{self.what}-publishers", index, swarm.engine.life(index))
            made.loop.spawn_root(self._spam(swarm, made, mark, chance), name="spam")
            return made

        def watch(node: int, _at_ns: int, event: Event) -> None:
            if isinstance(event, GossipDelivered) and event.body.startswith(mark) and node not in swarm.adversaries:
                heard[node] = heard.get(node, 0) + 1
                swarm.measures.count(f"{self.what}_heard")

        def sum_up() -> None:
            counts[f"{self.what}_heard_worst"] = max(heard.values(), default=0)

        name = f"{self.what}-publishers"
        nodes = chosen(swarm, name, 0, self.count, self.near)
        for node in nodes:
            swarm.corrupt(node, name, peer)
        _subscribe(swarm, self.topic, nodes, max(0.0, self.from_s - 15))
        swarm.watchers.append(watch)
        swarm.at(swarm.scenario.duration_s, sum_up)

    async def _spam(self, swarm: Swarm, peer: Peer, mark: bytes, rng: Rng) -> None:
        each = max(1, round(self.rate / _BURSTS))
        sent = 0
        while swarm.now_s < self.to_s:
            await peer.loop.sleep(round(SECOND * each / self.rate))
            topic = peer.gossip.state.topics.get(topic_key(self.topic))
            if not self.from_s <= swarm.now_s < self.to_s or topic is None:
                continue
            known = dict.fromkeys((*(one.contact for one in topic.mesh.members.values()), *topic.roster.known.values()))
            for _ in range(each):
                sent += 1
                swarm.measures.count(f"{self.what}_sent")
                self._say(swarm, peer, mark + b"%d" % sent, tuple(known), rng)

    def _say(self, swarm: Swarm, peer: Peer, body: bytes, to: tuple[Contact, ...], rng: Rng) -> None:
        endpoint = peer.endpoint
        signer = endpoint.signer
        if self.what == "forged":
            honest = swarm.honest()
            author = swarm.population.keys(rng.choice(honest)).key if honest else bytes(32)
            signer = Impostor(author, signer)
        try:
            seq = endpoint.stamps.take(peer.loop.now)
        except LocalError:
            return
        message = Publish(encode_publication(signer, endpoint.network, self.topic, seq, body))
        for contact in to:
            if endpoint.peers.token(contact, peer.loop.now.mono_ns) is not None:
                endpoint.tell(contact, message)


@attrs.define(slots=True)
class Mute:
    """An endpoint that tells nobody of a message; whatever else is asked of it goes to the real one."""

    _endpoint: Endpoint
    _kept_back: Callable[[], object]

    def tell(self, contact: Contact, message: Message) -> None:
        if isinstance(message, Publish):
            self._kept_back()
        else:
            self._endpoint.tell(contact, message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._endpoint, name)


@attrs.define(slots=True)
class _Hollow:
    """Of every body it says that it is here, and it is empty: so nothing of it is sent."""

    _bodies: Bodies
    _asked: Callable[[], object]

    def __contains__(self, digest: bytes) -> bool:
        return True

    def get(self, digest: bytes) -> Held | None:
        if not digest:
            return None
        self._asked()
        return Held(b"", b"", 0, {b"": cast(Topic, _Everybody())})

    def __len__(self) -> int:
        return len(self._bodies)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bodies, name)


class _Everybody:
    """A topic in which everybody is given what he asks for."""

    def concerns(self, key: bytes) -> bool:
        return True


def _subscribe(swarm: Swarm, topic: str, nodes: list[int], from_s: float) -> None:
    """In each of their lives."""
    subscribed: dict[int, int] = {}

    def look() -> None:
        for node in nodes:
            if swarm.engine.awake(node) and subscribed.get(node) != swarm.engine.life(node):
                subscribed[node] = swarm.engine.life(node)
                swarm.ask(node, "subscribe", {"topic": topic}, lambda _outcome, _took: None)

    swarm.every(_LOOK_S, look, begin_s=from_s)


def _contact(swarm: Swarm, peer: Peer, node: int) -> Contact:
    return peer.endpoint.book.contact(swarm.population.keys(node).key, swarm.population.address(node))


def _topic_of(swarm: Swarm, node: int, name: str) -> Topic | None:
    peer = swarm.engine.peer(node)
    return peer.gossip.state.topics.get(topic_key(name)) if isinstance(peer, Peer) else None
