"""Two nodes with copies of one key hear of each other, and nobody else makes them believe it."""

from __future__ import annotations

import pytest

from overlay.events import KeyElsewhere
from overlay.identity.network import Network
from overlay.limits import BARE_PING
from overlay.runtime.address import Address, parse_address
from overlay.wire import messages as m
from tests.support.pair import ELSEWHERE, REALM, A, B, Pair, Stranger, keys_of, make_peer, messages, pair

PRIVATE = Network("pair", puzzle_bits=0, psk=bytes(32))
NAMED = parse_address("10.0.0.77:4433")


def twins(network: Network = REALM) -> Pair:
    link = pair(network=network)
    link.replace("b", make_peer(1, network=network, life=1))
    link.settle(1)
    return link


def told(link: Pair) -> list[tuple[str, Address]]:
    return [(side, parse_address(event.address)) for side, event in link.events if isinstance(event, KeyElsewhere)]


@pytest.mark.parametrize("network", [Network("pair", puzzle_bits=0), PRIVATE], ids=["public", "private"])
def test_a_word_from_one_tells_both(network: Network) -> None:
    link = twins(network)
    link.fails("a", "ping", {"peer": str(B)})
    assert told(link) == [("b", A), ("a", B)]
    assert link.counted("a", "dropped: own key elsewhere") == 1


def test_it_is_told_once_in_ten_minutes() -> None:
    link = twins()
    for _ in range(3):
        link.fails("a", "ping", {"peer": str(B)})
    before = len(link.sent)
    assert len(told(link)) == 2
    link.advance(600)
    link.fails("a", "ping", {"peer": str(B)})
    assert len(told(link)) == 4
    answers = [one for one in link.sent[before:] if one.side == "b" and one.to == A]
    assert len(answers) == 1
    assert len(answers[0].data) <= BARE_PING, "one PING, whoever sends how much from there"


def test_what_it_said_itself_comes_back_and_is_no_twin() -> None:
    link = pair().met()
    link.command("a", "ping", {"peer": str(B)})
    for one in link.sent_by("a"):
        link.inject("a", ELSEWHERE, one.data)
    assert told(link) == []
    assert link.counted("a", "dropped: own") == len(link.sent_by("a"))


def test_what_an_earlier_life_said_is_no_twin() -> None:
    link = pair().met()
    link.command("a", "ping", {"peer": str(B)})
    said = [one.data for one in link.sent_by("a")]
    link.replace("a", make_peer(1, storage=link.a.journal.storage, life=1))
    for data in said:
        link.inject("a", ELSEWHERE, data)
    assert told(link) == []


def test_who_cannot_sign_with_the_key_is_no_twin() -> None:
    link = pair()
    twin = Stranger(link, keys=keys_of(1), stamp=1 << 60)
    data = twin.datagram(m.Ping(), to=None)
    for place in (len(data) - 1, len(data) // 2):
        forged = bytearray(data)
        forged[place] ^= 1
        assert twin.send(bytes(forged), side="a") == []
    assert told(link) == []
    assert twin.send(data, side="a") != []
    assert told(link) == [("a", ELSEWHERE)]


def test_it_gets_no_more_bytes_than_it_sent() -> None:
    """Whoever copied what a twin said sends it from a bystander's address."""
    link = pair()
    twin = Stranger(link, keys=keys_of(1), stamp=1 << 60)
    data = twin.datagram(m.Ping(), to=None)
    assert sum(len(one.data) for one in twin.send(data, side="a")) <= len(data)


# --- by the word of a third --------------------------------------------------------------------


def name(link: Pair, address: Address) -> None:
    """b says to a that a is there."""
    named = link.a.endpoint.book.contact(link.key("a"), address)
    nodes = m.Nodes(bytes(16), 1, named.packed, b"")
    link.feed("a", lambda now: link.a.dht.learn(nodes, link.a.table.contacts()[0]))


def test_a_third_tells_each_where_the_other_is() -> None:
    """b knows the first of two with one key; the other asks b who is near, as all who join do."""
    link = pair().met()
    twin = Stranger(link, keys=keys_of(1), address=NAMED)
    same = Stranger(link, keys=keys_of(1), address=A, stamp=1 << 60)
    named = [
        contact.address
        for one in (twin, same)
        for message in messages(one.send(one.datagram(m.FindNode(link.a.id, 3), token=one.token())))
        if isinstance(message, m.Nodes)
        for contact in link.b.endpoint.book.named(message.v4, message.v6)
    ]
    assert named == [A], "the twin hears of a, and a is not told of itself"


def test_where_it_is_named_it_asks_once() -> None:
    link = pair().met()
    before = len(link.sent)
    for address in (NAMED, NAMED, ELSEWHERE):
        name(link, address)
    assert [one.to for one in link.sent_by("a", since=before)] == [NAMED]
    assert told(link) == []


def test_nobody_is_asked_who_cannot_be_meant() -> None:
    """A low port; loopback, by the word of somebody on the LAN."""
    link = pair().met()
    before = len(link.sent)
    for address in ("10.0.0.77:53", "127.0.0.1:4433"):
        name(link, parse_address(address))
    assert link.sent_by("a", since=before) == []
