"""`p2pnode run --bridge` as processes: programs of the `kademlia` package on one side read what others set."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import trio

from tests.node.bridge_fakes import foreign_peers
from tests.support.nodes import NodeProcess, Nodes

KEYS = 100


@attrs.frozen
class BridgeProcess:
    node: NodeProcess

    @property
    def port(self) -> int:
        """As its newest life said."""
        return int(re.findall(r"^bridge +udp 127\.0\.0\.1:(\d+)", self.node.log, re.MULTILINE)[-1])


async def test_100_of_100_keys_cross_two_processes_both_ways_and_a_killed_bridge_knows_its_own(tmp_path: Path) -> None:
    with Nodes(tmp_path, 2, network="bridged") as nodes:
        for node in nodes:
            node.options = (*node.options, "--bridge", "0")
        await trio.to_thread.run_sync(nodes.start_all)
        left, right = (BridgeProcess(node) for node in nodes)
        async with foreign_peers(left, 2) as west, foreign_peers(right, 2) as east:
            for i in range(KEYS):
                await west[i % 2].set(f"west {i}", i)
                await east[i % 2].set(f"east {i}", f"value {i}")
            assert [await east[i % 2].get(f"west {i}") for i in range(KEYS)] == list(range(KEYS))
            assert [await west[i % 2].get(f"east {i}") for i in range(KEYS)] == [f"value {i}" for i in range(KEYS)]
        kept = (await trio.to_thread.run_sync(nodes[0].status))["own"]
        for node in nodes:
            counters = (await trio.to_thread.run_sync(node.status))["counters"]
            assert not {"bridge_failed", "bridge_malformed", "bridge_store_failed"} & set(counters)

        await trio.to_thread.run_sync(nodes[0].kill)
        nodes[0].start("--join", nodes[1].ticket)
        await trio.to_thread.run_sync(nodes[0].wait_ready)
        again = await trio.to_thread.run_sync(nodes[0].status)
        assert again["counters"]["bridge_recalled"] >= KEYS
        assert again["own"] == kept == 2 * again["counters"]["bridge_recalled"]
        async with foreign_peers(left, 1) as newcomers:  # nobody on this side has a copy
            assert [await newcomers[0].get(f"west {i}") for i in range(KEYS)] == list(range(KEYS))
