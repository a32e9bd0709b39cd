"""Sizes of publications, conduct by key, rosters, subscriptions."""

from __future__ import annotations

import pytest

from overlay.errors import BadMessage, LocalError
from overlay.gossip.conduct import Conducts
from overlay.gossip.mesh import Member, Mesh
from overlay.gossip.promises import Promises
from overlay.gossip.roster import Roster
from overlay.gossip.topic import Delivered, Subscription, Topic
from overlay.identity.keys import verify
from overlay.identity.network import Context
from overlay.identity.node_id import node_id_of
from overlay.limits import (
    MAX_CONDUCTS,
    MAX_DATAGRAM,
    MAX_HAVE,
    MAX_KNOWN_SUBSCRIBERS,
    MAX_LARGE_BODY,
    MAX_LOST_SUBSCRIBERS,
    MAX_PASSED_ON,
    MAX_PLAIN_DATAGRAM,
    MAX_PUBLISH_BODY,
    MAX_SUBSCRIPTION_BYTES,
    MAX_TOPIC,
    MESH_LOW,
)
from overlay.rpc.contact import ContactBook
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND
from overlay.runtime.queue import Queue
from overlay.wire import cbor, cose
from overlay.wire import gossip as g
from overlay.wire.envelope import encode_envelope
from overlay.wire.publication import body_digest, decode_publication, encode_publication, room_for
from overlay.wire.registry import GossipStatus, Kind
from overlay.wire.seal import seal
from tests.vectors import cases as c

BOOK = ContactBook()
CONTACTS = [BOOK.contact(n.to_bytes(32, "big"), Address(bytes((10, 0, n >> 8, n & 255)), 4433)) for n in range(200)]
LAST = (1 << 64) - 1


def datagram(message: g.Publish | g.Have | g.Gossiped) -> bytes:
    """As long as it can be."""
    return encode_envelope(c.ALICE, c.PRIVATE, message.KIND, c.REQUEST_ID, LAST, c.TO, c.TOKEN, message.encode_body())


@pytest.mark.parametrize(
    ("topic", "room"),
    [("c", 900), ("eleven char", 900), ("x" * 12, 899), ("x" * 24, 886), ("ü" * 16, 878), ("x" * 64, 846)],
)
def test_the_longest_body_of_a_topic_fits_into_a_datagram_sealed_or_not(topic: str, room: int) -> None:
    assert room_for(topic) == room
    inner = encode_publication(c.ALICE, c.PRIVATE, topic, LAST, bytes(room))
    assert decode_publication(inner, c.PRIVATE, verify).body == bytes(room)

    data = datagram(g.Publish(inner))

    assert len(data) == MAX_PLAIN_DATAGRAM if room < MAX_PUBLISH_BODY else len(data) <= MAX_PLAIN_DATAGRAM
    assert len(seal(bytes(32), data, lambda n: bytes(n))) <= MAX_DATAGRAM


@pytest.mark.parametrize(("topic", "room"), [("chat", 900), ("x" * MAX_TOPIC, 846)])
def test_a_longer_body_is_announced_and_its_announcement_is_short(topic: str, room: int) -> None:
    for size in (room + 1, MAX_LARGE_BODY):
        inner = encode_publication(c.ALICE, c.PRIVATE, topic, LAST, bytes(size))
        assert len(datagram(g.Publish(inner))) < 400
        publication = decode_publication(inner, c.PRIVATE, verify)
        assert (publication.body, publication.size) == (b"", size)
        assert publication.digest == body_digest(bytes(size))


def test_a_body_that_is_too_long_is_refused_with_the_way_out() -> None:
    with pytest.raises(LocalError, match=r"1048577 bytes, a message at most 1048576: share a file"):
        encode_publication(c.ALICE, c.PUBLIC, "chat", 1, bytes(MAX_LARGE_BODY + 1))


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([bytes(32), 900], id="it fits into a datagram"),
        pytest.param([bytes(32), MAX_LARGE_BODY + 1], id="too long"),
        pytest.param([bytes(31), 1000], id="no hash"),
        pytest.param([bytes(32)], id="no length"),
        pytest.param([bytes(32), 1000, 1], id="something more"),
        pytest.param([bytes(32), True], id="no number"),
        pytest.param(bytes(901), id="too long for a datagram"),
        pytest.param(None, id="nothing"),
    ],
)
def test_an_announcement_that_no_peer_makes(said: object) -> None:
    inner = cose.sign1(c.ALICE, c.PUBLIC.aad(Context.PUBLISH), cbor.encode(["chat", 1, said]))
    with pytest.raises(BadMessage):
        decode_publication(inner, c.PUBLIC, verify)


