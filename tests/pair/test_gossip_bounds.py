"""What strangers may make a subscriber remember, whom it counts as subscriber, and what is left of what failed."""

from __future__ import annotations

import attrs
import pytest

from overlay.gossip.topic import Kept, Topic
from overlay.identity.network import Network
from overlay.limits import (
    MAX_GREETINGS,
    MAX_HAVE,
    MAX_HAVERS,
    MAX_WAITING_MESSAGES,
    MAX_WANTED,
    MESH_CLIENTS,
    MESH_HIGH,
    MESSAGES_PER_AUTHOR_BURST,
)
from overlay.rpc.contact import Contact
from overlay.runtime.address import parse_address
from overlay.runtime.loop import Future
from overlay.wire.gossip import Gossiped, Graft, Have, Prune, Publish
from overlay.wire.publication import message_id, topic_key
from overlay.wire.registry import GossipStatus
from tests.support.gossiping import TOPIC, Strangers, bodies, said, subscribed
from tests.support.pair import A, B, Pair, keys_of, make_peer, opened, pair

#: keys_of these solve its puzzle, which one key of 32 does.
PUZZLED = Network("pair", puzzle_bits=5)
SOLVERS = (95, 154, 228, 233)


def puzzled() -> Pair:
    link = Pair(make_peer(SOLVERS[0], network=PUZZLED), make_peer(SOLVERS[1], network=PUZZLED))
    link.start()
    link.advance(1)
    link.met()
    for side in ("a", "b"):
        link.command(side, "subscribe", {"topic": "chat"})
    link.settle(10)
    return link


def topic_of(link: Pair, side: str) -> Topic:
    return link.peer(side).gossip.state.topics[TOPIC]  # type: ignore[attr-defined, no-any-return]


def contacts(link: Pair, side: str, count: int) -> list[Contact]:
    book = link.peer(side).endpoint.book  # type: ignore[attr-defined]
    return [book.contact(keys_of(1000 + n).key, parse_address(f"10.0.3.{n}:4433")) for n in range(count)]


# --- what is remembered of others ---------------------------------------------------------


def test_who_has_a_message_is_noted_of_so_many() -> None:
    link = subscribed()
    for number in range(3):
        link.ask("b", "publish", {"topic": "chat", "body": b"%d" % number})
    link.settle(2)
    kept = link.b.gossip.state.kept
    ids = b"".join(kept)
    strangers = Strangers(link)
    for number in range(100, 100 + 2 * MAX_HAVERS):
        strangers.sends(Have(TOPIC, GossipStatus.KNOWN, ids), number=number)
    assert [len(one.have) for one in kept.values()] == [MAX_HAVERS] * 3
    # Not forgotten of who is sent messages.
    assert all(link.key("a") in one.have for one in kept.values())


def test_of_who_is_neither_near_nor_known_nothing_is_noted() -> None:
    link = puzzled()
    link.ask("b", "publish", {"topic": "chat", "body": b"x"})
    link.settle(2)
    [kept] = link.b.gossip.state.kept.values()
    strangers = Strangers(link, PUZZLED)
    for number in range(1, 31):
        strangers.sends(Have(TOPIC, GossipStatus.KNOWN, kept.id), number=number)
        strangers.sends(Publish(kept.raw), number=number)
    assert set(kept.have) == {link.key("a"), link.key("b")}


def test_messages_kept_are_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.gossip.state.MAX_KEPT_MESSAGES", 5)
    link = subscribed()
    strangers = Strangers(link)
    for number in range(12):
        strangers.sends(Publish(said(number, link=link)))
    state = link.b.gossip.state
    assert len(bodies(link, "b")) == 12
    assert list(state.kept) == list(topic_of(link, "b").recent)
    assert [one.raw for one in state.kept.values()] == [said(number, link=link) for number in range(7, 12)]


def test_receivers_without_token_and_what_waits_for_each_are_so_many() -> None:
    link = subscribed()
    exchange, topic = link.a.gossip._exchange, topic_of(link, "a")
    many = contacts(link, "a", MAX_GREETINGS + 20)

    def kept(number: int) -> Kept:
        return Kept(number.to_bytes(16, "big"), topic, said(number, link=link), link.now.mono_ns)

    exchange.send(many, kept(0))
    assert list(exchange._greetings) == many[:MAX_GREETINGS]
    assert link.counted("a", "gossip: put off") == 20
    for number in range(1, 2 * MAX_WAITING_MESSAGES):
        exchange.send(many[:1], kept(number))
    assert len(exchange._greetings[many[0]]) == MAX_WAITING_MESSAGES
    link.settle(10)
    assert not exchange._greetings, "nobody answered"


