"""Adversaries of topics do what they say; honest subscribers hear each other all the same."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.gossip import exchange, memory
from overlay.identity.network import Network
from overlay.limits import MESH_CLIENTS, MESH_LOW
from simulations.population import Codec
from simulations.spec import load, scenario_of
from simulations.swarm import RunEnd, Swarm
from tests.support.swarm import Swarm as Peers
from tests.support.topics import delivered, publish, subscribe


def ran(*adversaries: dict[str, Any], count: int = 10) -> RunEnd:
    table: dict[str, Any] = {
        "duration_s": 75,
        "population": {"nodes": 16, "arrive_s": 5},
        "adversaries": list(adversaries),
        "workload": [{"kind": "publish", "count": count, "from_s": 20, "settle_s": 20}],
    }
    return Swarm(scenario_of("test", table), seed=1, codec=Codec.OBJECTS).run()


def test_mute_members_give_nothing_and_nobody_misses_it() -> None:
    end = ran({"kind": "mute-members", "fraction": 0.3, "from_s": 20}, count=40)
    assert not end.broken
    assert end.measures["kept_back"] > 100
    assert end.measures["mute_share"] > 0.1, "who chose us is served"
    assert end.measures["delivery_success"] == 1
    assert end.measures["delivery_again"] == 0


def test_what_was_not_signed_is_heard_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    forgers = {"kind": "spam-publishers", "what": "forged", "rate": 10, "from_s": 40, "to_s": 50}
    end = ran(forgers)
    assert not end.broken
    assert end.measures["forged_sent"] >= 90
    assert end.measures["forged_heard"] == 0
    assert end.measures["delivery_success"] == 1
    # It was sent indeed: who does not check hears it.
    monkeypatch.setattr(exchange, "check_publication", lambda *_: None)
    assert ran(forgers).measures["forged_heard"] > 0


def test_of_a_flood_everybody_takes_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MESSAGES_PER_AUTHOR_BURST", 16)
    flood = {"kind": "spam-publishers", "rate": 200, "from_s": 50, "to_s": 51}
    end = ran(flood)
    assert not end.broken
    assert end.measures["flood_sent"] >= 190
    # As long as the flood lasts, and a little longer: others still offer what only they took.
    assert 16 < end.measures["flood_heard_worst"] < 16 + 2 * 64
    assert end.measures["delivery_success"] == 1


def test_the_shipped_scenario_has_them_all() -> None:
    kinds = [type(adversary).__name__ for adversary in load("gossip-attack").adversaries]
    assert kinds == ["MuteMembers", "SpamPublishers", "SpamPublishers"]


def test_keys_without_puzzle_hear_what_is_said_and_take_no_mesh_over() -> None:
    honest, clients = range(14), range(14, 40)
    swarm = Peers(40, seed=13, fake_keys=True, realm=Network("swarm", puzzle_bits=2), clients=clients)
    swarm.run_for(5)
    subscribe(swarm, range(40))
    swarm.run_for(200)  # whoever asked only full meshes asks them again after a minute
    keys = {swarm.keys(node).key for node in clients}
    for node in honest:
        [topic] = swarm.peer(node).gossip.state.topics.values()
        assert topic.mesh.clients <= MESH_CLIENTS
        assert len(topic.mesh) - topic.mesh.clients >= MESH_LOW
        assert not keys & {*topic.roster.known, *topic.roster.claimed}
    swarm.reports.clear()
    for number in range(5):
        publish(swarm, number, b"%d" % number)
        swarm.run_for(1)
    swarm.run_for(5)
    got = delivered(swarm)
    assert all(got[node, b"%d" % number] == 1 for node in honest for number in range(5))
    assert set(got.values()) == {1}
    served = {node for node, _ in got} & set(clients)
    # The honest have 28 places for 26 of them, and each takes several where it finds them.
    assert len(served) >= 10
