"""tests.support.swarm: the handles that other tests pull, on a few real peers."""

from __future__ import annotations

import pytest

from overlay.identity.node_id import format_id
from tests.support.swarm import CommandFailed, Swarm
from tests.support.toy_peer import ToyPeer

N = 8


@pytest.fixture
def swarm() -> Swarm:
    return Swarm(N, seed=1)


def test_everybody_knows_everybody_after_joining(swarm: Swarm) -> None:
    swarm.run_for(5)
    statuses = [swarm.command(node, "status") for node in range(N)]
    assert [status["table"] for status in statuses] == [N - 1] * N
    assert [status["id"] for status in statuses] == [format_id(swarm.id(node)) for node in range(N)]


def test_a_value_put_at_one_is_read_at_another(swarm: Swarm) -> None:
    put = swarm.command(1, "put", value=b"value", name="x")
    assert swarm.command(5, "get", key=put["key"])["value"] == b"value"


def test_a_failed_command_says_why(swarm: Swarm) -> None:
    with pytest.raises(CommandFailed) as caught:
        swarm.command(0, "get", key="00" * 32)
    assert caught.value.code == "not_found"


def test_the_same_seed_gives_the_same_course() -> None:
    def course(seed: int) -> str:
        swarm = Swarm(4, seed=seed, traced=True)
        swarm.command(1, "put", value=b"value", name="x")
        swarm.run_for(20)
        return swarm.engine.trace()

    assert course(3) == course(3)
    assert course(3) != course(4)


def test_killed_and_restarted_it_is_the_same_peer_on_the_same_storage(swarm: Swarm) -> None:
    put = swarm.command(2, "put", value=b"value", name="x")
    swarm.run_for(1)
    swarm.kill(2)
    assert swarm.command(3, "get", key=put["key"])["value"] == b"value"
    before = swarm.engine.storage(2).get(b"stamp")
    swarm.restart(2)
    after = swarm.engine.storage(2).get(b"stamp")
    assert before is not None
    assert after is not None
    assert after > before, "stamps reserved in an earlier life are never used again"
    assert swarm.command(2, "status")["id"] == format_id(swarm.id(2))


def test_what_put_acknowledged_is_still_ones_own_after_a_kill(swarm: Swarm) -> None:
    put = swarm.command(2, "put", value=b"value", name="x")
    swarm.restart(2)
    assert [own["key"] for own in swarm.command(2, "own")] == [put["key"]]


def test_a_partition_separates_until_it_heals(swarm: Swarm) -> None:
    swarm.partition([0, 1])
    with pytest.raises(CommandFailed) as caught:
        swarm.command(0, "ping", peer=str(swarm.address(5)))
    assert caught.value.code == "timed_out"
    assert swarm.command(0, "ping", peer=str(swarm.address(1)))["id"] == format_id(swarm.id(1))
    swarm.heal()
    assert swarm.command(0, "ping", peer=str(swarm.address(5)))["id"] == format_id(swarm.id(5))


def test_a_lan_needs_no_global_address() -> None:
    swarm = Swarm(3, lan=True)
    assert str(swarm.address(0)).startswith("10.0.")
    assert swarm.command(2, "status")["peers"] >= 1


def test_other_peers_can_be_run_too() -> None:
    swarm = Swarm(2, make_peer=lambda *given: ToyPeer(), join=False)
    assert swarm.command(1, "echo", value=3) == 3
    assert len(swarm.reports) == 2
    with pytest.raises(TimeoutError, match="wait at node 1"):
        swarm.command(1, "wait")
