"""Joining at an address that was given with an id: nobody else who answers there is a way into the network."""

from __future__ import annotations

from typing import Any

from overlay.identity.node_id import format_id, node_id_of
from tests.support.pair import B, Pair, keys_of, make_peer, pair

GONE = format_id(node_id_of(keys_of(7).key))


def join(link: Pair, node_id: str | None) -> Any:
    return link.command("a", "join", {"addresses": [{"address": str(B), "id": node_id}]})


def listed(link: Pair, side: str) -> list[str]:
    return [row["id"] for row in link.command(side, "peers")]


def test_another_peer_at_the_address_is_named_and_not_joined() -> None:
    link = pair()
    assert join(link, GONE) == {"joined": 0, "others": [{"id": link.id_text("b"), "address": str(B)}]}
    link.settle(60)
    assert listed(link, "a") == []
    assert len(link.a.table) == 0
    assert link.fails("a", "get", {"key": "00" * 32}).code == "not_found"


def test_once_the_expected_one_is_there_it_is_joined() -> None:
    link = pair()
    join(link, GONE)
    link.replace("b", make_peer(7))
    link.settle(60)
    assert listed(link, "a") == [GONE]


def test_who_was_in_the_table_and_is_not_the_expected_one_leaves_it() -> None:
    link = pair().met()
    assert join(link, GONE)["joined"] == 0
    assert len(link.a.table) == 0


def test_the_expected_one_is_joined() -> None:
    link = pair()
    assert join(link, link.id_text("b")) == {"joined": 1, "others": []}
    assert listed(link, "a") == [link.id_text("b")]


def test_of_two_ids_given_with_an_address_either_will_do() -> None:
    link = pair()
    join(link, GONE)
    assert join(link, link.id_text("b"))["joined"] == 1
    assert join(link, GONE)["joined"] == 0
    link.settle(3)
    assert listed(link, "a") == [link.id_text("b")]


def test_an_address_without_an_id_takes_anybody() -> None:
    link = pair()
    assert join(link, None) == {"joined": 1, "others": []}
    assert listed(link, "a") == [link.id_text("b")]
