"""N of our nodes in one process: a Peer, a Driver and a real UDP socket each; records in memory as in the baseline."""

from __future__ import annotations

import hashlib
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import attrs
import trio
from sortedcontainers import SortedDict

from overlay.identity.keys import KeyPair
from overlay.identity.network import Network
from overlay.peer import Peer
from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import Interface
from p2pnode.driver import Driver
from p2pnode.transport.udp import Udp, open_udp
from tests.benchmarks.harness import Meter, Run

#: No puzzle: what it costs to make an identity is not what is measured.
NETWORK = Network("bench", puzzle_bits=0)
LOOPBACK = Interface(b"\x7f\x00\x00\x01", 8)


class MemoryStore:
    """The Storage port, and durability that is there at once."""

    def __init__(self) -> None:
        self._pairs: SortedDict[bytes, bytes] = SortedDict()

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._pairs.get(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        self._pairs[key] = value

    def delete(self, key: bytes) -> None:
        self._pairs.pop(key, None)

    def scan(self, prefix: bytes, *, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key in list(self._pairs.irange(max(prefix, after), None)):
            if not key.startswith(prefix):
                return
            if key > after and key in self._pairs:
                yield key, self._pairs[key]

    def commit(self, done: Callable[[BaseException | None], None]) -> None:
        done(None)

    def sync(self, done: Callable[[BaseException | None], None]) -> None:
        done(None)


@attrs.define(eq=False)
class Node:
    peer: Peer
    driver: Driver
    udp: Udp
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def address(self) -> Address:
        return self.udp.listen[0]

    async def command(self, name: str, /, **args: Any) -> Any:
        return await self.driver.command(name, **args)

    async def join(self, other: Node) -> None:
        await self.command("join", addresses=[{"address": str(other.address), "id": None}])

    def holds(self, key: str) -> bool:
        return self.peer.dht.store.get(bytes.fromhex(key), time.time_ns() // 1_000_000) is not None

    def kill(self) -> None:
        """Without a word to anybody."""
        self._scope.cancel()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.udp, self._scope:
            await self.driver.run(task_status=task_status)


async def open_node(nursery: trio.Nursery, seed: int | None = None) -> Node:
    """`seed` fixes the identity."""
    secret = os.urandom(32) if seed is None else hashlib.sha256(b"bench %d" % seed).digest()
    store = MemoryStore()
    peer = Peer(
        network=NETWORK,
        keys=KeyPair.from_seed(secret),
        storage=store,
        rng=Rng(int.from_bytes(secret[:8], "big")),
        entropy=os.urandom,
    )
    udp = open_udp([parse_address("127.0.0.1:0")])
    node = Node(peer, Driver(peer, udp, store), udp)
    await nursery.start(node.run)
    node.driver.network_changed((LOOPBACK,))
    return node


async def start(nursery: trio.Nursery, count: int, rng: random.Random) -> list[Node]:
    """Each joins through one that is there already, one after another."""
    nodes = [await open_node(nursery, i) for i in range(count)]
    for i in range(1, count):
        await nodes[i].join(nodes[rng.randrange(i)])
    return nodes


async def each(jobs: Iterable[Callable[[], Awaitable[Any]]], at_once: int, nodes: list[Node]) -> tuple[list[Any], Run]:
    """Run the jobs, `at_once` of them at a time: their results in order of ending, and the figures."""
    queue, results = iter(jobs), list[Any]()
    before, meter = _sent(nodes), Meter()

    async def worker() -> None:
        for job in queue:
            results.append(await meter.time(job))

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(worker)
    row = meter.row(datagrams_per_op=round((_sent(nodes) - before) / max(1, len(results)), 1))
    rpcs = [result["rpcs"] for result in results if isinstance(result, dict) and "rpcs" in result]
    if rpcs:
        row["rpcs_per_op"] = round(sum(rpcs) / len(rpcs), 1)
    return results, row


def _sent(nodes: list[Node]) -> int:
    return sum(node.udp.sent for node in nodes)
