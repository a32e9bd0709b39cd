"""Streams between whole nodes: handshake, records and messages over real sockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from overlay.app import App, AppContext
from overlay.events import PeerSeen
from overlay.identity.network import format_psk
from overlay.identity.node_id import parse_id
from overlay.secure import handshake
from overlay.secure.noise import Suite
from overlay.streams.endings import StreamEnded
from overlay.streams.stream import Stream
from p2pnode.config import Config, NetworkConfig
from p2pnode.driver import CommandFailed
from p2pnode.keyfile import write_secret
from p2pnode.node import Node, open_node
from p2pnode.paths import Home
from p2pnode.transport import streams
from p2pnode.transport.records import Sealer
from tests.support.stream_rig import PREFACE, gone

UNIT = 256 * 1024


class Echo(App):
    """Sends back what it is sent; `echo` sends `count` messages of `size` bytes to a peer and compares."""

    name = "echo"

    async def run(self, ctx: AppContext) -> None:
        async def serve(stream: Stream) -> None:
            while True:
                try:
                    message = await stream.receive()
                except StreamEnded:
                    return
                await stream.send(message)

        async def echo(args: dict[str, Any]) -> dict[str, Any]:
            stream = await ctx.connect(parse_id(args["peer"]), protocol=args.get("protocol", "1"))
            same = 0
            for n in range(args["count"]):
                message = bytes([n % 256]) * args["size"]
                await stream.send(message)
                same += await stream.receive() == message
            stream.close()
            return {
                "same": same, "sent": stream.sent, "received": stream.received, "address": str(stream.address),
            }  # fmt: skip

        async def keep(args: dict[str, Any]) -> None:
            await ctx.connect(parse_id(args["peer"]))

        ctx.command("keep", keep)
        ctx.accept(serve)
        ctx.command("echo", echo)


@asynccontextmanager
async def pair(
    folder: Path, *, suite: Suite = Suite.AESGCM, network: NetworkConfig | None = None, listen: str = "127.0.0.1:0"
) -> AsyncIterator[Any]:
    """Two nodes that have met."""
    config = Config(
        listen=(listen,), lan=False, network=network or NetworkConfig(puzzle_bits=0),
        sources={"listen": "test"}, apps=("tests.node.test_stream_nodes:Echo",),
    )  # fmt: skip
    async with open_node(Home(folder / "a"), config) as a:
        with a.subscribe() as events:
            async with open_node(Home(folder / "b"), attrs.evolve(config, join=(a.ticket,))) as b:
                for node in (a, b):
                    node.driver.peer.streams.suite = suite  # type: ignore[attr-defined]
                with trio.fail_after(10):
                    async for event in events:
                        if isinstance(event, PeerSeen):
                            break
                yield a, b


async def echo(node: Node, to: Node, **args: Any) -> Any:
    with trio.fail_after(30):
        return await node.command("app", app="echo", command="echo", args={"peer": to.id, **args})


@pytest.mark.parametrize("suite", list(Suite))
async def test_messages_go_there_and_back(tmp_path: Path, suite: Suite) -> None:
    async with pair(tmp_path, suite=suite) as (a, b):
        for node, to in ((b, a), (a, b)):
            answer = await echo(node, to, count=8, size=UNIT)
            assert answer["same"] == 8
            assert min(answer["sent"], answer["received"]) >= 8 * UNIT
        counters = (await a.command("status"))["counters"]
        assert counters["tcp_bytes_sent"] > 16 * UNIT
        assert (counters["tcp_accepted"], counters["tcp_dialled"]) == (1, 1)


async def test_over_ipv6(tmp_path: Path) -> None:
    async with pair(tmp_path, listen="[::1]:0") as (a, b):
        answer = await echo(b, a, count=2, size=UNIT)
        assert (answer["same"], answer["address"]) == (2, a.listen[0].removeprefix("udp "))


async def test_each_side_takes_the_cipher_of_the_other(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        b.driver.peer.streams.suite = Suite.CHACHAPOLY
        for node, to in ((a, b), (b, a)):
            assert (await echo(node, to, count=2, size=1_000))["same"] == 2


async def test_a_status_counts_the_streams_that_are_open(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        with trio.fail_after(30):
            await b.command("app", app="echo", command="keep", args={"peer": a.id})
        told = [(await node.command("status"))["streams"] for node in (a, b)]
    assert told == [
        {"open": 1, "incoming": 1, "handshakes": 0, "dials": 0, "plain": 0},
        {"open": 1, "incoming": 0, "handshakes": 0, "dials": 0, "plain": 0},
    ]


async def test_members_of_a_private_network_shake_hands_with_its_key(tmp_path: Path) -> None:
    key = tmp_path / "network.key"
    write_secret(key, format_psk(os.urandom(32)).encode())
    async with pair(tmp_path, network=NetworkConfig(puzzle_bits=0, key_file=key)) as (a, b):
        assert (await echo(b, a, count=3, size=1_000))["same"] == 3


async def test_a_protocol_that_nobody_takes_is_refused(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        with pytest.raises(CommandFailed):
            await echo(b, a, count=1, size=1, protocol="2")


async def test_nonsense_after_the_preface_hurts_nobody(tmp_path: Path) -> None:
    async with pair(tmp_path) as (a, b):
        for nonsense in (b"\xd2p2pn/2\x01", b"\xd2p2pn/1\x07", b"\xd2p2pn/1\x01\xff\xff" + bytes(600)):
            stranger = await trio.open_tcp_stream("127.0.0.1", int(a.listen[0].rpartition(":")[2]))
            await stranger.send_all(nonsense)
            assert await gone(stranger)
            await stranger.aclose()
        assert (await echo(b, a, count=1, size=10))["same"] == 1


def test_shell_and_core_mean_the_same_preface() -> None:
    assert handshake.PREFACE_BYTES == len(PREFACE) == streams.PREFACE_BYTES
    assert PREFACE[:-1] == handshake.MAGIC
    assert PREFACE[0] == streams.PREFACE
    assert all(Sealer(bytes(32), suite) for suite in Suite)
