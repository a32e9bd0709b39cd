"""Upkeep of the meshes: a beat a second while something moves, one in five while nothing does, none without a topic.

Fellow subscribers are found in the DHT, in the answers of those who have no room for us, and by their asking us.
"""

from __future__ import annotations

import attrs

from overlay.errors import OverlayError
from overlay.gossip.exchange import Exchange
from overlay.gossip.mesh import BACKOFF_S, Member
from overlay.gossip.state import GossipState
from overlay.gossip.topic import Topic
from overlay.limits import KEPT_S, MAX_PASSED_ON, MESH_HIGH, MESH_LOW
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.loop import Timer
from overlay.runtime.ports import SECOND
from overlay.trust.policy import Verdict
from overlay.wire.gossip import Gossiped, Graft, Prune
from overlay.wire.registry import GossipStatus

#: gossipsub v1.0: heartbeat 1 s.
BEAT_NS = SECOND
IDLE_BEAT_NS = 5 * SECOND
#: A message is offered to members of the mesh for so long.
RECENT_NS = 10 * SECOND
#: Outside the mesh a message is offered once, to so many: with 100 subscribers who each do so, a peer whose whole
#: mesh is silent misses one message in twenty (e**-3), until it has found a better mesh.
LAZY = 3
#: A member that said nothing for this long is asked. It also keeps the doors of NATs open.
_KEEP_NS = 15 * SECOND
#: A token is renewed so long before it ends.
_TOKEN_NS = 30 * SECOND
_REVIEW_NS = 30 * SECOND
#: One of those who fell silent is asked this often.
_LOST_NS = 20 * SECOND
#: Who finds no subscribers looks again after this, twice that, ...; with a whole mesh, to join with another one.
_LOOK_FIRST_NS = 2 * SECOND
_LOOK_MOST_NS = 60 * SECOND
_LOOK_WHOLE_NS = 300 * SECOND
#: Our provider record lives for an hour. A young node's neighbours change, so the first ones are made early.
_ANNOUNCE_TTL_S = 3600
_ANNOUNCE_NS = (15 * SECOND, 60 * SECOND, 1200 * SECOND)
#: Where nobody takes it, or nobody is there.
_AGAIN_NS = 5 * SECOND
FANOUT_NS = 60 * SECOND


