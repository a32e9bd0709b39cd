"""A few peers and bodies that are too long for a datagram: each arrives once and whole, whoever lies, stalls, dies."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest

from overlay.limits import (
    BODY_BYTES_PER_AUTHOR_BURST,
    BODY_PART,
    KEPT_S,
    MAX_BODY_GIVEN,
    MAX_LARGE_BODY,
    MAX_PUBLISH_BODY,
)
from overlay.trust.policy import Observation
from overlay.wire.registry import BodyRefusal
from tests.support.gossiping import Watching
from tests.support.swarm import CommandFailed, Swarm
from tests.support.topics import (
    Lie,
    body_of_size,
    bytes_sent,
    delivered,
    lie,
    lines_of,
    mesh_of,
    publish,
    settled_lan,
    shut,
    subscribe,
)

BIG = 200_000


def heard(swarm: Swarm, body: bytes) -> list[int]:
    return sorted(node for node, said in delivered(swarm) if said == body)


def counted(swarm: Swarm, what: str) -> int:
    return sum(swarm.peer(node).endpoint.counters.get(f"gossip: {what}", 0) for node in swarm.alive())


# --- what is promised -----------------------------------------------------------------------


@pytest.mark.parametrize("size", [MAX_PUBLISH_BODY, MAX_PUBLISH_BODY + 1, BODY_PART, BODY_PART + 1, MAX_LARGE_BODY])
def test_a_body_of_any_size_arrives_once_and_whole(size: int) -> None:
    swarm = settled_lan(3)
    body = body_of_size(size)
    assert publish(swarm, 0, body) == 2
    swarm.run_for(5)
    assert delivered(swarm) == Counter({(node, body): 1 for node in range(3)})
    opened = any(lines_of(swarm, node) for node in range(3))
    assert opened == (size > MAX_PUBLISH_BODY), "what fits into a datagram needs no stream"


def test_each_receives_the_bytes_of_a_body_once() -> None:
    swarm = settled_lan(5)
    publish(swarm, 0, body_of_size(BIG))
    swarm.run_for(10)
    assert 4 * BIG <= bytes_sent(swarm) <= 4.1 * BIG


def test_a_body_that_is_too_long_is_refused_with_the_way_out() -> None:
    swarm = settled_lan(2)
    with pytest.raises(CommandFailed, match=f"{MAX_LARGE_BODY + 1} bytes, a message at most {MAX_LARGE_BODY}: share"):
        publish(swarm, 0, bytes(MAX_LARGE_BODY + 1))


def test_two_messages_with_one_body_fetch_it_once() -> None:
    swarm = settled_lan(2)
    body = body_of_size(BIG)
    publish(swarm, 0, body)
    publish(swarm, 0, body)  # before the first has arrived
    swarm.run_for(5)
    publish(swarm, 0, body)
    swarm.run_for(5)
    assert delivered(swarm)[1, body] == 3
    assert bytes_sent(swarm) <= 1.1 * BIG


def test_a_publisher_needs_no_subscription() -> None:
    swarm = Swarm(3, seed=3, lan=True, fake_keys=True)
    swarm.run_for(5)
    subscribe(swarm, [1, 2])
    swarm.run_for(15)
    body = body_of_size(BIG)
    assert publish(swarm, 0, body) == 2
    swarm.run_for(5)
    assert heard(swarm, body) == [1, 2]


@pytest.mark.parametrize("seed", range(1, 9))
def test_three_tenths_of_what_is_sent_may_be_lost(seed: int) -> None:
    swarm = settled_lan(4, seed=seed)
    swarm.network.link = attrs.evolve(swarm.network.link, loss_ppm=300_000)
    body = body_of_size(BIG)
    publish(swarm, 0, body)
    swarm.run_for(30)
    assert delivered(swarm) == Counter({(node, body): 1 for node in range(4)})


# --- those who lie, stall or die ------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "what"),
    [
        pytest.param(lambda body: body[:-1] + bytes([body[-1] ^ 1]), "wrong body", id="another hash"),
        pytest.param(lambda body: body[: 2 * BODY_PART], "body not sent", id="two parts and no more"),
        pytest.param(lambda body: body[:-1], "wrong body", id="a byte is missing"),
        pytest.param(lambda body: body + b"x", "wrong body", id="a byte too many"),
        pytest.param(lambda body: None, "body not sent", id="nothing"),
        pytest.param(lambda body: BodyRefusal.NOT_HERE, "body not sent", id="not here"),
        pytest.param(lambda body: BodyRefusal.NOT_NOW, "body refused", id="not now"),
    ],
)
def test_who_does_not_send_what_it_announced_costs_the_others_a_moment(
    told: Lie, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 to 4 all have it from the author 0 or from each other, but 5 only from 1, who lies, and from 2."""
    swarm = settled_lan(6, apart=[(5, 0), (5, 3), (5, 4)])
    asked = lie(monkeypatch, swarm, {1: told})
    bodies = [body_of_size(BIG, number) for number in range(8)]
    for body in bodies:
        publish(swarm, 0, body)
        swarm.run_for(2)
    swarm.run_for(4)
    assert asked[1] >= 1
    assert counted(swarm, what) >= 1
    got = delivered(swarm)
    assert [(node, n) for node in (0, 2, 3, 4, 5) for n, body in enumerate(bodies) if got[node, body] != 1] == []


