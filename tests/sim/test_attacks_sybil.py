"""Ids ground next to a key, and many ids in one network (docs/attacks.md, K2)."""

from __future__ import annotations

import pytest

from overlay.limits import MAX_PER_SUBNET_IN_TABLE
from overlay.runtime.address import Address
from overlay.runtime.ports import Ok
from overlay.wire.records import blob_key, signed_key
from tests.support.swarm import LOOPBACK, PORT, Swarm
from tests.support.sybil import add_sybils, ground_keys

HONEST = 60


@pytest.fixture(scope="module")
def besieged() -> tuple[Swarm, dict[str, str]]:
    """60 honest nodes; around each of two keys 25 who hide records, there before the records are."""
    swarm = Swarm(HONEST, seed=1, link=LOOPBACK, fake_keys=True)
    swarm.run_for(20)
    keys = {"blob": blob_key(b"value"), "signed": signed_key(swarm.id(1), b"n")}
    gang = [one for i, key in enumerate(keys.values()) for one in ground_keys(key, 25, among=HONEST, seed=i)]
    add_sybils(swarm, gang)
    swarm.run_for(15)
    swarm.command(0, "put", value=b"value")
    swarm.command(1, "put", value=b"value", name="n")
    return swarm, {name: key.hex() for name, key in keys.items()}


def read(swarm: Swarm, key: str) -> list[bytes]:
    """What honest nodes find, every third asked."""
    outcomes = swarm.outcomes([(node, "get", {"key": key}) for node in range(3, HONEST, 3)])
    return [outcome.value["value"] if isinstance(outcome, Ok) else b"" for outcome in outcomes]


@pytest.mark.parametrize("name", ["blob", "signed"])
def test_a_region_put_is_found_by_everybody(besieged: tuple[Swarm, dict[str, str]], name: str) -> None:
    swarm, keys = besieged
    assert read(swarm, keys[name]) == [b"value"] * 19


def test_it_is_stored_at_honest_nodes_beside_the_sybils(besieged: tuple[Swarm, dict[str, str]]) -> None:
    swarm, keys = besieged
    for name in ("blob", "signed"):
        key, now = bytes.fromhex(keys[name]), swarm.peer(0).loop.now.wall_ms
        holders = [node for node in range(HONEST) if swarm.peer(node).dht.store.get(key, now) is not None]
        assert len(holders) >= 10


def test_ids_of_one_network_do_not_fill_tables() -> None:
    """The caps bite where a bucket is full; a few more are in those that have room."""
    swarm = Swarm(HONEST, seed=2, link=LOOPBACK, fake_keys=True)
    swarm.run_for(10)
    gang = ground_keys(bytes(32), 40, among=1, seed=5)
    start = len(swarm)
    add_sybils(swarm, gang, address=lambda index: Address(bytes((200, 1, 2, 1 + index - start)), PORT))
    swarm.run_for(20)
    for node in range(HONEST):
        contacts = swarm.peer(node).table.contacts()
        sybils = sum(contact.address.ip[:3] == bytes((200, 1, 2)) for contact in contacts)
        assert sybils <= 2 * MAX_PER_SUBNET_IN_TABLE
        assert len(contacts) - sybils >= 40
