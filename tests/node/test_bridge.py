"""Unmodified peers of the `kademlia` package on two bridges, each on a node of one overlay."""

from __future__ import annotations

import logging

import pytest
import trio

from p2pnode.bridge import exposure, serve_bridge
from tests.node.bridge_fakes import Overlay, foreign_peers, running


async def test_100_of_100_keys_cross_both_ways() -> None:
    overlay = Overlay()
    async with (
        running(overlay, "left") as left,
        running(overlay, "right") as right,
        foreign_peers(left, 3) as west,
        foreign_peers(right, 3) as east,
    ):
        for i in range(100):
            assert await west[i % 3].set(f"west {i}", i)
            assert await east[i % 3].set(f"east {i}", f"value {i}")
        assert [await east[i % 3].get(f"west {i}") for i in range(100)] == list(range(100))
        assert [await west[i % 3].get(f"east {i}") for i in range(100)] == [f"value {i}" for i in range(100)]
        for counters in (left.counters, right.counters):
            assert counters["stored"] == 100
            assert not {"failed", "malformed", "unproven", "refused_busy", "refused_quota"} & set(counters)


@pytest.mark.parametrize(
    "value",
    [
        5,
        -(2**63),
        2**64 - 1,
        0,
        True,
        False,
        1.0,
        -0.0,
        1e300,
        "",
        "text \u00fc",
        b"",
        b"\x00\xff",
        b"x" * 830,
        b"x" * 8000,
    ],
    ids=lambda value: repr(value)[:24],
)
async def test_a_value_comes_back_with_its_type(value: object) -> None:
    overlay = Overlay()
    async with (
        running(overlay, "left") as left,
        running(overlay, "right") as right,
        foreign_peers(left, 1) as west,
        foreign_peers(right, 1) as east,
    ):
        await west[0].set("key", value)
        back = await east[0].get("key")
        assert type(back) is type(value)
        assert back == value
        assert str(back) == str(value)  # -0.0


async def test_the_newest_set_wins_whichever_side_it_was_on() -> None:
    overlay = Overlay()
    async with (
        running(overlay, "left") as left,
        running(overlay, "right") as right,
        running(overlay, "third") as third,
        foreign_peers(left, 1) as west,
        foreign_peers(right, 1) as east,
        foreign_peers(third, 1) as reader,
    ):
        await west[0].set("key", "first")
        await east[0].set("key", "second")
        await west[0].set("key", "first")
        # Foreign peers keep copies of what was set on their side, so ask on a third one.
        assert await reader[0].get("key") == "first"
        assert left.counters["stored"] == 2


async def test_a_key_that_nobody_set_is_none() -> None:
    overlay = Overlay()
    async with running(overlay, "left") as left, foreign_peers(left, 2) as west:
        assert await west[0].get("nothing") is None
        assert left.counters["not_found"] == 1


async def test_peers_find_each_other_through_the_bridge() -> None:
    overlay = Overlay()
    async with running(overlay, "left") as left, foreign_peers(left, 3) as west:
        table = west[2].server.protocol.router
        known = {(contact.ip, contact.port) for contact in table.find_neighbors(west[2].server.node)}
        assert known == {("127.0.0.1", left.port), ("127.0.0.1", west[0].port), ("127.0.0.1", west[1].port)}
        assert left.status()["contacts"] == 3


async def test_a_restarted_bridge_has_the_same_id_and_serves_what_it_stored() -> None:
    overlay = Overlay()
    async with running(overlay, "left") as left, foreign_peers(left, 1) as west:
        await west[0].set("key", 7)
        first = left._protocol.source_node.id
    async with running(overlay, "left") as left, foreign_peers(left, 1) as west:
        assert left._protocol.source_node.id == first
        assert await west[0].get("key") == 7


async def test_an_address_that_is_taken_is_an_error_of_the_caller() -> None:
    overlay = Overlay()
    async with running(overlay, "left") as left:
        with pytest.raises(OSError, match="in use"):
            await serve_bridge(overlay.node("right"), "127.0.0.1", left.port)


def test_only_loopback_needs_no_warning() -> None:
    assert exposure("127.0.0.1") is None
    assert exposure("::1") is None
    for host in ("0.0.0.0", "192.0.2.7", "::", "localhost.example"):
        assert host in (exposure(host) or "")


async def test_the_warning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "p2pnode.bridge"):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_bridge, Overlay().node("left"), "0.0.0.0", 0)
            nursery.cancel_scope.cancel()
    assert "whoever reaches it may overwrite" in caplog.text
