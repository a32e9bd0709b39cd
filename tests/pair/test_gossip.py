"""Two peers and one topic: what is said arrives once, whatever the link or a stranger does."""

from __future__ import annotations

import attrs

from overlay.app import App, AppContext
from overlay.events import GossipDelivered
from overlay.identity.network import Network
from overlay.limits import (
    MAX_OPEN_PROMISES,
    MESH_HIGH,
    MESH_OUT,
    MESSAGES_PER_AUTHOR_BURST,
    SEEN_S,
)
from overlay.runtime.address import parse_address
from overlay.trust.policy import Observation
from overlay.wire.gossip import Gossiped, Graft, Have, Prune, Publish
from overlay.wire.messages import Ping, Retry
from overlay.wire.publication import message_id
from overlay.wire.registry import GossipStatus
from tests.support.gossiping import TOPIC, Strangers, Watching, bodies, said, subscribed
from tests.support.pair import A, Stranger, keys_of, messages, opened, pair


def test_both_get_it_once_and_the_mesh_is_of_one_mind() -> None:
    link = subscribed()

    assert link.command("a", "publish", {"topic": "chat", "body": b"hello"}) == {"topic": "chat", "peers": 1}
    link.settle(4)

    assert bodies(link, "a") == bodies(link, "b") == [b"hello"]
    [delivered] = [event for at, event in link.events if at == "b" and isinstance(event, GossipDelivered)]
    assert delivered.author == link.a.id
    assert link.command("b", "topics") == [
        {"name": "chat", "subscribed": True, "mesh": 1, "known": 1, "seen": 1, "dropped": 0}
    ]


def test_what_the_link_loses_is_offered_again_until_it_is_there() -> None:
    link = subscribed()
    link.ask("a", "publish", {"topic": "chat", "body": b"lost at first"})
    publishes = 0
    for _ in range(800):
        while link.wire:
            lost = isinstance(opened(link.wire[0].data)[1], Publish)
            publishes += lost
            if lost and publishes <= 3:
                link.drop()
            else:
                link.deliver()
        link.advance(0.01)

    assert publishes == 4
    assert bodies(link, "b") == [b"lost at first"]


def test_what_arrived_is_not_sent_again() -> None:
    link = subscribed()
    link.command("a", "publish", {"topic": "chat", "body": b"x"})
    link.settle(20)
    sent = [message for message in messages(link.sent) if isinstance(message, Publish)]
    assert len(sent) == 1


def test_a_forged_author_is_not_believed_and_its_forwarder_blamed() -> None:
    link = subscribed()
    strangers = Strangers(link)
    link.b.endpoint.policy = policy = Watching()
    assert strangers.sends(Graft(TOPIC))[0].status is GossipStatus.MESH  # type: ignore[union-attr]
    raw = said(1, link=link)

    strangers.sends(Publish(raw[:-1] + bytes([raw[-1] ^ 1])))

    assert bodies(link, "b") == []
    assert link.counted("b", "gossip: forged") == 1
    assert (keys_of(66).key, Observation.INVALID_DATA) in policy.seen
    # It is out, and not taken in again.
    assert strangers.sends(Graft(TOPIC))[0].status is GossipStatus.KNOWN  # type: ignore[union-attr]
    # The message itself is still wanted, from whoever has it as it was signed.
    strangers.sends(Publish(raw), number=67)
    assert bodies(link, "b") == [b"1"]


def test_a_message_of_a_foreign_network_is_nothing() -> None:
    link = subscribed()
    Strangers(link).sends(Publish(said(1, link=link, network=Network("elsewhere", puzzle_bits=0))))
    assert bodies(link, "b") == []
    assert link.counted("b", "gossip: forged") == 1


def test_a_replay_is_delivered_once_whoever_brings_it_and_whenever() -> None:
    link = subscribed()
    strangers = Strangers(link)
    raw = said(1, link=link)
    for number in (66, 67, 68):
        strangers.sends(Publish(raw), number=number)
    link.settle(SEEN_S + 10)
    strangers.sends(Publish(raw), number=69)

    assert bodies(link, "b") == [b"1"]
    assert link.counted("b", "gossip: refused: replayed") == 1


def test_an_old_message_is_a_replay_also_to_who_never_saw_it() -> None:
    link = subscribed()
    Strangers(link).sends(Publish(said(1, seq=link.now.wall_ms - 3_601_000, link=link)))
    assert bodies(link, "b") == []
    assert link.counted("b", "gossip: refused: out of time") == 1


