"""Messages from hand to hand: PUBLISH at once within the mesh, HAVE for what a datagram's loss left missing.

A message goes to each member once. Who is not known to have it half a second later is asked (HAVE), and asked again
at each beat until it says so; the answer names what is wanted. So nothing is acknowledged that arrives, and what is
lost comes a beat later. Some outside the mesh are asked once a message: they may be cut off without knowing.

Of a message whose body goes by stream the same is done, but not before its body is here: whoever announces it has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from overlay.errors import BadMessage, LimitError
from overlay.events import GossipDelivered
from overlay.gossip.awaited import Awaited, Fetch
from overlay.gossip.fetch import Fetches
from overlay.gossip.lines import Lines
from overlay.gossip.mesh import BACKOFF_S
from overlay.gossip.state import GossipState
from overlay.gossip.topic import Delivered, Kept, Topic
from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import work_of
from overlay.limits import MAX_GREETINGS, MAX_HAVE, MAX_WAITING_MESSAGES
from overlay.rpc.contact import Contact
from overlay.rpc.endpoint import Inbound
from overlay.runtime.ports import MS, SECOND
from overlay.wire.gossip import Gossiped, Have, Publish, split_ids
from overlay.wire.messages import Ping
from overlay.wire.publication import Publication, check_publication, message_id, peek_publication, topic_key
from overlay.wire.registry import GossipStatus

#: What is younger may still be on its way.
_SETTLED_NS = 500 * MS
#: Both sides of a new edge do not learn of it at the same time.
_EDGE_NS = 2 * SECOND
#: A duplicate within this after the first copy was sent before ours arrived, if no round trip is known.
_CROSSING_NS = 100 * MS


@attrs.define(slots=True, eq=False)
class Exchange:
    state: GossipState
    lines: Lines
    fetches: Fetches = attrs.field(init=False)
    #: Receivers whose token we lack: what waits for it.
    _greetings: dict[Contact, list[Kept]] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        self.fetches = Fetches(self.state, self.lines, self._arrived)

    # --- PUBLISH --------------------------------------------------------------------------

    def on_publish(self, inbound: Inbound, message: Publish) -> None:
        state, raw, sender = self.state, message.inner, inbound.contact
        known_as = message_id(raw)
        if state.promised.kept(known_as, sender.key):
            state.conducts.kept(sender.key)
        if known_as in state.memory:
            self._again(known_as, sender)
            return None
        try:
            publication = peek_publication(raw)
            topic = state.topics.get(topic_key(publication.topic))
            if topic is None or not topic.subscribed:
                return state.count("not subscribed")
            held = state.bodies.get(publication.digest)
            if publication.size and held is None and not self.fetches.room_for(publication):
                return state.count("put off")  # its id is not remembered: whoever has it offers it
            check_publication(raw, state.endpoint.network, state.endpoint.verifier)
        except BadMessage:
            # Correct peers pass on only what they checked.
            state.count("forged")
            return state.blame(sender.key)
        reason = self._refusal(publication, known_as)
        if reason is not None:
            return state.count(f"refused: {reason}")
        if publication.size and held is None:
            self.fetches.begin(topic, publication, known_as, sender)
        elif publication.size and held is not None and len(held.body) != publication.size:
            state.count("refused: another length")
        else:
            self._credit(topic, [sender.key])
            self.accept(topic, publication, known_as, [sender.key], held.body if held is not None else publication.body)
        return None

    def _refusal(self, publication: Publication, known_as: bytes) -> str | None:
        state, author = self.state, publication.author
        if author == state.endpoint.signer.key:
            reason = "our own of another life"
        elif state.banned(author):
            reason = "author is banned"
        elif work_of(node_id_of(author)) < state.endpoint.network.puzzle_bits:
            reason = "author without puzzle"
        else:
            return state.memory.admit(known_as, author, publication.seq, state.loop.now, size=publication.size)
        state.memory.refuse(known_as, state.loop.now)
        return reason

    def accept(
        self, topic: Topic, publication: Publication, known_as: bytes, had: Sequence[bytes], body: bytes
    ) -> Kept:  # fmt: skip
        """New, good and whole: to who listens here, and on to the mesh. `had`: keys of those who brought it."""
        state = self.state
        kept = Kept(known_as, topic, publication.raw, state.now_ns, digest=publication.digest)
        for key in (publication.author, *had):
            kept.had_by(key)
        state.keep(kept)
        if publication.digest:
            state.bodies.put(publication.digest, body, publication.author, topic, state.now_ns)
        topic.seen += 1
        if topic.subscribed:
            delivered = Delivered(node_id_of(publication.author), publication.author, topic.name, publication.seq, body)
            state.report(GossipDelivered(topic.name, delivered.author_id, publication.seq, body))
            for subscription in topic.subscriptions:
                subscription.deliver(delivered)
        self.send((member.contact for member in topic.mesh.members.values()), kept)
        return kept

    def _arrived(self, awaited: Awaited, fetch: Fetch) -> None:
        """The body of a message is here."""
        topic = awaited.topic
        if self.state.topics.get(topic.key) is not topic or not topic.subscribed:
            return
        had = [fetch.by, *(key for key, one in fetch.sources.items() if not one.failed and key != fetch.by)]
        self._credit(topic, had)
        self.accept(topic, awaited.publication, awaited.id, had, fetch.body or b"")
        self.lines.warm([member.contact for member in topic.mesh.members.values()])

    def _again(self, known_as: bytes, sender: Contact) -> None:
        """A copy of what we have: so its sender has it, and brought it if ours was not there before."""
        state = self.state
        if self.fetches.more(known_as, sender):
            return
        kept = state.kept.get(known_as)
        if kept is None or sender.key in kept.have or not kept.topic.concerns(sender.key):
            return
        kept.had_by(sender.key)
        member = kept.topic.mesh.members.get(sender.key)
        if member is not None:
            member.heard_ns = state.now_ns
            peer = state.endpoint.peers.get(sender)
            crossing_ns = peer.rtt.smoothed if peer is not None and peer.rtt.smoothed else _CROSSING_NS
            if state.now_ns - kept.at_ns <= crossing_ns:
                member.brought += 1
                member.missed = max(0, member.missed - 1)

    def _credit(self, topic: Topic, had: Sequence[bytes]) -> None:
        """The first of them brought a message; the others could have done so as well."""
        for key, member in topic.mesh.members.items():
            if key in had:
                member.brought += 1
                member.heard_ns = self.state.now_ns
            else:
                member.missed += 1
        if had[0] not in topic.mesh and had[0] in topic.roster.known:
            topic.rescued(had[0])

    def send(self, contacts: Iterable[Contact], kept: Kept) -> int:
        """To those who may lack it and are not banned: how many."""
        state, sent = self.state, 0
        for contact in list(contacts):
            if contact.key in kept.have or state.banned(contact.key):
                continue
            sent += 1
            if state.endpoint.peers.token(contact, state.now_ns) is not None:
                state.endpoint.tell(contact, Publish(kept.raw))
            else:
                self._greet(contact, kept)
        return sent

    def _greet(self, contact: Contact, kept: Kept) -> None:
        """It takes nothing without a token of its own: a PING brings one."""
        state, waiting = self.state, self._greetings.get(contact)
        if waiting is not None:
            if len(waiting) < MAX_WAITING_MESSAGES:
                waiting.append(kept)
            return None
        if len(self._greetings) >= MAX_GREETINGS or not state.directory.may_probe(contact):
            return state.count("put off")

        def answered(who: Contact, _answer: object) -> None:
            for one in self._greetings.pop(contact, ()):
                state.endpoint.tell(who, Publish(one.raw))

        self._greetings[contact] = [kept]
        try:
            state.endpoint.request(
                contact, Ping(), on_reply=answered, on_failed=lambda: self._greetings.pop(contact, None)
            )
        except LimitError:
            self._greetings.pop(contact, None)
            state.count("put off")
        return None

    # --- HAVE -----------------------------------------------------------------------------

    def missing(self, topic: Topic, key: bytes) -> list[Kept]:
        """Recent messages that a peer is not known to have, oldest first."""
        now_ns = self.state.now_ns
        settled = [kept for kept in topic.recent.values() if now_ns - kept.at_ns >= _SETTLED_NS]
        return self._lacked(settled, key)

    def missed(self, topic: Topic, key: bytes, since_ns: int) -> list[Kept]:
        """As `missing`, of all that is kept and came after `since_ns`: for who was away."""
        kept = (one for one in self.state.kept.values() if one.topic is topic and one.at_ns > since_ns)
        return self._lacked(kept, key)

    def _lacked(self, kept: Iterable[Kept], key: bytes) -> list[Kept]:
        """Not of what we could not give: the body may be forgotten before its announcement is."""
        bodies = self.state.bodies
        able = (one for one in kept if not one.digest or one.digest in bodies)
        return [one for one in able if key not in one.have][:MAX_HAVE]

    def offer(self, topic: Topic, contact: Contact, offered: list[Kept]) -> None:
        """HAVE; without messages it asks whether the other is there and what we are to it."""
        state, key = self.state, contact.key
        if key in topic.asking:
            return
        status = GossipStatus.STRANGER
        if topic.subscribed:
            status = GossipStatus.MESH if key in topic.mesh else GossipStatus.KNOWN

        def answered(who: Contact, answer: Gossiped) -> None:
            topic.asking.pop(key, None)
            self._on_answer(topic, who, answer, offered)

        def failed() -> None:
            topic.asking.pop(key, None)
            state.fell_silent(topic, contact)

        topic.asking[key] = None
        if not state.ask(contact, Have(topic.key, status, b"".join(kept.id for kept in offered)), answered, failed):
            del topic.asking[key]  # at the next beat

    def _on_answer(self, topic: Topic, who: Contact, answer: Gossiped, offered: list[Kept]) -> None:
        wanted = split_ids(answer.wanted)
        for kept in offered:
            if kept.id not in wanted:
                kept.had_by(who.key)
        self.hear(topic, who, answer.status)
        if answer.status is not GossipStatus.STRANGER:
            for kept in offered:
                if kept.id in wanted:
                    self.send((who,), kept)

    def on_have(self, inbound: Inbound, message: Have) -> Gossiped:
        state, sender = self.state, inbound.contact
        topic = state.topics.get(message.topic)
        status, wanted = GossipStatus.STRANGER, b""
        if topic is not None and topic.subscribed:
            self.hear(topic, sender, message.status)
            near = sender.key in topic.mesh or (message.status is GossipStatus.MESH and sender.key in topic.mesh.asked)
            status = GossipStatus.MESH if near else GossipStatus.KNOWN
            wanted = b"".join(self._wanted(sender, split_ids(message.ids)))
        return Gossiped(state.endpoint.token_for(sender), status, 0, wanted, b"", b"")

    def _wanted(self, sender: Contact, ids: list[bytes]) -> list[bytes]:
        state = self.state
        lacked: list[bytes] = []
        for one in ids:
            kept = state.kept.get(one)
            if kept is not None and kept.topic.concerns(sender.key):
                kept.had_by(sender.key)
            if not self.fetches.more(one, sender) and one not in state.memory:
                lacked.append(one)
        # A key without puzzle costs nothing: what it says it will send keeps nobody else from being asked.
        if state.client(sender) or not state.conducts.good(sender.key, state.now_ns):
            return []
        return state.promised.take(sender.key, lacked, state.now_ns)

    def hear(self, topic: Topic, who: Contact, status: GossipStatus) -> None:
        """A peer says, from an address that it proved, what we are to it in this topic."""
        if status is GossipStatus.STRANGER:
            topic.roster.forget(who.key)
            topic.mesh.drop(who.key, now_ns=self.state.now_ns)
            return
        self.state.confirm(topic, who)
        member = topic.mesh.members.get(who.key)
        if member is None:
            return
        member.heard_ns = self.state.now_ns
        member.contact = who
        if status is GossipStatus.KNOWN and self.state.now_ns - member.since_ns >= _EDGE_NS:
            # It put us out, and we did not hear of it.
            topic.mesh.drop(who.key, now_ns=self.state.now_ns, backoff_s=BACKOFF_S)

    def expire(self) -> None:
        """Promises that were not kept, bodies that did not come, streams that nobody needs."""
        state = self.state
        self.fetches.expire()
        self.lines.expire()
        for one, key in state.promised.over(state.now_ns):
            if one not in state.memory:
                state.conducts.broke(key, state.now_ns)
