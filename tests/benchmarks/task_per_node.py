"""The peers of a simulated swarm, each in a task of its own under trio's mock clock: the engine's rival.

It has no loss, no storage delays and no trace; only the order of its events is left to trio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import trio
import trio.testing

from overlay.peer import Peer
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND, Commit, Interface, Now, Ok, Result, SendDatagram, Sync
from simulations.population import Population
from simulations.storage import MemoryStorage

_WALL_MS = 1_767_225_600_000


@attrs.define(slots=True, eq=False)
class Node:
    """One peer, the channel of its datagrams, and who waits for the end of its commands."""

    peer: Peer
    address: Address
    storage: MemoryStorage
    send: trio.MemorySendChannel[tuple[str, Any]]
    receive: trio.MemoryReceiveChannel[tuple[str, Any]]
    results: dict[int, Callable[[Any], None]] = attrs.Factory(dict)


class Tasks:
    """`latency_ns` is drawn for each datagram, as the engine's link does."""

    def __init__(self, population: Population, latency_ns: tuple[int, int]) -> None:
        self.population = population
        self.latency_ns = latency_ns
        self.datagrams = 0
        self.rng = Rng(5)
        self.nodes: dict[Address, Node] = {}

    def now(self) -> Now:
        mono_ns = round(trio.current_time() * SECOND)
        return Now(mono_ns, _WALL_MS + mono_ns // 1_000_000)

    async def run(self, node: Node, nursery: trio.Nursery) -> None:
        peer = node.peer
        peer.start(self.now())
        peer.handle_network(self.now(), (Interface(node.address.ip, 8),))
        await self._carry_out(node, nursery)
        while True:
            deadline = peer.next_deadline()
            what, value = "timer", None
            with trio.move_on_at(math.inf if deadline is None else deadline / SECOND):
                what, value = await node.receive.receive()
            match what:
                case "datagram":
                    peer.handle_datagram(self.now(), *value)
                case "command":
                    peer.handle_command(self.now(), *value)
                case "done":
                    peer.handle_done(self.now(), value, Ok())
                case _:
                    peer.handle_timer(self.now())
            await self._carry_out(node, nursery)

    async def _carry_out(self, node: Node, nursery: trio.Nursery) -> None:
        for effect in node.peer.outbox():
            match effect:
                case SendDatagram(to, data):
                    self.datagrams += 1
                    if to in self.nodes:
                        delay_ns = self.rng.between(*self.latency_ns)
                        nursery.start_soon(self._later, delay_ns, self.nodes[to], ("datagram", (node.address, data)))
                case Commit(effect_id):
                    nursery.start_soon(self._later, 2_000_000, node, ("done", effect_id))
                case Sync(effect_id):
                    nursery.start_soon(self._later, 8_000_000, node, ("done", effect_id))
                case Result(command_id, outcome):
                    node.results.pop(command_id)(outcome)

    async def _later(self, delay_ns: int, node: Node, event: tuple[str, Any]) -> None:
        await trio.sleep(delay_ns / SECOND)
        node.send.send_nowait(event)

    def add(self, index: int) -> Node:
        storage, counter = MemoryStorage(), Rng(index + 1)
        peer = self.population.peer(index, storage, Rng(index + 1000), counter.bytes)
        send, receive = trio.open_memory_channel[tuple[str, Any]](math.inf)
        node = Node(peer, self.population.address(index), storage, send, receive)
        self.nodes[node.address] = node
        return node

    async def command(self, node: Node, number: int, name: str, args: dict[str, Any]) -> Any:
        ended, outcome = trio.Event(), []

        def done(value: Any) -> None:
            outcome.append(value)
            ended.set()

        node.results[number] = done
        node.send.send_nowait(("command", (number, name, args)))
        await ended.wait()
        return outcome[0]


def lookups(population: Population, nodes: int, latency_ns: tuple[int, int], join_every_s: float) -> dict[str, float]:
    """`nodes` join one after another, then each looks something up: datagrams, virtual seconds."""

    async def all_of_it() -> dict[str, float]:
        tasks, rng = Tasks(population, latency_ns), Rng(7)
        async with trio.open_nursery() as nursery:
            made = [tasks.add(index) for index in range(nodes)]
            for index, node in enumerate(made):
                nursery.start_soon(tasks.run, node, nursery)
                if index:
                    other = {"address": str(made[rng.below(index)].address), "id": None}
                    nursery.start_soon(tasks.command, node, 1, "join", {"addresses": [other]})
                await trio.sleep(join_every_s)
            await trio.sleep(10)
            async with trio.open_nursery() as asked:
                for _ in range(nodes):
                    node = made[rng.below(nodes)]
                    number = 2 + tasks.datagrams
                    args = {"key": rng.bytes(32).hex(), "paths": 4}
                    asked.start_soon(tasks.command, node, number, "lookup", args)
                    await trio.sleep(0.02)
            virtual_s = trio.current_time()
            nursery.cancel_scope.cancel()
        return {"datagrams": tasks.datagrams, "virtual_s": virtual_s}

    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(all_of_it, clock=clock)