@pytest.mark.parametrize("topic", ["", " chat", "a\nb", "x" * 65, "ü" * 33])
def test_not_a_topic(topic: str) -> None:
    with pytest.raises(LocalError, match="not a topic"):
        encode_publication(c.ALICE, c.PUBLIC, topic, 1, b"")


def test_a_publication_of_another_network_or_context_is_not_valid() -> None:
    with pytest.raises(BadMessage, match="signature"):
        decode_publication(encode_publication(c.ALICE, c.PRIVATE, "chat", 1, b""), c.PUBLIC, verify)
    with pytest.raises(BadMessage):
        decode_publication(c.RECORD, c.PUBLIC, verify)


def test_a_full_have_and_its_answers_fit() -> None:
    full = bytes(16 * MAX_HAVE)
    datagram(g.Have(c.TOPIC, GossipStatus.MESH, full))
    datagram(g.Gossiped(c.TOKEN, GossipStatus.MESH, 3600, full, b"", b""))
    datagram(g.Gossiped(c.TOKEN, GossipStatus.MESH, 3600, b"", b"", bytes(50 * MAX_PASSED_ON)))
    assert Kind.GOSSIP.needs_token


def test_conduct_is_remembered_by_key_and_worse_the_second_time() -> None:
    conducts, now_ns = Conducts(), 0
    key = c.ALICE.key
    conducts.offence(key, now_ns)
    assert not conducts.good(key, 119 * SECOND)
    assert conducts.good(key, 120 * SECOND)
    conducts.offence(key, 120 * SECOND)
    assert not conducts.good(key, (120 + 239) * SECOND)
    assert conducts.good(key, 360 * SECOND)
    # An hour of silence later one of the two is forgiven.
    conducts.offence(key, (360 + 3600) * SECOND)
    assert conducts.good(key, (360 + 3600 + 120) * SECOND)
    for n in range(MAX_CONDUCTS + 5):
        conducts.offence(n.to_bytes(32, "big"), now_ns)
    assert len(conducts) == MAX_CONDUCTS


def test_the_places_of_promises_are_shared_by_those_who_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.gossip.promises.MAX_WANTED", 20)
    promises = Promises()

    def take(key: bytes, *numbers: int) -> list[int]:
        return [one[0] for one in promises.take(key, [bytes([number]) for number in numbers], 0)]

    assert take(b"a", *range(30)) == list(range(20))
    # Who has most gives half of what it has more, what it was asked for first before the rest; one by one.
    assert take(b"b", 100) == [100]
    assert not promises.kept(bytes([0]), b"a")
    assert take(b"b", 101) == [101]
    assert take(b"c", *range(110, 130)) == list(range(110, 119))
    assert len(promises) == 20
    # Who is asked again because the answer was lost takes no other place, and what another one promised is not asked.
    assert take(b"b", 100, 19) == [100]
    assert (len(promises), promises.largest_share) == (20, 9)
    assert [one[0] for one, key in promises.over(1 << 62) if key == b"a"] == list(range(11, 20))
    assert not promises


def test_promises_are_broken_by_loss_now_and_then_and_by_liars_always() -> None:
    conducts = Conducts()
    for n in range(100):  # 20 % loss
        conducts.broke(b"honest", 0) if n % 5 == 0 else conducts.kept(b"honest")
    for _ in range(8):
        conducts.broke(b"liar", 0)
    assert conducts.good(b"honest", 0)
    assert not conducts.good(b"liar", 0)


