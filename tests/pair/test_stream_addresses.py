"""A peer with several addresses: one that leads nowhere, or to somebody else, delays a stream and prevents none."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.errors import LocalError, OverlayError, Refused, RemoteError, TimedOut
from overlay.limits import DIAL_NEXT_MS, DIAL_S, HANDSHAKE_S, MAX_DIAL_ADDRESSES
from overlay.runtime.address import Address
from overlay.runtime.ports import MS
from overlay.streams import Stream
from simulations.links import Link
from tests.support.stream_world import World, address
from tests.support.toy_streams import ToyStreams

NOTHING = {"streams": 0, "incoming": 0, "handshakes": 0, "dials": 0, "pipes": 0}
#: Of nobody: what is sent there is lost.
NOWHERE = address(77)


class NoStreams(ToyStreams):
    handle_stream = None  # type: ignore[assignment]


def world_of(**others: Any) -> World:
    """0 dials 1; `mute` (2) takes connections and says nothing, `closed` (3) takes none, 4 is another peer."""
    cores: dict[int, Any] = {2: ToyStreams(greedy=True, welcome=1000), 3: NoStreams(), **others}
    return World(5, make=cores.get)


def opened(world: World, *addresses: Address, seconds: float = 1) -> Stream:
    peer = world.peers[0].streams
    return world.await_(0, peer.open(world.peers[1].id, addresses, "/test/1"), seconds=seconds)


def nothing_is_left(world: World) -> None:
    """Beside the one stream that was wanted, if there is one."""
    world.run(DIAL_S + HANDSHAKE_S + 1)
    streams = world.peers[0].streams
    assert streams.figures()["pipes"] == len(streams._leases) == streams.figures()["streams"]
    assert streams.figures()["dials"] == 0
    assert world.peers[1].streams.figures()["handshakes"] == 0
    assert len(world.engine.hosts[0].streams) == len(streams._leases)


@pytest.mark.parametrize("dead", [NOWHERE, address(2), address(3), address(4)], ids=["lost", "mute", "closed", "other"])
def test_the_next_address_is_tried(dead: Address) -> None:
    world = world_of()
    stream = opened(world, dead, address(1))
    assert (stream.address, stream.ended) == (address(1), None)
    world.await_(0, stream.send(b"there"))
    assert world.await_(1, world.peers[1].taken[0].receive()) == b"there"
    nothing_is_left(world)
    assert len(world.peers[1].taken) == 1


def test_one_that_fails_does_not_make_the_next_one_wait() -> None:
    """Refused at once, another peer after two ways there and back: no moment is waited for."""
    world = world_of()
    assert opened(world, address(3), address(4), address(1), seconds=0.9 * DIAL_NEXT_MS / 1000).ended is None


def test_a_second_address_waits_its_moment() -> None:
    world = world_of()
    task = world.spawn(0, world.peers[0].streams.open(world.peers[1].id, [NOWHERE, address(1)], "/test/1"))
    world.run(0.9 * DIAL_NEXT_MS / 1000)
    assert world.peers[0].streams.figures()["pipes"] == 1
    world.run(0.2 * DIAL_NEXT_MS / 1000 + 0.1)
    assert task.result().address == address(1)


def test_the_first_address_alone_is_dialled_if_it_answers() -> None:
    world = world_of()
    assert opened(world, address(1), address(2)).address == address(1)
    nothing_is_left(world)
    assert world.peers[2].opened == {}


def test_both_answer_and_one_is_kept() -> None:
    """Each way takes nearly as long as the moment after which the other address is tried."""
    world = World(link=Link(latency_ns=(200 * MS, 200 * MS)))
    second = Address(bytes((20, 0, 9, 2)), 4433)
    world.engine.network.attach(1, [address(1), second])
    assert opened(world, address(1), second, seconds=3).address == address(1)
    assert len(world.peers[1].taken) == 1
    nothing_is_left(world)
    assert world.peers[1].streams.figures() == {**NOTHING, "streams": 1, "incoming": 1, "pipes": 1}


def test_each_failure_is_told() -> None:
    world = world_of()
    with pytest.raises(TimedOut) as caught:
        opened(world, NOWHERE, address(2), address(3), address(4), seconds=DIAL_S + HANDSHAKE_S + 2)
    for told in (
        f"{NOWHERE} does not answer", f"{address(2)} did not finish the handshake in time",
        f"nobody takes streams at {address(3)}", f"{address(4)} failed: another peer answered there",
    ):  # fmt: skip
        assert told in str(caught.value)
    nothing_is_left(world)


@pytest.mark.parametrize(
    ("first", "kind"),
    [(NOWHERE, TimedOut), (address(3), Refused), (address(4), RemoteError)],
    ids=["lost", "closed", "other"],
)
def test_the_first_address_says_what_kind_of_failure_it_is(first: Address, kind: type[OverlayError]) -> None:
    with pytest.raises(kind):
        opened(world_of(), first, address(3), seconds=DIAL_S + HANDSHAKE_S + 2)


def test_no_more_than_so_many_and_none_twice() -> None:
    world = world_of()
    with pytest.raises(Refused) as caught:
        opened(world, *[address(3)] * 9, *(Address(bytes((20, 0, 9, n)), 1) for n in range(9)), seconds=30)
    assert len(str(caught.value).split("; ")) == MAX_DIAL_ADDRESSES
    with pytest.raises(LocalError, match="no address is known"):
        opened(world)
    nothing_is_left(world)


def test_given_up_at_any_moment_it_leaves_nothing() -> None:
    for step in range(0, 420, 15):
        world = world_of()
        addresses = [NOWHERE, address(2), address(1)]
        task = world.spawn(0, world.peers[0].streams.open(world.peers[1].id, addresses, "/test/1"))
        world.run(0.2 + step / 1000)
        world.do(0, task.cancel)
        world.run(DIAL_S + HANDSHAKE_S + 1)
        assert world.peers[1].streams.figures()["handshakes"] == 0
        if task.cancelled:
            assert world.peers[0].streams.figures() == world.peers[1].streams.figures() == NOTHING
            assert world.engine.hosts[0].streams == {}
