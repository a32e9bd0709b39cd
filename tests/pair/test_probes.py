"""Whom a peer turns to because somebody named him, and how often."""

from __future__ import annotations

import pytest

from overlay.dht.lookup import start_lookup
from overlay.identity.node_id import node_id_of
from overlay.limits import LOOKUP_DEADLINE_S, PADDED_FIND, PROBES_PER_GROUP, PROBES_PER_S, TRIES, K
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import SECOND
from overlay.wire import messages as m
from tests.support.pair import B, Pair, Stranger, keys_of, messages, opened, pair

TARGET = bytes(32)


def named(link: Pair, contacts: list[Address], *, keys: int = 500, referrer: Address = B) -> list[Address]:
    """b (or whoever lives at `referrer`) names these to a in answer to a lookup; where a's questions went."""
    liar = Stranger(link, keys=keys_of(2), address=referrer)
    v4 = b"".join(keys_of(keys + i).key + at.packed for i, at in enumerate(contacts) if at.is_v4)
    v6 = b"".join(keys_of(keys + i).key + at.packed for i, at in enumerate(contacts) if not at.is_v4)
    before = len(link.sent)
    link.ask("a", "lookup", {"key": TARGET.hex()})
    [question] = [one for one in link.wire if one.to == referrer]
    reply = m.Nodes(bytes(8), 1, v4, v6)
    link.wire.clear()
    request_id = opened(question.data)[0].request_id
    link.inject("a", referrer, liar.datagram(reply, to="a", request_id=request_id, stamp=1 << 50))
    link.wire.clear()
    for _ in range(30):
        link.advance(1)
        link.wire.clear()
    return [
        one.to
        for one in link.sent_by("a", since=before)
        if one.to != referrer and isinstance(messages([one])[0], m.FindNode)
    ]


@pytest.mark.parametrize(
    "address",
    ["224.0.0.251:5353", "255.255.255.255:4433", "240.1.1.1:4433", "0.0.0.0:4433", "127.0.0.1:4433", "169.254.1.1:4433",
     "10.0.0.9:1023", "10.0.0.9:0", "62.1.2.3:53", "[ff02::fb]:5353", "[::1]:4433", "[fe80::1]:4433", "[::]:4433"],
)  # fmt: skip
def test_odd_addresses_are_never_asked(address: str) -> None:
    link = pair().met()
    assert named(link, [parse_address(address)] * 2) == []
    assert link.counted("a", "contacts refused") == 2


@pytest.mark.parametrize("address", ["10.0.0.9:4433", "192.168.7.7:4433", "100.64.0.9:4433"])
def test_a_private_address_is_asked_on_the_word_of_a_neighbour_only(address: str) -> None:
    link = pair().met()
    assert named(link, [parse_address(address)]) == [parse_address(address)] * TRIES
    link = pair()
    link.addresses["b"] = far = parse_address("60.1.2.3:4433")
    link.command("a", "ping", {"peer": str(far)})
    assert named(link, [parse_address(address)], referrer=far) == []


def test_it_does_not_ask_itself() -> None:
    link = pair().met()
    itself = link.a.endpoint.book.contact(keys_of(1).key, B)
    nodes = m.Nodes(bytes(8), 1, itself.packed, b"")
    assert link.a.dht.learn(nodes, link.a.table.contacts()[0]) == []


@pytest.mark.parametrize("victim", ["62.1.2.3:4433", "10.0.0.9:4433"])
def test_one_answer_sends_little_to_one_place(victim: str) -> None:
    asked = named(pair().met(), [parse_address(victim)] * K)
    assert 0 < len(asked) <= PROBES_PER_GROUP * TRIES


def test_one_answer_sends_little_to_one_network() -> None:
    asked = named(pair().met(), [Address(bytes((62, 1, 2, 1 + i)), 4433) for i in range(K)])
    assert 0 < len(asked) <= PROBES_PER_GROUP * TRIES