def test_a_roster_is_bounded_and_prefers_those_who_said_so_themselves() -> None:
    roster = Roster()
    for contact in CONTACTS[:100]:
        roster.claim(contact)
    for contact in CONTACTS[100:]:
        roster.confirm(contact)
    assert (len(roster.claimed), len(roster.known)) == (MAX_KNOWN_SUBSCRIBERS, MAX_KNOWN_SUBSCRIBERS)
    first = roster.candidates(Rng(1))[:MAX_KNOWN_SUBSCRIBERS]
    assert {contact.key for contact in first} == set(roster.known)
    for contact in CONTACTS:
        roster.fell_silent(contact)
    assert len(roster) == 0
    # A claim that never came true is forgotten, whoever said so itself is asked later.
    assert len(roster.lost) == MAX_LOST_SUBSCRIBERS
    roster.confirm(CONTACTS[199])
    assert CONTACTS[199].key not in roster.lost
    # Who said that it does not subscribe is not asked because others claim that it does.
    roster.forget(CONTACTS[199].key)
    roster.claim(CONTACTS[199])
    assert len(roster) == 0
    for contact in CONTACTS:
        roster.forget(contact.key)
    assert len(roster.left) == MAX_KNOWN_SUBSCRIBERS


def test_silence_at_an_old_address_is_no_silence() -> None:
    roster, old = Roster(), CONTACTS[0]
    moved = BOOK.contact(old.key, Address(bytes((10, 9, 9, 9)), 4433))
    roster.confirm(old)
    roster.confirm(moved)
    roster.fell_silent(old)
    assert roster.known == {old.key: moved}
    assert not roster.lost
    roster.fell_silent(moved)
    assert roster.lost == {old.key: moved}


def test_who_comes_back_is_known_since_when_it_was_away() -> None:
    topic = Topic("chat", bytes(32))
    for contact in CONTACTS[:50]:
        topic.confirm(contact)
        topic.mesh.members[contact.key] = Member(contact, True, 0, 7 * SECOND)
        topic.fell_silent(contact, 5 * SECOND)
    assert not topic.mesh.members
    assert len(topic.silent_since) <= MAX_LOST_SUBSCRIBERS
    topic.fell_silent(CONTACTS[49], 90 * SECOND)  # still: asked in vain
    topic.confirm(CONTACTS[49])
    topic.confirm(CONTACTS[0])  # away too long, and forgotten
    topic.confirm(CONTACTS[100])  # never was away
    assert topic.back == {CONTACTS[49].key: (CONTACTS[49], 7 * SECOND)}
    topic.fell_silent(CONTACTS[49], 95 * SECOND)
    assert not topic.back


def test_a_silent_member_counts_for_nothing() -> None:
    mesh, now_ns = Mesh(), 100 * SECOND
    mesh.members = {
        contact.key: Member(contact, True, 0, 0, brought=0, missed=50) for contact in CONTACTS[: MESH_LOW + 1]
    }
    assert len(mesh.silent(now_ns)) == MESH_LOW + 1
    assert mesh.wanted(now_ns) == 2
    for member in mesh.members.values():
        member.brought = 1
    assert mesh.wanted(now_ns) == 0


async def _read(subscription: Subscription, into: list[bytes]) -> None:
    async for delivered in subscription:
        into.append(delivered.body)


def test_a_slow_reader_loses_the_oldest_and_knows_how_many() -> None:
    loop, closed = Loop(), []
    subscription = Subscription("chat", Queue(loop, 3), closed.append)
    for n in range(5):
        subscription.deliver(Delivered(node_id_of(c.ALICE.key), c.ALICE.key, "chat", n, b"%d" % n))
    assert (len(subscription), subscription.dropped) == (3, 2)
    subscription.close()
    subscription.close()
    subscription.deliver(Delivered(b"", b"", "chat", 9, b"9"))
    bodies: list[bytes] = []
    loop.spawn_root(_read(subscription, bodies), name="reader")
    loop.drain()
    assert bodies == [b"2", b"3", b"4"]
    assert closed == [subscription]


def test_a_slow_reader_lets_so_many_bytes_wait() -> None:
    loop = Loop()
    subscription = Subscription("chat", Queue(loop, 256), lambda _: None)
    large = bytes(MAX_LARGE_BODY)
    fit = MAX_SUBSCRIPTION_BYTES // len(large)
    for n in range(fit + 3):
        subscription.deliver(Delivered(b"", b"", "chat", n, large))
    assert (len(subscription), subscription.dropped, subscription.waiting) == (fit, 3, fit * len(large))
    subscription.deliver(Delivered(b"", b"", "chat", 99, b""))
    assert len(subscription) == fit + 1
    into: list[bytes] = []
    loop.spawn_root(_read(subscription, into), name="reader")
    loop.drain()
    assert len(into) == fit + 1
    assert subscription.waiting == 0
