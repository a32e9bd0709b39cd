"""Streams between hosts of a LAN: found by themselves, over IPv6, through loss, and at the address that still works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from p2pnode.ui.fail import Fail
from tests.lan.test_lan import HEALED_S, SEEN_S, list_each_other
from tests.support.netns import HostNode, Lan, until

pytestmark = [pytest.mark.needs("root", "ip")]

APP = ("--app", "tests.node.test_stream_nodes:Echo")
UNIT = 256 * 1024


def echo(node: HostNode, other: str, *, count: int) -> Any:
    """What the application tells once `count` messages of 256 KiB went there and back; None if that failed."""
    try:
        answer = node.call("POST", "/v1/apps/echo/echo", {"peer": other, "count": count, "size": UNIT})
    except Fail:
        return None
    assert answer["answer"]["same"] == count
    return answer["answer"]


async def test_two_hosts_that_found_each_other_exchange_messages(tmp_path: Path) -> None:
    with Lan(hosts=2, folder=tmp_path) as lan:
        async with lan.node(0, *APP) as a, lan.node(1, *APP) as b:
            await until(lambda: list_each_other(a, b), within_s=SEEN_S, what="they list each other")
            for node, other in ((a, b), (b, a)):
                told = await trio.to_thread.run_sync(lambda node=node, other=other: echo(node, other.id, count=16))
                assert told["received"] == 16 * UNIT
            assert a.status()["counters"]["tcp_bytes_sent"] > 32 * UNIT


async def test_over_ipv6(tmp_path: Path) -> None:
    with Lan(hosts=2, folder=tmp_path) as lan:
        for host in lan.hosts:
            lan.add_address(host, f"fd77::{host + 1}/64")
        async with (
            lan.node(0, *APP, "--listen", "[::]:4433") as a,
            lan.node(1, *APP, "--listen", "[::]:4433", "--join", "[fd77::1]:4433") as b,
        ):
            await until(lambda: list_each_other(a, b), within_s=SEEN_S, what="they list each other")
            for node, other in ((a, b), (b, a)):
                told = await trio.to_thread.run_sync(lambda node=node, other=other: echo(node, other.id, count=4))
                assert told["address"].startswith("[f")


@pytest.mark.needs("nft")
async def test_with_a_fifth_of_all_packets_lost(tmp_path: Path) -> None:
    """Also a whole attempt may be lost: three tries of TCP to connect, each of which fails in a third of cases."""
    with Lan(hosts=2, folder=tmp_path) as lan:
        for host in lan.hosts:
            lan.loss(host, 20)
        async with lan.node(0, *APP) as a, lan.node(1, *APP) as b:
            await until(lambda: list_each_other(a, b), within_s=HEALED_S, what="they list each other")
            other = b.id
            told = await until(lambda: echo(a, other, count=1), within_s=120, what="a message there and back")
            assert told["received"] == UNIT