# --- keys without puzzle --------------------------------------------------------------------


def test_keys_without_puzzle_are_served_and_take_nothing_over() -> None:
    link = puzzled()
    strangers = Strangers(link, PUZZLED)
    answers = [strangers.sends(Graft(TOPIC), number=number)[0] for number in range(1, 60)]
    assert all(isinstance(one, Gossiped) for one in answers)
    taken = [number for number, one in enumerate(answers, 1) if one.status is GossipStatus.MESH]  # type: ignore[union-attr]
    topic = topic_of(link, "b")
    assert len(taken) == topic.mesh.clients == MESH_CLIENTS
    # They are not counted as subscribers, nor named to anybody: only a is.
    assert list(topic.roster.known) == [link.key("a")]
    named = {one.v4 for one in answers if one.status is GossipStatus.KNOWN}  # type: ignore[union-attr]
    assert named == {link.key("a") + A.packed}
    assert topic.mesh.wanted(link.now.mono_ns) == 2, "a mesh of one, whatever clients are in it"
    # Whoever solves the puzzle finds room.
    for number in SOLVERS[2:]:
        assert strangers.sends(Graft(TOPIC), number=number)[0].status is GossipStatus.MESH  # type: ignore[union-attr]
    # And the two are sent what is said.
    before = len(link.sent)
    link.ask("b", "publish", {"topic": "chat", "body": b"for all"})
    link.deliver_all()
    to = {one.to for one in link.sent_by("b", since=before)}
    assert {strangers.one(number).address for number in taken} <= to


def test_a_claim_that_names_a_key_without_puzzle_is_not_even_asked() -> None:
    link = puzzled()
    strangers = Strangers(link, PUZZLED)
    strangers.sends(Graft(TOPIC), number=SOLVERS[2])
    named = [keys_of(number).key + parse_address("10.0.0.9:4433").packed for number in (5, SOLVERS[3])]
    strangers.sends(Prune(TOPIC, GossipStatus.KNOWN, 60, b"".join(named), b""), number=SOLVERS[2])
    assert list(topic_of(link, "b").roster.claimed) == [keys_of(SOLVERS[3]).key]


def test_a_key_without_puzzle_is_asked_for_nothing() -> None:
    link = puzzled()
    strangers = Strangers(link, PUZZLED)
    for number in range(1, 31):
        assert offered(strangers, number) == 0
    assert not link.b.gossip.state.promised
    assert offered(strangers, SOLVERS[2]) == MAX_HAVE


def test_a_few_who_promise_all_that_may_be_promised_keep_nobody_from_being_asked() -> None:
    link = subscribed()
    strangers = Strangers(link)
    for number in range(100, 110):
        offered(strangers, number)
        offered(strangers, number)
    assert len(link.b.gossip.state.promised) == MAX_WANTED
    assert offered(strangers, 110) >= MAX_HAVE - 5
    assert len(link.b.gossip.state.promised) == MAX_WANTED
    # Nor are they forgiven: what they had to give way for is little beside what they break.
    link.settle(8)
    conducts, now_ns = link.b.gossip.state.conducts, link.now.mono_ns
    assert [n for n in range(100, 109) if conducts.good(keys_of(n).key, now_ns)] == []


def offered(strangers: Strangers, number: int) -> int:
    """How many it is asked for of as many messages as one HAVE names, which nobody has."""
    open_ = len(strangers.link.b.gossip.state.promised)
    ids = b"".join(message_id(b"%d %d %d" % (number, open_, n)) for n in range(MAX_HAVE))
    [answer] = strangers.sends(Have(TOPIC, GossipStatus.KNOWN, ids), number=number)
    assert isinstance(answer, Gossiped)
    return len(answer.wanted) // 16


# --- what is left ---------------------------------------------------------------------------


@attrs.define
class HeldUp:
    """A directory that answers when it is told to."""

    answer: Future

    ready = True

    async def find(self, key: bytes) -> list[Contact]:
        found: list[Contact] = await self.answer
        return found

    def may_probe(self, contact: Contact) -> bool:
        return True


