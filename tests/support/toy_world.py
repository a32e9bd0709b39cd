"""An engine of toy peers that stream to each other, all over one sort of link."""

from __future__ import annotations

from overlay.runtime.address import Address
from overlay.runtime.ports import MS, StreamEffect, StreamOpen
from simulations.engine import Engine
from simulations.links import Link
from simulations.network import Network
from tests.support.toy_streams import ToyStreams

TRIP = 10 * MS
LINK = Link(latency_ns=(TRIP, TRIP))


def address(node: int) -> Address:
    return Address(bytes((20, 0, 0, node + 1)), 4433)


class World:
    """Peers of which 0 opens stream 2 to 1, where it is stream 1."""

    def __init__(self, n: int = 2, *, link: Link = LINK, seed: int = 0, greedy: bool = True, welcome: int = 1) -> None:
        self.peers: dict[int, ToyStreams] = {}
        self.greedy, self.welcome = greedy, welcome
        self.engine = Engine(self._make, seed=seed, network=Network(link), traced=True)
        for node in range(n):
            self.engine.add([address(node)])
            self.engine.start(node)

    def _make(self, index: int, *_: object) -> ToyStreams:
        self.peers[index] = ToyStreams(welcome=self.welcome, greedy=self.greedy)
        return self.peers[index]

    def do(self, node: int, effect: StreamEffect) -> None:
        self.engine.command(node, "do", {"effect": effect}, lambda _: None)

    def run(self, ns: int) -> None:
        self.engine.run_until(self.engine.now_ns + ns)

    def open(self) -> None:
        self.do(0, StreamOpen(2, address(1)))
        self.run(2 * TRIP)
