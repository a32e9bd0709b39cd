"""Unmodified `kademlia` peers across real nodes of ours: peers, drivers and UDP sockets on loopback."""

from __future__ import annotations

import random

import trio
import trio_asyncio

from p2pnode.bridge import Bridge, serve_bridge
from tests.benchmarks import ours
from tests.node.bridge_fakes import foreign_peers


async def test_100_of_100_keys_cross_real_nodes_both_ways(nursery: trio.Nursery) -> None:
    nodes = await ours.start(nursery, 4, random.Random(1))
    left: Bridge = await nursery.start(serve_bridge, nodes[0].command, "127.0.0.1", 0)
    right: Bridge = await nursery.start(serve_bridge, nodes[3].command, "127.0.0.1", 0)
    async with foreign_peers(left, 2) as west, foreign_peers(right, 2) as east:
        for i in range(100):
            await west[i % 2].set(f"west {i}", i)
            await east[i % 2].set(f"east {i}", f"value {i}")
        await west[0].set("long", b"x" * 8000)
        assert [await east[i % 2].get(f"west {i}") for i in range(100)] == list(range(100))
        assert [await west[i % 2].get(f"east {i}") for i in range(100)] == [f"value {i}" for i in range(100)]
        assert await east[1].get("long") == b"x" * 8000
        assert await east[0].get("nobody set this") is None
    for bridge in (left, right):
        assert not {"failed", "malformed", "unproven", "store_failed", "overlay_failed"} & set(bridge.counters)


async def test_what_is_bridged_is_a_record_of_the_node_and_cannot_touch_others(nursery: trio.Nursery) -> None:
    nodes = await ours.start(nursery, 3, random.Random(2))
    await nodes[0].command("put", value=b"mine", name="a name of 20 letters", profile="cheap")
    left: Bridge = await nursery.start(serve_bridge, nodes[0].command, "127.0.0.1", 0)
    async with foreign_peers(left, 1) as west:
        # The worst a foreign peer can do: choose the key on the wire, unhashed.
        server, protocol = west[0].server, west[0].server.protocol

        async def store() -> object:
            return await protocol.store(("127.0.0.1", left.port), server.node.id, b"a name of 20 letters", "theirs")

        assert await trio_asyncio.aio_as_trio(store)() == (True, True)
    own = (await nodes[0].command("status"))["id"]
    got = await nodes[2].command("get", author=own, name="a name of 20 letters")
    assert got["value"] == b"mine"