def looking() -> tuple[Pair, Future, int]:
    """a, which subscribes to another topic, is publishing to one that it does not subscribe to."""
    link = pair().met()
    link.command("a", "subscribe", {"topic": "other"})
    link.command("b", "subscribe", {"topic": "chat"})
    link.settle(5)
    answer = link.a.loop.future()
    link.a.gossip.state.directory = HeldUp(answer)  # type: ignore[assignment]
    asked = link.ask("a", "publish", {"topic": "chat", "body": b"x"})
    link.settle(7)  # beats of the other topic
    return link, answer, asked


def test_a_topic_is_not_dropped_while_its_subscribers_are_looked_for() -> None:
    link, answer, asked = looking()
    answer.set([link.a.endpoint.book.contact(link.key("b"), B)])
    link.settle(0.1)
    assert link.results["a", asked].value == {"topic": "chat", "peers": 1}  # type: ignore[union-attr]
    state = link.a.gossip.state
    [kept] = state.kept.values()
    assert state.topics[TOPIC] is kept.topic
    link.settle(2)
    assert bodies(link, "b") == [b"x"]
    assert link.key("b") in kept.have, "it was offered again until it said so"


def test_of_a_publish_that_was_cancelled_nothing_is_left() -> None:
    link, _, asked = looking()
    link.feed("a", link.a.handle_cancel, asked)
    assert [topic.name for topic in link.a.gossip.state.topics.values()] == ["other"]


def test_of_a_publish_that_was_refused_nothing_is_left() -> None:
    link = subscribed()
    for number in range(MESSAGES_PER_AUTHOR_BURST):
        link.ask("a", "publish", {"topic": "chat", "body": b"%d" % number})
    assert "too many" in link.fails("a", "publish", {"topic": "elsewhere", "body": b""}).message
    assert topic_key("elsewhere") not in link.a.gossip.state.topics


def test_our_own_limit_is_nobodys_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    link = subscribed()
    with monkeypatch.context() as patch:
        patch.setattr("overlay.rpc.asked.MAX_PENDING", 0)
        link.settle(20)
    topic = topic_of(link, "b")
    assert link.counted("b", "gossip: put off") >= 1
    assert link.key("a") in topic.mesh
    assert link.key("a") in topic.roster.known
    assert not topic.roster.lost
    assert not topic.asking


def test_who_was_taken_in_after_it_unsubscribed_says_so_at_once() -> None:
    link = pair().met()
    link.command("b", "subscribe", {"topic": "chat"})
    link.settle(5)
    link.command("a", "subscribe", {"topic": "chat"})
    for _ in range(1000):
        held = next((n for n, one in enumerate(link.wire) if _is_yes(one.data)), None)
        if held is not None:
            break
        if link.wire:
            link.deliver()
        else:
            link.advance(0.01)
    assert held is not None
    answer = link.drop(held)
    link.command("a", "unsubscribe", {"topic": "chat"})
    link.deliver_all()
    link.inject("a", B, answer.data)
    link.deliver_all()
    assert len(topic_of(link, "b").mesh) == 0
    assert link.command("a", "topics") == []


def _is_yes(data: bytes) -> bool:
    message = opened(data)[1]
    return isinstance(message, Gossiped) and message.status is GossipStatus.MESH


# --- authors and forgers ----------------------------------------------------------------------


def test_an_author_sends_to_others_beside_its_mesh() -> None:
    link = subscribed()
    roster = topic_of(link, "a").roster
    for contact in contacts(link, "a", 30):
        roster.confirm(contact)
    before = len(link.sent)
    asked = link.ask("a", "publish", {"topic": "chat", "body": b"x"})
    assert link.results["a", asked].value["peers"] == MESH_HIGH  # type: ignore[union-attr]
    assert len({one.to for one in link.sent_by("a", since=before)}) == MESH_HIGH


def test_a_forger_is_not_chosen_in_topics_that_begin_later() -> None:
    link = subscribed()
    strangers = Strangers(link)
    forger = strangers.one(66)
    raw = said(1, link=link)
    strangers.sends(Publish(raw[:-1] + bytes([raw[-1] ^ 1])), who=forger)
    link.command("b", "subscribe", {"topic": "later"})
    answer = strangers.sends(Graft(topic_key("later")), who=forger)[0]
    other = strangers.sends(Graft(topic_key("later")), number=67)[0]
    assert isinstance(answer, Gossiped)
    assert isinstance(other, Gossiped)
    assert (answer.status, other.status) == (GossipStatus.KNOWN, GossipStatus.MESH)
    # Nor is what it offers asked for.
    [answer] = strangers.sends(Have(TOPIC, GossipStatus.KNOWN, bytes(16)), who=forger)
    assert isinstance(answer, Gossiped)
    assert answer.wanted == b""
