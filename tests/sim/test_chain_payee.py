"""Whose account people mean: addresses, keys, names, beginnings of ids; and no name takes what is meant for a peer."""

from __future__ import annotations

from typing import Any

import pytest

from apps.chain.core.limits import MAX_POOL_TXS
from overlay.identity.node_id import format_id
from tests.support.chain_swarm import RATE, ChainSwarm
from tests.support.swarm import CommandFailed


@pytest.fixture(scope="module")
def swarm() -> ChainSwarm:
    """Three that know each other; node 0 has mined a little."""
    swarm = ChainSwarm(3, rates={0: RATE}, seed=7)
    swarm.run_for(30)
    swarm.mine(0)
    swarm.until_height(0, 8)
    return swarm


def payee(swarm: ChainSwarm, to: str) -> dict[str, Any]:
    found: dict[str, Any] = swarm.ask(1, "payee", to=to)
    return found


def claim(swarm: ChainSwarm, name: str) -> None:
    swarm.ask(0, "name", name=name, value="x")
    while swarm.ask(1, "whois", name=name) is None:
        swarm.run_for(5)


def id_of(swarm: ChainSwarm, node: int) -> str:
    return format_id(swarm.peer(node).id)


def test_addresses_keys_and_ids_mean_the_same(swarm: ChainSwarm) -> None:
    own = swarm.ask(2, "address")
    for to in (own["address"], own["address"].upper(), own["key"], id_of(swarm, 2), id_of(swarm, 2)[:9]):
        found = payee(swarm, to)
        assert (found["address"], found["key"]) == (own["address"], own["key"]), to


def test_a_name_means_its_owner(swarm: ChainSwarm) -> None:
    claim(swarm, "edge-3")
    assert payee(swarm, "edge-3")["key"] == swarm.ask(0, "address")["key"]
    assert payee(swarm, "name:edge-3")["is"] == "the name edge-3"


def test_a_name_that_begins_like_an_address_is_none_for_who_pays_and_who_looks(swarm: ChainSwarm) -> None:
    """The chain lets anybody claim it: its owner is not paid by mistake."""
    name = swarm.ask(2, "address")["address"][:12]
    claim(swarm, name)
    with pytest.raises(CommandFailed, match="looks like the beginning of an address"):
        payee(swarm, name)
    assert payee(swarm, f"name:{name}")["key"] == swarm.ask(0, "address")["key"]


def test_who_is_not_known_is_not_found(swarm: ChainSwarm) -> None:
    for to in ("nobody", "xyz9-xyz9", "name:nobody"):
        with pytest.raises(CommandFailed, match="neither an address nor a claimed name"):
            payee(swarm, to)
    for to, told in (("xs1qqq", "looks like the beginning of an address"), ("xn1qqq", "not|check")):
        with pytest.raises(CommandFailed, match=told):
            payee(swarm, to)
    with pytest.raises(CommandFailed, match="check letters do not fit"):
        payee(swarm, swarm.ask(2, "address")["address"][:-1] + "2")


def test_no_name_takes_what_is_meant_for_a_peer(swarm: ChainSwarm) -> None:
    """A name costs a credit: whoever claims the beginning of somebody's id would be paid in its place."""
    begin = id_of(swarm, 2)[:9]
    claim(swarm, begin)
    with pytest.raises(CommandFailed, match="begins the id of a known peer"):
        payee(swarm, begin)
    assert payee(swarm, f"name:{begin}")["key"] == swarm.ask(0, "address")["key"]
    claim(swarm, "7777-7777")
    with pytest.raises(CommandFailed, match="looks like the id of a peer"):
        payee(swarm, "7777-7777")
    assert payee(swarm, "name:7777-7777")["key"] == swarm.ask(0, "address")["key"]


def test_what_waits_can_be_asked_for(swarm: ChainSwarm) -> None:
    swarm.rest(0)
    txid = swarm.ask(0, "send", to=swarm.ask(2, "address")["key"], amount=5)["tx"]
    (waiting,) = swarm.ask(0, "mempool", limit=MAX_POOL_TXS)
    assert waiting["tx"] == txid
    assert waiting["seen_ms"] > 0
    assert len(bytes.fromhex(waiting["raw"])) == waiting["bytes"]
    assert swarm.ask(0, "tx", tx=txid)["confirmations"] == 0
