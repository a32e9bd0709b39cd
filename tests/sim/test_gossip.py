"""Topics in swarms: everybody gets everything once, over loss, churn and cuts; freeloaders are replaced."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest

from overlay.events import GossipDelivered
from overlay.limits import MESH_HIGH, MESH_LOW, MESH_OUT
from overlay.rpc.endpoint import Endpoint
from overlay.runtime.ports import MS
from simulations.engine import WALL_START_MS
from tests.support.swarm import LOOPBACK, WAN, Swarm
from tests.support.topics import delivered, mesh_of, mute, publish, subscribe

N = 60


def settled(n: int, *, seed: int = 1, loss_ppm: int = 0, link: object = WAN, seconds: float = 25) -> Swarm:
    assert isinstance(link, type(WAN))
    swarm = Swarm(n, seed=seed, link=attrs.evolve(link, loss_ppm=loss_ppm), fake_keys=True)
    swarm.run_for(5)
    subscribe(swarm, range(n))
    swarm.run_for(seconds)
    swarm.reports.clear()
    return swarm


def test_every_subscriber_gets_every_message_once_at_a_known_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = settled(N, seconds=30)
    meshes = [mesh_of(swarm, node) for node in range(N)]
    assert sum(1 for mesh in meshes if len(mesh) >= MESH_LOW) >= 0.97 * N
    assert max(len(mesh) for mesh in meshes) <= MESH_HIGH
    assert sum(1 for mesh in meshes if sum(mesh.values()) >= MESH_OUT) >= 0.9 * N

    sent: Counter[str] = Counter()
    envelope, reply = Endpoint._envelope, Endpoint.reply

    def counted_envelope(self, contact, request_id, message, *, bare=False):  # type: ignore[no-untyped-def]
        sent[type(message).__name__] += 1
        return envelope(self, contact, request_id, message, bare=bare)

    def counted_reply(self, inbound, message):  # type: ignore[no-untyped-def]
        sent[type(message).__name__] += 1
        return reply(self, inbound, message)

    monkeypatch.setattr(Endpoint, "_envelope", counted_envelope)
    monkeypatch.setattr(Endpoint, "reply", counted_reply)
    messages = 12
    for number in range(messages):
        assert publish(swarm, number * 7 % N, b"%d" % number) >= 2
        swarm.run_for(0.2)
    swarm.run_for(3)

    assert delivered(swarm) == Counter({(node, b"%d" % number): 1 for node in range(N) for number in range(messages)})
    cost = {what: sent[what] / N / messages for what in ("Publish", "Have", "Gossiped")}
    assert cost["Publish"] <= 7
    assert sum(cost.values()) <= 10, cost


@pytest.mark.parametrize(("link", "seconds"), [(LOOPBACK, 4), (WAN, 6)])
def test_a_fifth_of_all_datagrams_lost_and_everything_arrives_in_seconds(link: object, seconds: float) -> None:
    swarm = settled(30, seed=5, loss_ppm=200_000, link=link)
    for number in range(10):
        publish(swarm, number * 7 % 30, b"%d" % number)
        swarm.run_for(0.1)
    swarm.run_for(seconds)
    got = delivered(swarm)
    assert set(got.values()) == {1}
    assert len(got) >= 0.999 * 300


def test_churn_takes_no_message_from_those_who_stay() -> None:
    swarm = settled(28, seed=3)
    for number in range(8):
        swarm.kill(20 + number)
        newcomer = swarm.add()
        swarm.join(nodes=[newcomer])
        subscribe(swarm, [newcomer])
        publish(swarm, number, b"%d" % number)
        swarm.run_for(2)
    swarm.run_for(8)
    got = delivered(swarm)
    assert [(node, n) for node in range(20) for n in range(8) if got[node, b"%d" % n] != 1] == []
    # Who came meanwhile gets what is said from then on.
    publish(swarm, 0, b"last")
    swarm.run_for(5)
    assert {node for node, body in delivered(swarm) if body == b"last"} == set(swarm.alive())


def test_two_halves_become_one_topic_again() -> None:
    swarm = settled(30, seed=4)
    swarm.partition(range(15), range(15, 30))
    swarm.run_for(90)
    publish(swarm, 0, b"left")
    publish(swarm, 20, b"right")
    swarm.run_for(20)
    got = delivered(swarm)
    assert {node for node, body in got if body == b"left"} == set(range(15))
    assert {node for node, body in got if body == b"right"} == set(range(15, 30))
    swarm.heal()
    swarm.run_for(90)
    publish(swarm, 0, b"again")
    swarm.run_for(5)
    assert {node for node, body in delivered(swarm) if body == b"again"} == set(range(30))


@pytest.mark.parametrize("seed", [4, 5])
def test_what_was_said_as_the_network_fell_apart_is_heard_when_it_is_whole(seed: int) -> None:
    swarm = settled(20, seed=seed)
    for number in range(6):
        publish(swarm, 3 * number, b"%d" % number)
    swarm.partition(range(10), range(10, 20))  # most of it is under way still
    swarm.run_for(30)
    publish(swarm, 1, b"left")
    publish(swarm, 11, b"right")
    swarm.run_for(5)
    assert len(delivered(swarm)) < 6 * 20 + 2 * 10 + 1
    swarm.heal()
    swarm.run_for(50)
    bodies = [b"%d" % number for number in range(6)] + [b"left", b"right"]
    assert delivered(swarm) == Counter({(node, body): 1 for node in range(20) for body in bodies})


def test_members_that_pass_nothing_on_are_replaced_and_nobody_misses_anything() -> None:
    """A quarter are freeloaders: they graft, answer and take."""
    n = 24
    swarm = settled(n, seed=6)
    freeloaders = range(0, n, 4)
    honest = [node for node in range(n) if node not in freeloaders]
    keys = {swarm.keys(node).key for node in freeloaders}
    chosen_before = sum(1 for node in honest for key, ours in mesh_of(swarm, node).items() if ours and key in keys)
    for node in freeloaders:
        mute(swarm, node)
    for number in range(50):
        publish(swarm, honest[number % len(honest)], b"%d" % number)
        swarm.run_for(2)
    swarm.run_for(10)
    got = delivered(swarm)
    assert [(node, k) for node in honest for k in range(50) if got[node, b"%d" % k] != 1] == []
    chosen = sum(1 for node in honest for key, ours in mesh_of(swarm, node).items() if ours and key in keys)
    assert chosen_before >= 8
    assert chosen <= chosen_before // 4


def test_a_publisher_needs_no_subscription() -> None:
    swarm = Swarm(32, seed=8, link=WAN, fake_keys=True)
    swarm.run_for(5)
    subscribe(swarm, range(20))
    swarm.run_for(20)
    assert publish(swarm, 30, b"from outside") >= MESH_LOW
    swarm.run_for(4)
    assert delivered(swarm) == Counter({(node, b"from outside"): 1 for node in range(20)})
    # A minute later nothing of it is left with the publisher.
    swarm.run_for(70)
    assert swarm.command(30, "topics") == []
    assert swarm.peer(30).gossip._upkeep._timer is None


def test_without_a_subscriber_nothing_is_sent_and_nothing_waits() -> None:
    swarm = Swarm(5, seed=9, fake_keys=True)
    swarm.run_for(30)
    assert publish(swarm, 0, b"to nobody") == 0
    for node in range(1, 5):
        gossip = swarm.peer(node).gossip
        assert gossip._upkeep._timer is None
        assert not gossip.state.topics
        assert not any("gossip" in name for name in swarm.peer(node).endpoint.counters)


def test_who_unsubscribes_is_out_of_all_meshes_at_once() -> None:
    swarm = settled(20, seed=10)
    key = swarm.keys(7).key
    assert any(key in mesh_of(swarm, node) for node in range(20) if node != 7)
    swarm.command(7, "unsubscribe", topic="chat")
    swarm.run_for(2)
    assert not any(key in mesh_of(swarm, node) for node in range(20) if node != 7)
    publish(swarm, 3, b"later")
    swarm.run_for(3)
    assert {node for node, _ in delivered(swarm)} == set(range(20)) - {7}
    assert swarm.command(7, "topics") == []


def test_killed_again_and_again_it_still_publishes() -> None:
    """Each crash costs a block of stamps; a seq an hour ahead of the clock would be refused by all."""
    swarm = settled(8, seed=11)
    for _ in range(6):
        swarm.kill(7)
        swarm.restart(7)
        swarm.run_for(3)
    publish(swarm, 7, b"still here")
    swarm.run_for(5)
    assert {node for node, body in delivered(swarm) if body == b"still here"} == set(range(7))


def test_a_clean_restart_does_not_move_stamps_ahead() -> None:
    swarm = settled(8, seed=12)
    for _ in range(3):
        swarm.command(7, "leave")
        swarm.kill(7)
        swarm.restart(7)
    swarm.run_for(3)
    publish(swarm, 7, b"on time")
    swarm.run_for(2)
    [seq] = {event.seq for _, _, event in swarm.reports if isinstance(event, GossipDelivered)}
    wall_ms = swarm.engine.now_ns // MS + WALL_START_MS
    assert wall_ms - 5000 < seq < wall_ms