def test_those_of_a_network_who_answered_once_do_not_count() -> None:
    """A small network in one rack can be learnt all the same."""
    link = pair().met()
    book = link.a.endpoint.book
    rack = [book.contact(keys_of(500 + i).key, Address(bytes((62, 1, 2, 1 + i)), 4433)) for i in range(9)]
    nodes = m.Nodes(bytes(8), 1, b"".join(contact.packed for contact in rack), b"")
    referrer = link.a.table.contacts()[0]
    learnt: list[int] = []
    for _ in range(4):
        found = link.a.dht.learn(nodes, referrer)
        learnt.append(len(found))
        for contact in found:
            link.a.endpoint.peers.answered(contact, link.now.mono_ns, None)
    assert learnt == [3, 6, 9, 9]


def test_a_lan_is_learnt_at_once() -> None:
    link = pair().met()
    book = link.a.endpoint.book
    lan = [book.contact(keys_of(500 + i).key, Address(bytes((10, 0, 0, 10 + i)), 4433)) for i in range(K)]
    one_machine = [book.contact(keys_of(600 + i).key, Address(bytes((10, 0, 0, 9)), 5000 + i)) for i in range(K)]
    for contacts in (lan, one_machine):
        nodes = m.Nodes(bytes(8), 1, b"".join(contact.packed for contact in contacts), b"")
        assert len(link.a.dht.learn(nodes, link.a.table.contacts()[0])) == K


def test_what_a_lookup_sends_to_a_victim_in_all() -> None:
    link = pair().met()
    before = len(link.sent)
    named(link, [Address(bytes((62, 1, 2, 3)), 2000 + i) for i in range(K)])
    sent = sum(len(one.data) for one in link.sent_by("a", since=before) if one.to.ip == bytes((62, 1, 2, 3)))
    assert sent <= PROBES_PER_GROUP * TRIES * PADDED_FIND


def test_strangers_who_ask_are_pinged_once_a_second_each_and_so_many_in_all() -> None:
    link = pair()
    sent = 0
    for i in range(PROBES_PER_S + 40):
        stranger = Stranger(link, keys=keys_of(3000 + i % 20), address=Address(bytes((10, 1, i >> 8, i & 255)), 4433))
        for _ in range(3):
            sent += sum(
                isinstance(x, m.Ping) for x in messages(stranger.send(stranger.datagram(m.Ping(), padded=True)))
            )
    assert sent == PROBES_PER_S


@pytest.mark.parametrize("name", ["lookup", "get", "providers"])
def test_a_lookup_that_is_led_on_slowly_ends_at_its_deadline(name: str) -> None:
    """Each of many answers after a second and names one who is a little nearer."""
    link = pair().met().aged("a")
    asked = link.ask("a", name, {"key": TARGET.hex()})
    begun_ns, seen = link.now.mono_ns, len(link.sent) - 1
    chain = sorted((keys_of(5000 + i) for i in range(150)), key=lambda keys: node_id_of(keys.key), reverse=True)
    places = {Address(bytes((10, 0, 2, i)), 4433): i for i in range(len(chain))}
    while ("a", asked) not in link.results:
        assert link.now.mono_ns - begun_ns <= 2 * (LOOKUP_DEADLINE_S + 1) * SECOND
        for one in link.sent[seen:]:
            place = places.get(one.to, -1 if one.to == B else None)
            if place is None or place + 1 == len(chain) or one.side != "a":
                continue
            liar = Stranger(link, keys=chain[place] if place >= 0 else keys_of(2), address=one.to, stamp=1 << 50)
            following = chain[place + 1].key + Address(bytes((10, 0, 2, place + 1)), 4433).packed
            envelope, question = opened(one.data)
            if isinstance(question, m.Ping):
                continue
            reply = m.Nodes(bytes(8), 1, following, b"")
            link.inject("a", one.to, liar.datagram(reply, to="a", request_id=envelope.request_id))
        link.wire.clear()
        seen = len(link.sent)
        link.advance(0.4)
    lookups = 2 if name == "get" else 1  # and its retry
    assert link.now.mono_ns - begun_ns <= lookups * (LOOKUP_DEADLINE_S + 1) * SECOND
    assert link.now.mono_ns - begun_ns >= (LOOKUP_DEADLINE_S - 1) * SECOND, "or this shows nothing"


def test_a_lookup_from_an_empty_table_ends_at_once() -> None:
    link = pair()
    assert link.command("a", "lookup", {"key": TARGET.hex()}, seconds=0.1)["closest"] == []
    assert start_lookup(link.a.dht, 0, m.FindNode(TARGET, 3)).shortlist.finished()
