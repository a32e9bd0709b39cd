"""Plain streams of an application in whole nodes: somebody's socket, two nodes, a recording and its replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from p2pnode.node import Node, open_node
from p2pnode.paths import Home
from p2pnode.record import Wanted, replay
from tests.node.test_node import config
from tests.support.plain_app import BLOCK, GREETING, Plainly, block
from tests.support.stream_rig import gone

PLAINLY = f"{Plainly.__module__}:Plainly"
BLOCKS = 100


def tcp(node: Node) -> str:
    return node.listen[-1].removeprefix("tcp ")


async def talked(stream: trio.SocketStream, number: int) -> bytes:
    """A greeting and a block, there and back."""
    said = GREETING + BLOCK.to_bytes(4, "big") + block(number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, said)
        heard = b""
        while len(heard) < len(said):
            heard += await stream.receive_some(1 << 16)
    return heard


async def client(node: Node) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", int(tcp(node).rpartition(":")[2]))


async def test_somebody_with_a_socket_reaches_the_application_and_no_other_byte_does(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with open_node(Home(tmp_path / "a"), config(apps=(PLAINLY,), files=False, chain=False)) as node:
            await node.command("status")  # its applications have begun
            silent = [await client(node) for _ in range(400)]
            for first in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"):
                other = await client(node)
                await other.send_all(first)
                assert await gone(other)
                await other.aclose()
            good = await client(node)
            assert await talked(good, 7) == GREETING + BLOCK.to_bytes(4, "big") + block(7)
            status = await node.command("status")
            assert status["streams"]["plain"] == 1
            assert status["counters"]["tcp_not_ours"] == 2
            assert status["counters"]["tcp_plain"] == 1
            for stream in (good, *silent):
                await stream.aclose()


async def test_a_node_without_such_an_application_takes_none(tmp_path: Path) -> None:
    with trio.fail_after(30):
        async with open_node(Home(tmp_path / "a"), config(files=False, chain=False)) as node:
            other = await client(node)
            await other.send_all(GREETING)
            assert await gone(other)
            await other.aclose()


@pytest.mark.parametrize("recorded", ["dialler", "taker"])
async def test_a_recorded_node_with_plain_streams_replays(tmp_path: Path, recorded: str) -> None:
    file = tmp_path / "node.rec"
    wanted = {recorded: Wanted(file)}
    alone = config(apps=(PLAINLY,), files=False, chain=False)
    async with (
        open_node(Home(tmp_path / "a"), alone, record=wanted.get("taker")) as a,
        open_node(Home(tmp_path / "b"), alone, record=wanted.get("dialler")) as b,
    ):
        with trio.fail_after(30):
            await a.command("status")
            args: dict[str, Any] = {"to": tcp(a), "blocks": BLOCKS}
            answer = await b.command("app", app="plainly", command="swap", args=args)
            assert answer == [True, len(GREETING) + BLOCKS * (4 + BLOCK)]
    verdict = replay(file)
    assert verdict.difference is None
    assert verdict.whole
    assert verdict.inputs["stream"] > 10