def test_a_flooder_gets_its_share_however_many_pass_its_spam_on() -> None:
    link = subscribed()
    strangers = Strangers(link)
    for number in range(3 * MESSAGES_PER_AUTHOR_BURST):
        strangers.sends(Publish(said(number, link=link)), number=60 + number % 20)
    assert len(bodies(link, "b")) == MESSAGES_PER_AUTHOR_BURST
    # Neither the forwarders nor other authors suffer for it.
    strangers.sends(Publish(said(1, author=8, link=link)), number=60)
    assert len(bodies(link, "b")) == MESSAGES_PER_AUTHOR_BURST + 1
    assert strangers.sends(Graft(TOPIC), number=61)[0].status is GossipStatus.MESH  # type: ignore[union-attr]


def test_without_a_token_nothing_happens() -> None:
    link = subscribed()
    stranger = Strangers(link).one()
    for message in (Publish(said(1, link=link)), Graft(TOPIC), Have(TOPIC, GossipStatus.KNOWN, bytes(16))):
        sent = stranger.send(stranger.datagram(message, padded=True))
        assert [type(answer) for answer in messages(sent) if not isinstance(answer, Ping)] == [Retry]
    assert bodies(link, "b") == []
    assert len(link.b.gossip.state.topics[TOPIC].mesh) == 1