def test_who_sends_a_wrong_body_is_blamed_and_out_of_the_mesh(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = settled_lan(3, apart=[(0, 2)])
    swarm.peer(2).endpoint.policy = policy = Watching()
    swarm.peer(2).gossip.state.endpoint.policy = policy
    liar = swarm.keys(1).key
    lie(monkeypatch, swarm, {1: lambda body: body[::-1]})
    assert liar in mesh_of(swarm, 2)
    body = body_of_size(BIG)
    publish(swarm, 0, body)
    swarm.run_for(3)
    assert heard(swarm, body) == [0, 1]
    assert (liar, Observation.INVALID_DATA) in policy.seen
    assert liar not in mesh_of(swarm, 2)


def test_who_never_sends_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = settled_lan(3, apart=[(0, 2)])
    asked = lie(monkeypatch, swarm, {1: lambda body: BodyRefusal.NOT_HERE})
    for number in range(30):
        publish(swarm, 0, body_of_size(2000, number))
        swarm.run_for(2)
    assert 8 <= asked[1] <= 16
    assert not swarm.peer(2).gossip.state.conducts.good(swarm.keys(1).key, swarm.engine.now_ns)


def test_a_source_dies_while_it_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = settled_lan(4, apart=[(0, 3)])
    body = body_of_size(MAX_LARGE_BODY)
    asked = lie(monkeypatch, swarm, {1: lambda body: body, 2: lambda body: body})
    publish(swarm, 0, body)
    while not any(asked.values()):
        swarm.run_for(0.001)
    [source] = [node for node, times in asked.items() if times]
    swarm.kill(source)
    swarm.run_for(5)
    assert 3 in heard(swarm, body)


def test_who_is_restarted_as_it_receives_gets_it_all_the_same() -> None:
    swarm = settled_lan(3)
    body = body_of_size(MAX_LARGE_BODY)
    publish(swarm, 0, body)
    swarm.run_for(0.003)
    assert 2 not in heard(swarm, body)
    swarm.restart(2)
    swarm.join(nodes=[2])
    subscribe(swarm, [2])
    swarm.run_for(8)
    assert delivered(swarm)[2, body] == 1


def test_an_old_stream_of_a_peer_that_was_restarted_costs_nothing() -> None:
    swarm = settled_lan(2)
    publish(swarm, 0, body_of_size(BIG))
    swarm.run_for(3)
    swarm.restart(0, power_loss=True)
    swarm.join(nodes=[0], through=1)
    subscribe(swarm, [0])
    swarm.run_for(17)  # in 25 s the old stream would be known to be dead
    assert len(lines_of(swarm, 1)) == 1
    body = body_of_size(BIG, 1)
    assert publish(swarm, 0, body) == 1
    swarm.run_for(2)
    assert heard(swarm, body) == [0, 1]
    assert counted(swarm, "body not sent") == 0


# --- streams ----------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [0, 1])
def test_who_cannot_be_reached_by_stream_gives_and_gets(hidden: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The author is asked by datagram to open a stream; a receiver opens it in any case."""
    swarm = settled_lan(2)
    shut(monkeypatch, swarm, [hidden])
    for number in range(2):
        body = body_of_size(BIG, number)
        publish(swarm, 0, body)
        swarm.run_for(2)
        assert heard(swarm, body) == [0, 1]
    assert counted(swarm, "body not sent") == 0
    [line] = lines_of(swarm, 1)
    assert line.stream.incoming == (hidden == 0)


def test_members_of_a_mesh_have_one_stream_between_them_for_the_next_body() -> None:
    swarm = settled_lan(5)
    publish(swarm, 0, body_of_size(BIG))
    swarm.run_for(2)
    for node in range(5):
        others = [line.stream.key for line in lines_of(swarm, node)]
        assert set(mesh_of(swarm, node)) <= set(others)
    opened = sum(len(lines_of(swarm, node)) for node in range(5))
    assert opened <= 5 * 4 + 2, "two only where both sides opened one for the first body"


def test_a_stream_is_kept_for_the_next_body_and_closed_when_none_comes() -> None:
    swarm = settled_lan(2)
    for number in range(3):
        publish(swarm, 0, body_of_size(BIG, number))
        swarm.run_for(60)
        assert len(lines_of(swarm, 1)) == 1
    assert swarm.peer(0).endpoint.counters["streams: taken"] + swarm.peer(1).endpoint.counters.get(
        "streams: taken", 0
    ) == 1  # fmt: skip
    swarm.run_for(200)
    for node in range(2):
        assert lines_of(swarm, node) == []
        assert swarm.peer(node).streams.figures()["streams"] == 0


# --- bounds -----------------------------------------------------------------------------------


def test_an_author_says_so_many_bytes_at_once_and_is_told() -> None:
    swarm = settled_lan(2)
    for number in range(BODY_BYTES_PER_AUTHOR_BURST // MAX_LARGE_BODY):
        publish(swarm, 0, body_of_size(MAX_LARGE_BODY, number))
    with pytest.raises(CommandFailed, match="too many bytes"):
        publish(swarm, 0, body_of_size(MAX_LARGE_BODY, 99))
    publish(swarm, 0, b"a small one goes")
    swarm.run_for(20)
    assert len(delivered(swarm)) == 2 * (BODY_BYTES_PER_AUTHOR_BURST // MAX_LARGE_BODY + 1)
    publish(swarm, 0, body_of_size(MAX_LARGE_BODY, 99))


def test_a_body_is_given_to_subscribers_only_and_not_for_ever() -> None:
    swarm = settled_lan(2)
    publish(swarm, 0, body_of_size(BIG))
    swarm.run_for(2)
    lines, state = swarm.peer(0).gossip._lines, swarm.peer(0).gossip.state
    [digest] = [kept.digest for kept in state.kept.values()]
    receiver = swarm.keys(1).key
    assert lines._found(bytes(32), digest) is BodyRefusal.NOT_NOW
    given = [lines._found(receiver, digest) for _ in range(MAX_BODY_GIVEN)]
    assert [isinstance(one, bytes) for one in given] == [True] * (MAX_BODY_GIVEN - 1) + [False]
    assert lines._found(receiver, bytes(32)) is BodyRefusal.NOT_HERE
    swarm.run_for(KEPT_S + 10)
    assert (len(state.bodies), state.bodies.size) == (0, 0)
    assert lines._found(receiver, digest) is BodyRefusal.NOT_HERE
