"""What one peer puts, all others get: cheap and secure, blobs and signed records, providers."""

from __future__ import annotations

import pytest

from tests.support.swarm import LOOPBACK, CommandFailed, Swarm

N = 30
VALUES = 72


@pytest.fixture(scope="module")
def swarm() -> Swarm:
    swarm = Swarm(N, seed=4, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    return swarm


def test_values_are_read_by_every_node(swarm: Swarm) -> None:
    put = []
    for number in range(VALUES):
        name = {"name": f"name {number}"} if number % 2 else {}
        profile = "secure" if number % 4 < 2 else "cheap"
        put.append((number % N, "put", {"value": b"value %d" % number, "profile": profile, **name}))
    stored = swarm.commands(put)
    for node in range(N):
        got = swarm.commands([(node, "get", {"key": one["key"]}) for one in stored])
        assert [one["value"] for one in got] == [b"value %d" % number for number in range(VALUES)], f"at node {node}"
        assert [one["kind"] for one in got] == ["blob", "signed"] * (VALUES // 2)


def test_a_record_of_an_author_is_found_by_id_and_name(swarm: Swarm) -> None:
    swarm.command(3, "put", value=b"profile", name="me")
    got = swarm.command(9, "get", author=swarm.id_text(3), name="me")
    assert (got["value"], got["author"]) == (b"profile", swarm.id_text(3))


def test_the_newest_version_is_read_and_compare_and_swap_holds(swarm: Swarm) -> None:
    first = swarm.command(3, "put", value=b"one", name="versions")
    second = swarm.command(3, "put", value=b"two", name="versions", cas=first["seq"])
    assert second["seq"] > first["seq"]
    with pytest.raises(CommandFailed, match="has seq"):
        swarm.command(3, "put", value=b"three", name="versions", cas=first["seq"])
    for node in range(N):
        got = swarm.command(node, "get", key=first["key"])
        assert (got["value"], got["seq"]) == (b"two", second["seq"]), f"at node {node}"


def test_nobody_holds_what_nobody_put(swarm: Swarm) -> None:
    with pytest.raises(CommandFailed) as caught:
        swarm.command(0, "get", key="00" * 32)
    assert caught.value.code == "not_found"


def test_providers_are_found_from_everywhere(swarm: Swarm) -> None:
    key = "5a" * 32
    for node in (1, 2, 3, 4, 5, 6, 7):
        assert swarm.command(node, "provide", key=key)["stored"] >= 20
    expected = sorted((swarm.id_text(node), str(swarm.address(node))) for node in (1, 2, 3, 4, 5, 6, 7))
    for node in range(8, N):
        found = swarm.command(node, "providers", key=key)["providers"]
        assert sorted((one["id"], one["address"]) for one in found) == expected, f"at node {node}"
