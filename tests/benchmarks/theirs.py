"""The `kademlia` package as it is, N nodes in one process."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import attrs
from kademlia.network import Server
from kademlia.utils import digest

from tests.benchmarks.harness import Meter, Run

# It logs a line a datagram and time-out: formatting them would be measured.
logging.disable(logging.CRITICAL)


@attrs.define
class Wire:
    """Counts what all nodes send."""

    datagrams: int = 0

    def around(self, server: Server) -> None:
        send = server.protocol.transport.sendto

        def counting(data: bytes, address: tuple[str, int]) -> None:
            self.datagrams += 1
            send(data, address)

        server.protocol.transport = _Transport(server.protocol.transport, counting)


class _Transport:
    def __init__(self, inner: Any, sendto: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._inner = inner
        self.sendto = sendto

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def port_of(server: Server) -> int:
    return int(server.transport.get_extra_info("sockname")[1])


async def start(count: int, wire: Wire, rng: random.Random) -> list[Server]:
    """Each joins through one that is there already, one after another."""
    servers: list[Server] = []
    for _ in range(count):
        server = Server()
        await server.listen(0, "127.0.0.1")
        wire.around(server)
        servers.append(server)
    for i in range(1, count):
        await servers[i].bootstrap([("127.0.0.1", port_of(servers[rng.randrange(i)]))])
    return servers


def contacts_of(server: Server) -> int:
    return sum(len(bucket) for bucket in server.protocol.router.buckets)


def holders(servers: Iterable[Server], key: str) -> list[Server]:
    wanted = digest(key)
    return [server for server in servers if wanted in server.storage.data]


async def each(jobs: Iterable[Callable[[], Awaitable[Any]]], at_once: int, wire: Wire) -> tuple[list[Any], Run]:
    """Run the jobs, `at_once` of them at a time: their results in order of ending, and the figures."""
    queue, results, meter, before = iter(jobs), [], Meter(), wire.datagrams

    async def worker() -> None:
        for job in queue:
            results.append(await meter.time(job))

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return results, meter.row(datagrams_per_op=round((wire.datagrams - before) / max(1, len(results)), 1))
