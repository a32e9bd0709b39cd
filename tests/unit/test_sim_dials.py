"""simulations.streams being opened: who is reached and who is not, and what becomes of it when the target dies."""

from __future__ import annotations

import pytest

from overlay.errors import LocalError
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import SECOND, StreamEnd, StreamOpen, StreamOpened
from simulations.nat import EXPIRE_NS, Gateway, Nat
from simulations.streams import TIMEOUT_NS
from tests.support.toy_peer import ToyPeer
from tests.support.toy_world import TRIP, World, address

BOX = bytes((150, 0, 0, 1))
INSIDE = parse_address("10.0.0.1:4433")


def test_opening_takes_a_round_trip_and_both_learn_who() -> None:
    world = World()
    world.do(0, StreamOpen(2, address(1)))
    world.run(SECOND)
    assert world.peers[1].events == [(TRIP, StreamOpened(1, address(0), True))]
    assert world.peers[0].events == [(2 * TRIP, StreamOpened(2, address(1), False))]


def test_nobody_there_nobody_listening_and_ids_that_are_not_to_be() -> None:
    world = World(3)
    world.engine.kill(2)
    world.do(0, StreamOpen(2, address(2)))
    world.do(0, StreamOpen(4, address(99)))
    world.run(TIMEOUT_NS + SECOND)
    assert world.peers[0].ended == {2: StreamEnd.REFUSED, 4: StreamEnd.TIMED_OUT}
    with pytest.raises(LocalError, match="not even"):
        world.do(0, StreamOpen(3, address(1)))


def test_a_core_without_streams_refuses_them() -> None:
    world = World(1)
    world.engine._make_peer = lambda *_: ToyPeer()
    world.engine.add([address(1)])
    world.engine.start(1)
    world.open()
    world.run(0)
    assert world.peers[0].ended == {2: StreamEnd.REFUSED}


@pytest.mark.parametrize("restarted", [False, True])
def test_who_dies_while_somebody_comes_refuses_and_who_begins_anew_takes_it(restarted: bool) -> None:
    world = World()
    world.do(0, StreamOpen(2, address(1)))
    world.run(TRIP // 2)
    world.engine.kill(1)
    if restarted:
        world.engine.start(1)
    world.run(TRIP + TRIP // 2)
    assert world.peers[0].opened == ({2: address(1)} if restarted else {})
    assert world.peers[0].ended == ({} if restarted else {2: StreamEnd.REFUSED})
    assert len(world.engine.hosts[0].streams) == restarted


# --- boxes at the edge of a site, and filters -------------------------------------------------------


def behind(nat: Nat) -> tuple[World, Gateway, Address]:
    """Node 0 on the internet, 1 behind a box, and the port there by which its datagrams reach 0 and those of 0 it."""
    world, gateway = World(1), Gateway(BOX, nat)
    world.engine.network.gateway(7, gateway)
    world.engine.add([INSIDE], site=7)
    world.engine.start(1)
    world.engine.inject(1, address(0), b"opens")
    world.run(SECOND)
    [port] = gateway._by_port
    return world, gateway, Address(BOX, port)


@pytest.mark.parametrize("nat", Nat)
def test_no_stream_gets_in_where_datagrams_do(nat: Nat) -> None:
    world, _, outside = behind(nat)
    world.engine.inject(0, outside, b"gets in")
    world.do(0, StreamOpen(2, outside))
    world.run(TIMEOUT_NS + SECOND)
    assert world.engine.effects.delivered == 2
    assert (world.peers[0].ended, world.peers[1].opened) == ({2: StreamEnd.TIMED_OUT}, {})


@pytest.mark.parametrize("nat", Nat)
def test_one_that_goes_out_has_a_port_of_its_own_and_opens_nothing_for_datagrams(nat: Nat) -> None:
    world, gateway, outside = behind(nat)
    world.run(EXPIRE_NS - 2 * SECOND)
    for id in (2, 4):
        world.do(1, StreamOpen(id, address(0)))
    world.run(SECOND)
    first, second = world.peers[0].opened.values()
    assert (first.ip, second.ip) == (BOX, BOX)
    assert first != second
    assert len(gateway) == 1
    assert gateway.inbound(outside.port, address(0), EXPIRE_NS - 1) == 1
    assert gateway.inbound(outside.port, address(0), EXPIRE_NS) is None, "it was not refreshed"


def test_streams_of_one_site_pass_no_box_and_none_comes_back_through_it() -> None:
    world, _, outside = behind(Nat.FULL_CONE)
    world.engine.add([parse_address("10.0.0.2:4433")], site=7)
    world.engine.start(2)
    world.do(2, StreamOpen(2, INSIDE))
    world.do(2, StreamOpen(4, outside))
    world.run(TIMEOUT_NS + SECOND)
    assert world.peers[2].opened == {2: INSIDE}
    assert world.peers[2].ended == {4: StreamEnd.TIMED_OUT}


def test_a_filter_lets_no_stream_in_and_learns_nothing_of_those_that_go_out() -> None:
    world = World()
    world.engine.network.filter_inbound(1)
    world.do(1, StreamOpen(2, address(0)))
    world.run(SECOND)
    assert world.peers[1].opened == {2: address(0)}
    world.engine.inject(0, address(1), b"does not get in")
    assert world.engine.network.lost == {"filtered": 1}
    world.engine.inject(1, address(0), b"opens")
    world.engine.inject(0, address(1), b"gets in")
    world.do(0, StreamOpen(2, address(1)))
    world.run(TIMEOUT_NS + SECOND)
    assert world.engine.network.lost == {"filtered": 1}
    assert world.peers[0].ended == {2: StreamEnd.TIMED_OUT}