@attrs.define(slots=True, eq=False)
class MeshUpkeep:
    state: GossipState
    exchange: Exchange
    _timer: Timer | None = None
    _due_ns: int = 0

    def wake(self, delay_ns: int = BEAT_NS) -> None:
        """Have a beat within `delay_ns`."""
        due_ns = self.state.now_ns + delay_ns
        if self._timer is not None:
            if self._due_ns <= due_ns:
                return
            self._timer.cancel()
        self._due_ns = due_ns
        self._timer = self.state.loop.call_at(due_ns, self._beat)

    def start(self, topic: Topic) -> None:
        """We subscribe now."""
        state = self.state
        topic.look_ns = topic.announce_ns = topic.lost_ns = state.now_ns
        topic.review_ns = state.now_ns + _REVIEW_NS
        topic.look_wait_ns, topic.announced = _LOOK_FIRST_NS, 0
        for contact in topic.fanout.values():
            state.claim(topic, contact)
        topic.fanout.clear()
        # Peers that start together must not beat in step.
        self.wake(state.rng.below(BEAT_NS // 4))

    def stop(self, topic: Topic) -> None:
        """We no longer subscribe: say so, and no longer announce it; what holders have expires within the hour."""
        for member in tuple(topic.mesh.members.values()):
            self.prune(topic, member.contact, GossipStatus.STRANGER)
        topic.mesh.asked.clear()
        topic.back.clear()
        self.drop_if_unused(topic)

    def drop_if_unused(self, topic: Topic) -> None:
        if topic.subscribed or topic.publishing or topic.fanout_until_ns > self.state.now_ns:
            return
        for one in [kept.id for kept in self.state.kept.values() if kept.topic is topic]:
            self.state.forget(one)
        self.state.topics.pop(topic.key, None)

    def _beat(self) -> None:
        self._timer = None
        state = self.state
        state.memory.expire(state.now_ns)
        state.bodies.expire(state.now_ns)
        self.exchange.expire()
        while state.kept:
            oldest = next(iter(state.kept.values()))
            if state.now_ns - oldest.at_ns < KEPT_S * SECOND:
                break
            state.forget(oldest.id)
        busy = bool(state.promised or self.exchange.fetches)
        for topic in tuple(state.topics.values()):
            for kept in tuple(topic.recent.values()):
                if state.now_ns - kept.at_ns < RECENT_NS:
                    break
                del topic.recent[kept.id]
            if topic.subscribed:
                self._tend(topic)
            elif topic.fanout_until_ns <= state.now_ns:
                self.drop_if_unused(topic)
                continue
            self._offer(topic)
            busy = busy or bool(topic.recent or topic.back) or (topic.subscribed and len(topic.mesh) < MESH_LOW)
        if state.topics or state.kept or state.bodies or self.exchange.lines:
            self.wake(BEAT_NS if busy else IDLE_BEAT_NS)

    # --- the mesh -------------------------------------------------------------------------

    def _tend(self, topic: Topic) -> None:
        state, mesh, now_ns = self.state, topic.mesh, self.state.now_ns
        for key in (*mesh.members, *topic.roster.known, *topic.roster.claimed):
            if state.banned(key):
                mesh.drop(key, now_ns=now_ns, backoff_s=BACKOFF_S)
                topic.roster.forget(key)
        mesh.expire(now_ns)
        candidates = [
            contact
            for contact in topic.roster.candidates(state.rng)
            if mesh.may_ask(contact.key, now_ns) and state.conducts.good(contact.key, now_ns)
        ]
        candidates.sort(key=lambda contact: state.endpoint.policy.verdict(contact.key) is not Verdict.ALLOW)
        fill = now_ns >= topic.review_ns
        if fill:
            topic.review_ns = now_ns + _REVIEW_NS
            self._review(topic, candidates)
        for contact in candidates[: mesh.wanted(now_ns, fill=fill)]:
            self._graft(topic, contact)
        short = len(mesh) + len(mesh.asked) < MESH_LOW and not candidates
        if short:
            topic.look_ns = min(topic.look_ns, now_ns + topic.look_wait_ns)
        if now_ns >= topic.look_ns:
            self._beside(topic, "look")
        if now_ns >= topic.announce_ns:
            self._beside(topic, "announce")
        if topic.roster.lost and now_ns >= topic.lost_ns:
            topic.lost_ns = now_ns + _LOST_NS
            self.exchange.offer(topic, state.rng.choice(tuple(topic.roster.lost.values())), [])

    def _review(self, topic: Topic, candidates: list[Contact]) -> None:
        """Put out one or two that bring nothing, if there is somebody else; take in who helped from outside."""
        state, mesh = self.state, topic.mesh
        silent = mesh.silent(state.now_ns)[: min(2, len(candidates))]
        for member in silent:
            state.count("silent member replaced")
            state.conducts.offence(member.contact.key, state.now_ns)
            self.prune(topic, member.contact, GossipStatus.KNOWN)
        surplus = mesh.surplus(state.now_ns)
        if surplus is not None:
            self.prune(topic, surplus.contact, GossipStatus.KNOWN)
        helpful = [contact for contact in candidates if topic.rescued_by.get(contact.key, 0) > 1]
        topic.rescued_by.clear()
        for contact in helpful[:2]:
            if len(mesh) + len(mesh.asked) < MESH_HIGH:
                candidates.remove(contact)
                self._graft(topic, contact)
        for member in silent:
            if candidates and member.outbound:
                self._graft(topic, candidates.pop(0))

    def _graft(self, topic: Topic, contact: Contact) -> None:
        state, key = self.state, contact.key
        if not state.directory.may_probe(contact):
            return

        def answered(who: Contact, answer: Gossiped) -> None:
            if not topic.subscribed:
                self.prune(topic, who, GossipStatus.STRANGER)
            elif answer.status is GossipStatus.MESH:
                state.confirm(topic, who)
                if not topic.mesh.taken_in(who, state.now_ns):
                    self.prune(topic, who, GossipStatus.KNOWN)
            elif answer.status is GossipStatus.KNOWN:
                state.confirm(topic, who)
                topic.mesh.refused(key, answer.backoff_s, state.now_ns)
                self._learn(topic, answer.v4, answer.v6, who)
            else:
                topic.mesh.refused(key, BACKOFF_S, state.now_ns)
                topic.roster.forget(key)

        def failed() -> None:
            topic.mesh.unanswered(key)
            state.fell_silent(topic, contact)

        topic.mesh.ask(key)
        if not state.ask(contact, Graft(topic.key), answered, failed):
            topic.mesh.unanswered(key)  # at the next beat

    def prune(self, topic: Topic, contact: Contact, status: GossipStatus) -> None:
        state = self.state
        topic.mesh.drop(contact.key, now_ns=state.now_ns, backoff_s=BACKOFF_S)
        v4, v6 = self._passed_on(topic, contact)
        message = Prune(topic.key, status, BACKOFF_S, v4, v6)
        state.ask(contact, message, lambda _who, _answer: None, lambda: None)

    def on_graft(self, inbound: Inbound, message: Graft) -> Gossiped:
        state, sender = self.state, inbound.contact
        token, topic = state.endpoint.token_for(sender), state.topics.get(message.topic)
        if topic is None or not topic.subscribed:
            return Gossiped(token, GossipStatus.STRANGER, 0, b"", b"", b"")
        state.confirm(topic, sender)
        backoff_s = BACKOFF_S
        if state.conducts.good(sender.key, state.now_ns):
            backoff_s = topic.mesh.asks(sender, state.now_ns, client=state.client(sender))
        if not backoff_s:
            return Gossiped(token, GossipStatus.MESH, 0, b"", b"", b"")
        return Gossiped(token, GossipStatus.KNOWN, backoff_s, b"", *self._passed_on(topic, sender))

    def on_prune(self, inbound: Inbound, message: Prune) -> Gossiped:
        state, sender = self.state, inbound.contact
        token, topic = state.endpoint.token_for(sender), state.topics.get(message.topic)
        if topic is None or not topic.subscribed:
            return Gossiped(token, GossipStatus.STRANGER, 0, b"", b"", b"")
        was_near = sender.key in topic.mesh or sender.key in topic.mesh.asked
        topic.mesh.refused(sender.key, message.backoff_s, state.now_ns)
        self.exchange.hear(topic, sender, message.status)
        if was_near:  # nobody else has a reason to name others
            self._learn(topic, message.v4, message.v6, sender)
            self.wake()
        return Gossiped(token, GossipStatus.KNOWN, 0, b"", b"", b"")

    def _passed_on(self, topic: Topic, asker: Contact) -> tuple[bytes, bytes]:
        known = [contact for contact in topic.roster.known.values() if contact.key != asker.key]
        return self.state.directory.pack(self.state.rng.sample(known, MAX_PASSED_ON), asker)

    def _learn(self, topic: Topic, v4: bytes, v6: bytes, referrer: Contact) -> None:
        for contact in self.state.directory.learn(v4, v6, referrer):
            self.state.claim(topic, contact)

    # --- offers ---------------------------------------------------------------------------

    def _offer(self, topic: Topic) -> None:
        state, exchange, now_ns = self.state, self.exchange, self.state.now_ns
        for member in tuple(topic.mesh.members.values()):
            missing = exchange.missing(topic, member.contact.key)
            if missing or self._quiet(member):
                exchange.offer(topic, member.contact, missing)
        for key, (contact, since_ns) in tuple(topic.back.items()):
            missing = exchange.missed(topic, key, since_ns)
            if missing:
                exchange.offer(topic, contact, missing)
            else:
                del topic.back[key]
        for contact in tuple(topic.fanout.values()):
            missing = exchange.missing(topic, contact.key)
            if missing:
                exchange.offer(topic, contact, missing)
        if not topic.subscribed:
            return
        fresh = [kept for kept in topic.recent.values() if not kept.offered and now_ns - kept.at_ns >= BEAT_NS // 2]
        if not fresh:
            return
        outside = [contact for contact in topic.roster.candidates(state.rng) if contact.key not in topic.mesh]
        for contact in outside[:LAZY]:
            if not state.directory.may_probe(contact):
                continue
            missing = exchange.missing(topic, contact.key)
            if missing:
                exchange.offer(topic, contact, missing)
        for kept in fresh:
            kept.offered = True

    def _quiet(self, member: Member) -> bool:
        now_ns = self.state.now_ns
        return (
            now_ns - member.heard_ns >= _KEEP_NS
            or self.state.endpoint.peers.token(member.contact, now_ns + _TOKEN_NS) is None
        )

    # --- the DHT --------------------------------------------------------------------------

    def _beside(self, topic: Topic, what: str) -> None:
        """Unless it runs still."""
        state = self.state
        if what in topic.running:
            return
        if not state.directory.ready:
            if what == "look":
                topic.look_ns = state.now_ns + BEAT_NS
            else:
                topic.announce_ns = state.now_ns + BEAT_NS
            return
        topic.running[what] = None
        state.spawn(self._guarded(topic, what), f"{what} {topic.name}")

    async def _guarded(self, topic: Topic, what: str) -> None:
        try:
            if what == "look":
                await self.look(topic)
            else:
                await self._announce(topic)
        except OverlayError:
            self.state.count("put off")
        finally:
            topic.running.pop(what, None)

    async def look(self, topic: Topic) -> None:
        """Find subscribers in the DHT."""
        state = self.state
        whole = len(topic.mesh) >= MESH_LOW
        topic.look_ns = state.now_ns + _LOOK_WHOLE_NS + state.rng.below(_LOOK_WHOLE_NS // 5)
        if not whole:
            topic.look_wait_ns = min(2 * topic.look_wait_ns, _LOOK_MOST_NS)
        found = await state.directory.find(topic.key)
        for contact in state.rng.shuffled(found):
            if contact.key not in topic.mesh and not state.banned(contact.key):
                state.claim(topic, contact)
        if len(topic.roster) and topic.subscribed:
            self.wake(0)

    async def _announce(self, topic: Topic) -> None:
        state = self.state
        confirmed = await state.directory.announce(topic.key, _ANNOUNCE_TTL_S)
        wait_ns = _AGAIN_NS
        if confirmed:
            wait_ns = _ANNOUNCE_NS[min(topic.announced, len(_ANNOUNCE_NS) - 1)]
            topic.announced += 1
        topic.announce_ns = state.now_ns + wait_ns + state.rng.below(wait_ns // 5)
