"""simulations.nat: who gets in through which box, from which address, and for how long (RFC 4787)."""

from __future__ import annotations

import pytest

from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from simulations.nat import EXPIRE_NS, Gateway, Nat
from simulations.network import Link, Network

BOX = bytes((90, 0, 0, 1))
INSIDE = parse_address("192.168.0.2:4433")
#: Two ports of one address, and another address.
A, A2, B = (parse_address(text) for text in ("20.0.0.1:1000", "20.0.0.1:2000", "30.0.0.1:1000"))


@pytest.mark.parametrize(
    ("nat", "let_in"),
    [
        (Nat.FULL_CONE, [A, A2, B]),
        (Nat.RESTRICTED, [A, A2]),
        (Nat.PORT_RESTRICTED, [A]),
        (Nat.SYMMETRIC, [A]),
    ],
)
def test_who_gets_in_after_one_datagram_went_out(nat: Nat, let_in: list[Address]) -> None:
    gateway = Gateway(BOX, nat)
    outside = gateway.outbound(7, INSIDE, A, 0)
    assert outside is not None
    assert [who for who in (A, A2, B) if gateway.inbound(outside.port, who, 1) == 7] == let_in
    assert gateway.inbound(outside.port + 1, A, 1) is None


@pytest.mark.parametrize("nat", Nat)
def test_only_symmetric_ones_map_by_destination(nat: Nat) -> None:
    gateway = Gateway(BOX, nat)
    seen = [gateway.outbound(7, INSIDE, to, 0) for to in (A, A2, B, A)]
    assert len(set(seen)) == (3 if nat is Nat.SYMMETRIC else 1)
    assert seen[0] == seen[3]


@pytest.mark.parametrize("nat", Nat)
def test_a_mapping_ends_two_minutes_after_the_last_datagram_out(nat: Nat) -> None:
    gateway = Gateway(BOX, nat)
    first = gateway.outbound(7, INSIDE, A, 0)
    assert gateway.outbound(7, INSIDE, A, EXPIRE_NS - 1) == first
    assert first is not None
    assert gateway.inbound(first.port, A, 2 * EXPIRE_NS - 2) == 7, "refreshed from inside"
    assert gateway.inbound(first.port, A, 2 * EXPIRE_NS - 1) is None, "and not from outside"
    assert gateway.outbound(7, INSIDE, A, 2 * EXPIRE_NS) != first


def test_who_was_not_sent_to_for_long_is_shut_out_of_a_mapping_that_lives() -> None:
    gateway = Gateway(BOX, Nat.PORT_RESTRICTED)
    outside = gateway.outbound(7, INSIDE, A, 0)
    assert outside is not None
    gateway.outbound(7, INSIDE, B, EXPIRE_NS // 2)
    assert gateway.inbound(outside.port, A, EXPIRE_NS) is None
    assert gateway.inbound(outside.port, B, EXPIRE_NS) == 7


def test_what_expired_is_forgotten() -> None:
    gateway = Gateway(BOX, Nat.SYMMETRIC, expire_ns=SECOND)
    for i in range(5000):
        gateway.outbound(7, INSIDE, Address(bytes((20, 0, i // 250, i % 250)), 1), i * SECOND // 10)
    assert len(gateway) < 100
    assert len(gateway._by_port) == len(gateway)


def network(nat: Nat) -> Network:
    """Node 0 and 1 on the internet, 2 and 3 behind one box."""
    out = Network(Link(latency_ns=(5, 5)))
    out.attach(0, [A])
    out.attach(1, [B])
    out.attach(2, [INSIDE], site=9)
    out.attach(3, [parse_address("192.168.0.3:4433")], site=9)
    out.gateway(9, Gateway(BOX, nat))
    return out


def test_datagrams_are_translated_on_the_way_out_and_find_back() -> None:
    net = network(Nat.PORT_RESTRICTED)
    [out] = net.send(2, A, 100, Rng(0))
    assert out.node == 0
    assert out.source.ip == BOX
    [back] = net.send(0, out.source, 100, Rng(0))
    assert (back.node, back.source) == (2, A)
    assert net.send(1, out.source, 100, Rng(0)) == ()
    assert net.lost == {"filtered": 1}
    other = net.send(3, A, 100, Rng(0))[0].source
    assert other.ip == BOX
    assert other.port != out.source.port
    assert (net.nat_of(0), net.nat_of(2)) == (None, Nat.PORT_RESTRICTED)


def test_neighbours_meet_inside_and_not_through_the_box() -> None:
    net = network(Nat.FULL_CONE)
    outside = net.send(2, A, 100, Rng(0))[0].source
    assert net.send(3, outside, 100, Rng(0)) == ()
    assert net.lost == {"hairpin": 1}
    [inside] = net.send(3, INSIDE, 100, Rng(0))
    assert inside.node == 2


def test_two_boxes_reach_each_other_where_holes_can_be_punched() -> None:
    net = network(Nat.RESTRICTED)
    net.attach(4, [INSIDE], site=10)
    net.gateway(10, Gateway(bytes((91, 0, 0, 1)), Nat.PORT_RESTRICTED))
    here = net.send(2, A, 1, Rng(0))[0].source
    there = net.send(4, A, 1, Rng(0))[0].source
    assert net.send(2, there, 1, Rng(0)) == (), "filtered, but it opened its own box"
    assert net.send(4, here, 1, Rng(0))[0].node == 2
    assert net.send(2, there, 1, Rng(0))[0].node == 4
