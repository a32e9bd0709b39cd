"""A quiet network of 100: peers know whom they should, lookups name exactly the closest, and what that costs."""

from __future__ import annotations

from statistics import mean

import pytest

from overlay.limits import K
from overlay.runtime.chance import Rng
from tests.support.swarm import LOOPBACK, Swarm


@pytest.fixture(scope="module")
def hundred() -> Swarm:
    swarm = Swarm(100, seed=11, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    return swarm


def test_a_network_that_fits_into_the_tables_is_in_all_of_them() -> None:
    swarm = Swarm(21, seed=2, link=LOOPBACK, fake_keys=True)
    swarm.run_for(10)
    assert [len(swarm.peer(node).table) for node in range(21)] == [20] * 21


def test_every_node_knows_the_nodes_nearest_to_itself(hundred: Swarm) -> None:
    for node in range(100):
        nearest = {hundred.keys(other).key for other in hundred.closest(hundred.id(node), K, but=node)}
        assert {contact.key for contact in hundred.peer(node).table.closest(hundred.peer(node).dht.own_number, K)} == (
            nearest
        ), f"node {node}"


def test_a_lookup_from_every_node_names_exactly_the_k_closest(hundred: Swarm) -> None:
    rng = Rng(3)
    keys = [rng.bytes(32) for _ in range(100)]
    found = hundred.commands([(node, "lookup", {"key": key.hex()}) for node, key in enumerate(keys)])
    for node, (key, result) in enumerate(zip(keys, found, strict=True)):
        expected = [hundred.id_text(other) for other in hundred.closest(key, K, but=node)]
        assert result["closest"] == expected, f"from node {node}"


def test_a_lookup_of_an_id_ends_at_its_owner(hundred: Swarm) -> None:
    for node in range(1, 100, 7):
        assert hundred.command(0, "lookup", key=hundred.id_text(node))["closest"][0] == hundred.id_text(node)


def test_all_nodes_agree_about_the_size_of_the_network(hundred: Swarm) -> None:
    estimates = [hundred.command(node, "status")["size_estimate"] for node in range(100)]
    assert 60 <= min(estimates) <= max(estimates) <= 170, sorted(estimates)


def test_rpcs_stay_within_the_goals_of_the_design(hundred: Swarm) -> None:
    """Design 03: GET <= 15, PUT secure <= 200, PUT cheap <= 45 on average in a static network."""
    rpcs: dict[str, list[int]] = {"cheap": [], "secure": [], "blob": [], "signed": []}
    for number in range(40):
        profile, kind = ("cheap", "secure")[number % 2], ("blob", "signed")[number // 2 % 2]
        name = {"name": str(number)} if kind == "signed" else {}
        put = hundred.command(number, "put", value=b"value %d" % number, profile=profile, **name)
        if kind == "blob":  # a signed record under a name is read back before it is signed: counted elsewhere
            rpcs[profile].append(put["rpcs"])
        holders = hundred.closest(bytes.fromhex(put["key"]), 30)
        readers = [node for node in range(100) if node not in holders]
        got = hundred.command(readers[number], "get", key=put["key"])
        rpcs[kind].append(got["rpcs"])
    assert mean(rpcs["blob"]) <= 15
    assert mean(rpcs["signed"]) <= 15
    assert mean(rpcs["cheap"]) <= 45
    assert max(rpcs["secure"]) <= 200


def test_the_first_answer_comes_at_once_after_a_join(hundred: Swarm) -> None:
    """Goal of design 09: 50 ms from the join to the first answer on loopback."""
    node = hundred.add()
    key = hundred.command(5, "put", value=b"here before", profile="cheap")["key"]
    start_ns = hundred.engine.now_ns
    hundred.join(nodes=[node])
    assert hundred.command(node, "get", key=key)["value"] == b"here before"
    assert hundred.engine.now_ns - start_ns < 200_000_000


def test_looking_around_finds_a_neighbour_that_is_not_known() -> None:
    swarm = Swarm(60, seed=4, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    for node in range(0, 60, 10):
        peer = swarm.peer(node)
        tenth = swarm.closest(swarm.id(node), K, but=node)[9]
        peer.table.remove(swarm.keys(tenth).key)
        peer.upkeep._due["neighbours"] = swarm.engine.now_ns
        peer.upkeep.poke()
        swarm.engine.feed(swarm.engine.hosts[node], peer.handle_timer)
        swarm.run_for(1)
        assert swarm.keys(tenth).key in peer.table, f"node {node}"