def test_those_who_choose_us_leave_room_for_those_whom_we_choose() -> None:
    link = subscribed()
    strangers = Strangers(link)
    answers = [strangers.sends(Graft(TOPIC), number=60 + n)[0] for n in range(30)]
    taken = [one for one in answers if isinstance(one, Gossiped) and one.status is GossipStatus.MESH]
    refused = [one for one in answers if isinstance(one, Gossiped) and one.status is GossipStatus.KNOWN]
    assert len(taken) <= MESH_HIGH - MESH_OUT
    assert len(taken) + len(refused) == 30
    assert all(one.backoff_s == 60 for one in refused)
    # They are told of others, whom they may ask.
    assert all(len(one.v4) // 38 <= 8 for one in refused)
    assert any(one.v4 for one in refused)


def test_who_was_put_out_waits_a_minute_also_at_another_address() -> None:
    link = subscribed()
    strangers = Strangers(link)
    stranger = strangers.one()
    strangers.sends(Graft(TOPIC), who=stranger)
    strangers.sends(Prune(TOPIC, GossipStatus.KNOWN, 60, b"", b""), who=stranger)
    moved = Stranger(link, keys=stranger.keys, address=parse_address("10.0.0.77:4433"), stamp=stranger.stamp)

    [answer] = strangers.sends(Graft(TOPIC), who=moved)

    assert isinstance(answer, Gossiped)
    assert (answer.status, answer.backoff_s) == (GossipStatus.KNOWN, 60)


def test_who_is_named_as_subscriber_is_only_asked_and_only_where_it_may_be() -> None:
    link = subscribed()
    strangers = Strangers(link)
    known = [keys_of(100 + n).key for n in range(3)]
    places = [parse_address(text).packed for text in ("10.0.0.99:53", "127.0.0.1:4433", "10.0.0.98:4433")]
    prune = Prune(TOPIC, GossipStatus.KNOWN, 60, b"".join(k + p for k, p in zip(known, places, strict=True)), b"")
    roster = link.b.gossip.state.topics[TOPIC].roster

    strangers.sends(prune, number=67)  # it never was near
    assert not roster.claimed
    strangers.sends(Graft(TOPIC))
    strangers.sends(prune)
    assert list(roster.claimed) == [known[2]]
    before = len(link.sent)
    link.settle(20)

    there = link.sent_by("b", to=parse_address("10.0.0.98:4433"), since=before)
    assert {len(one.data) for one in there} == {360}
    assert len(there) <= 3
    assert not roster.claimed


def test_an_echo_of_what_a_member_had_from_us_is_no_merit() -> None:
    link = subscribed()
    strangers = Strangers(link)
    strangers.sends(Graft(TOPIC))
    member = link.b.gossip.state.topics[TOPIC].mesh.members[keys_of(66).key]
    first, second = said(1, link=link), said(2, link=link)
    strangers.sends(Publish(first), number=67)
    strangers.sends(Publish(second), number=67)
    assert (member.brought, member.missed) == (0, 2)

    strangers.sends(Publish(first))  # it crossed ours
    assert member.brought == 1
    link.advance(0.2)
    strangers.sends(Publish(second))
    assert keys_of(66).key in link.b.gossip.state.topics[TOPIC].mesh
    assert member.brought == 1


def test_promises_are_bounded_and_who_breaks_them_is_not_asked_again() -> None:
    link = subscribed()
    strangers = Strangers(link)
    wanted = 0
    for number in range(5):
        ids = b"".join(message_id(b"%d %d" % (number, n)) for n in range(60))
        [answer] = strangers.sends(Have(TOPIC, GossipStatus.KNOWN, ids))
        assert isinstance(answer, Gossiped)
        wanted += len(answer.wanted) // 16
    assert wanted == MAX_OPEN_PROMISES
    link.settle(8)
    [answer] = strangers.sends(Have(TOPIC, GossipStatus.KNOWN, bytes(16)))
    assert isinstance(answer, Gossiped)
    assert answer.wanted == b""
    assert not link.b.gossip.state.promised


def test_a_banned_peer_receives_nothing_and_a_banned_author_is_not_passed_on() -> None:
    link = subscribed()
    strangers = Strangers(link)
    link.b.endpoint.policy = Watching(refused=(link.key("a"), keys_of(7).key))
    before = len(link.sent)

    link.command("b", "publish", {"topic": "chat", "body": b"not for a"})
    strangers.sends(Publish(said(1, link=link)))
    link.settle(10)

    gossip = [m for m in messages(link.sent_by("b", to=A, since=before)) if isinstance(m, Publish | Have | Graft)]
    assert gossip == []
    assert bodies(link, "b") == [b"not for a"]
    assert link.counted("b", "gossip: refused: author is banned") == 1
    assert len(link.b.gossip.state.topics[TOPIC].mesh) == 0


def test_a_peer_without_the_topic_says_so() -> None:
    link = pair().met()
    [answer] = Strangers(link).sends(Graft(TOPIC))
    assert isinstance(answer, Gossiped)
    assert answer.status is GossipStatus.STRANGER
    Strangers(link).sends(Publish(said(1, link=link)))
    assert bodies(link, "b") == []
    assert link.counted("b", "gossip: not subscribed") == 1


def test_who_publishes_more_than_others_take_is_told() -> None:
    link = subscribed()
    for number in range(MESSAGES_PER_AUTHOR_BURST):
        link.ask("a", "publish", {"topic": "chat", "body": b"%d" % number})
    failed = link.fails("a", "publish", {"topic": "chat", "body": b"one more"})
    assert "too many" in failed.message


def test_a_held_subscription_ends_with_its_caller() -> None:
    link = pair().met()
    held = link.ask("b", "subscribe", {"topic": "chat", "hold": True})
    assert link.command("b", "topics")[0]["subscribed"] is True
    link.feed("b", link.b.handle_cancel, held)
    assert link.command("b", "topics") == []
    assert link.fails("b", "unsubscribe", {"topic": "chat"}).code == "not_found"


def test_a_subscription_that_nobody_reads_drops_nothing() -> None:
    """Its messages are events, and `p2pnode topic sub` prints them all: "dropped" would be a lie."""
    link = subscribed()
    link.ask("b", "subscribe", {"topic": "chat", "hold": True})
    for number in range(5):
        link.command("a", "publish", {"topic": "chat", "body": b"message %d" % number})
    link.settle(2)
    assert len(bodies(link, "b")) == 5
    for peer in ("a", "b"):
        [topic] = link.command(peer, "topics")
        assert (topic["seen"], topic["dropped"]) == (5, 0)


def test_subscribe_and_unsubscribe_by_command() -> None:
    link = subscribed()
    link.command("b", "subscribe", {"topic": "chat"})  # again: as if once
    link.command("b", "unsubscribe", {"topic": "chat"})
    link.settle(3)
    assert link.command("b", "topics") == []
    assert link.command("a", "topics")[0]["mesh"] == 0
    assert link.command("a", "publish", {"topic": "chat", "body": b"alone"})["peers"] == 0


@attrs.define(eq=False)
class Chat(App):
    heard: list[tuple[bytes, bytes]] = attrs.Factory(list)
    name = "chat"

    async def run(self, ctx: AppContext) -> None:
        async for one in ctx.subscribe("chat"):
            self.heard.append((one.author_id, one.body))
            if one.body == b"end":
                return


def test_an_application_hears_its_topic_and_is_out_of_it_when_it_ends() -> None:
    chat = Chat()
    link = pair(apps_b=[chat]).met()
    link.settle(5)
    for body in (b"one", b"end"):
        assert link.command("a", "publish", {"topic": "chat", "body": body})["peers"] == 1
        link.settle(2)
    assert chat.heard == [(link.a.id, b"one"), (link.a.id, b"end")]
    assert link.command("b", "topics") == []
