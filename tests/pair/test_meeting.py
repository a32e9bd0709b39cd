"""Two peers find each other, keep to their network, and part."""

from __future__ import annotations

import pytest

from overlay.events import PeerLost, PeerSeen
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.limits import BARE_PING
from overlay.runtime.address import Address
from overlay.runtime.ports import Interface, Ok
from overlay.wire import messages as m
from overlay.wire.registry import Kind
from tests.support.pair import A, B, Pair, Stranger, make_peer, messages, opened, pair

PRIVATE = Network("private", puzzle_bits=0, psk=bytes(32))


def listed(link: object, side: str) -> list[str]:
    return [row["id"] for row in link.command(side, "peers")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("network", [Network("pair", puzzle_bits=0), PRIVATE], ids=lambda network: network.name)
def test_one_ping_is_enough_for_both_to_know_each_other(network: Network) -> None:
    link = pair(network=network)
    link.command("a", "ping", {"peer": str(B)})
    assert listed(link, "a") == [link.id_text("b")]
    assert listed(link, "b") == [link.id_text("a")]
    assert [event.moved for _, event in link.events if isinstance(event, PeerSeen)] == [False, False]


def test_what_is_sent_at_first_contact() -> None:
    link = pair()
    link.ask("a", "ping", {"peer": str(B)})
    link.deliver_all()
    assert [type(message).__name__ for message in messages(link.sent)] == ["Ping", "Pong", "Ping", "Pong"]
    assert [len(one.data) for one in link.sent][2] == BARE_PING


@pytest.mark.parametrize(
    "other",
    [
        Network("other", puzzle_bits=0),
        Network("pair", puzzle_bits=1),
        Network("pair", puzzle_bits=0, params=(("x", 1),)),
        Network("pair", puzzle_bits=0, psk=bytes(32)),
    ],
    ids=["name", "puzzle", "parameters", "key"],
)
def test_a_node_of_another_network_is_never_listed_and_gets_no_answer(other: Network) -> None:
    link = pair()
    link.replace("b", make_peer(2, network=other, life=1))
    link.settle(1)
    for side, to in (("a", B), ("b", A)):
        assert link.fails(side, "ping", {"peer": str(to)}).code == "timed_out"
        assert listed(link, side) == []
        assert link.command(side, "table")["buckets"][0]["contacts"] == []
    assert {kind for one in link.sent for kind in _kinds(one.data, (link.a.endpoint.network, other))} == {Kind.PING}


def _kinds(data: bytes, networks: tuple[Network, ...]) -> list[Kind | None]:
    kinds = []
    for network in networks:
        try:
            kinds.append(opened(data, network=network)[0].kind)
        except Exception:
            continue
    return kinds


def test_who_has_another_key_of_a_private_network_gets_no_byte() -> None:
    link = pair(network=PRIVATE)
    stranger = Stranger(link, network=Network("private", puzzle_bits=0, psk=b"k" * 32))
    plain = Stranger(link, network=Network("private", puzzle_bits=0))
    for message in (m.Ping(), m.FindNode(bytes(32), 3), m.FindValue(bytes(32), 3), m.DialBack(), m.Leave()):
        for one in (stranger, plain):
            for to in ("b", None):
                assert one.send(one.datagram(message, to=to, padded=True)) == []
    assert listed(link, "b") == []


def test_a_key_without_the_puzzle_is_served_and_not_listed() -> None:
    network = Network("hard", puzzle_bits=24)
    link = pair(network=network)
    stranger = Stranger(link, network=network)
    [answer] = messages(stranger.send(stranger.datagram(m.Ping(), padded=True)), network=network)
    assert isinstance(answer, m.Pong)
    assert answer.role == m.Role.CLIENT, "b's own key does not solve it either"
    assert listed(link, "b") == []


def test_it_does_not_talk_to_itself() -> None:
    link = pair()
    assert link.fails("a", "ping", {"peer": str(A)}).code == "timed_out"
    assert link.counted("a", "dropped: own") > 0
    assert listed(link, "a") == []


# --- addresses -------------------------------------------------------------------------------


def test_a_contact_follows_its_key_to_another_address() -> None:
    link = pair().met()
    link.addresses["a"] = moved = Address(bytes((10, 0, 0, 9)), 5000)
    link.feed("a", link.a.handle_network, (Interface(moved.ip, 24),))
    link.settle(30)
    [contact] = link.b.table.contacts()
    assert (contact.key, contact.address) == (link.key("a"), moved)
    assert link.b.meeting.known(contact.id) is contact


def test_who_moved_is_answered_although_its_token_is_void() -> None:
    link = pair().met()
    link.addresses["a"] = Address(bytes((10, 0, 0, 9)), 5000)
    assert link.command("a", "ping", {"peer": link.id_text("b")}, seconds=1)["id"] == link.id_text("b")


def test_after_a_restart_of_the_other_it_is_answered_although_its_token_is_void() -> None:
    link = pair().met()
    link.replace("b", make_peer(2, life=1))  # on an empty disk: it knows nobody
    assert link.command("a", "ping", {"peer": link.id_text("b")}, seconds=1)["id"] == link.id_text("b")


def test_a_request_from_elsewhere_moves_nobody_who_answers_where_he_was() -> None:
    """py-ipv8: a replayed packet moved the address of its signer."""
    link = pair().met()
    before = len(link.sent)
    asked = link.ask("a", "ping", {"peer": link.id_text("b")})
    mallory = Address(bytes((10, 0, 0, 66)), 4433)
    link.inject("b", mallory, link.drop().data)
    for _ in range(1000):
        while link.wire:  # mallory answers nothing
            link.deliver()
        link.advance(0.01)
    assert link.results["a", asked] is not None
    assert [row["address"] for row in link.command("b", "peers")] == [str(A)]
    to_mallory = [one for one in link.sent[before:] if one.to == mallory]
    assert sum(len(one.data) for one in to_mallory) <= 160


def run_relayed(link: Pair, mallory: Address, seconds: float) -> None:
    """Whatever is sent to mallory reaches the other one from there."""
    for _ in range(round(seconds * 20)):
        while link.wire:
            one = link.drop()
            if one.to == mallory:
                link.inject("a" if one.side == "b" else "b", mallory, one.data)
            else:
                link.inject("b" if one.to == B else "a", one.source, one.data)
        link.advance(0.05)


def test_who_relays_between_two_does_not_become_the_address_of_one() -> None:
    """Her address works and is not his: named in a NODES, she could be his address to all his friends."""
    link = pair().met()
    mallory = Address(bytes((10, 0, 0, 66)), 4433)
    false = link.a.endpoint.book.contact(link.key("b"), mallory)
    link.a.endpoint.request(false, m.FindNode(bytes(32), 1), on_reply=lambda *_: None, on_failed=lambda: None)
    link.feed("a", link.a.handle_timer)
    run_relayed(link, mallory, 100)
    state = link.a.endpoint.peers.get(false)
    assert state is not None
    assert state.answered_ns > 0, "or this shows nothing"
    assert [str(contact.address) for contact in link.a.table.contacts()] == [str(B)]
    assert not any(event.moved for _, event in link.events if isinstance(event, PeerSeen))
    assert link.a.meeting.known(node_id_of(link.key("b"))) is link.a.table.contacts()[0]


# --- goodbye ---------------------------------------------------------------------------------


def test_goodbye() -> None:
    link = pair().met()
    assert link.command("a", "leave") == {"told": 1}
    link.deliver_all()
    assert [event.reason for _, event in link.events if isinstance(event, PeerLost)] == ["left"]
    assert link.command("b", "table")["buckets"][0]["contacts"] == []


@pytest.mark.parametrize("seconds", [0, 5, 29, 31, 70])
def test_an_old_goodbye_is_worth_nothing_once_its_sender_is_back(seconds: int) -> None:
    link = pair().met()
    link.ask("a", "leave")
    [goodbye] = link.wire
    link.deliver_all()
    assert len(link.b.table) == 0
    link.settle(3)  # it did not end after all (stamps.give_back)
    link.command("a", "ping", {"peer": str(B)})
    assert len(link.b.table) == 1
    link.settle(seconds)
    link.inject("b", A, goodbye.data)
    assert len(link.b.table) == 1
    assert link.counted("b", "dropped: stale") == 1


def test_goodbye_from_another_address_is_not_believed() -> None:
    link = pair().met()
    link.ask("a", "leave")
    goodbye = link.drop()
    link.inject("b", Address(bytes((10, 0, 0, 66)), 4433), goodbye.data)
    assert len(link.b.table) == 1


def test_a_key_is_found_by_the_whole_id_by_its_beginning_and_by_its_key() -> None:
    link = pair().met()
    whole = link.id_text("b")
    for text in (whole, whole[:9], link.key("b").hex()):
        assert link.command("a", "ping", {"peer": text})["id"] == whole
    assert link.fails("a", "ping", {"peer": node_id_of(b"x").hex()}).code == "not_found"
    assert isinstance(link.outcome("a", "status"), Ok)
