"""simulations.streams: whatever happens, bytes arrive in order, once, never more than granted; lost only by an end."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, SECOND, StreamClose, StreamEffect, StreamEnd, StreamGrant, StreamOpen, StreamSend
from simulations.engine import Engine
from simulations.links import MILLION, Link
from simulations.network import Network
from simulations.pipe import Pipe
from simulations.streams import TIMEOUT_NS
from tests.support.toy_streams import ToyStreams

#: Node 0 opens 2, which is 1 at node 1.
ID = {0: 2, 1: 1}

nodes = st.integers(0, 1)
sizes = st.one_of(st.integers(1, 50), st.integers(20_000, 300_000))
pauses = st.integers(0, 5 * SECOND)
lines = st.one_of(st.none(), st.integers(20_000, 2_000_000))
steps = st.one_of(
    st.tuples(st.just("send"), nodes, sizes),
    st.tuples(st.just("send"), nodes, sizes),
    st.tuples(st.just("grant"), nodes, sizes),
    st.tuples(st.just("run"), nodes, pauses),
    st.tuples(st.sampled_from(["cut", "heal", "freeze", "sleep", "resume"]), nodes, st.just(0)),
)
ends = st.tuples(st.sampled_from(["close", "kill", "power"]), nodes, st.just(0))


class Run:
    """One course of things; `sent` has what each node was told to send."""

    def __init__(self, seed: int, loss_ppm: int, rates: tuple[int | None, ...]) -> None:
        self.peers: list[ToyStreams] = []
        link = Link(latency_ns=(MS, 80 * MS), loss_ppm=loss_ppm)
        self.engine = Engine(self._make, seed=seed, network=Network(link), traced=True)
        for node in range(2):
            self.engine.add([Address(bytes((20, 0, 0, node + 1)), 1)])
            up, down = (None if rate is None else Pipe(rate, SECOND) for rate in rates[2 * node : 2 * node + 2])
            self.engine.network.set_pipes(node, up=up, down=down)
            self.engine.start(node)
        self.sent = {0: bytearray(), 1: bytearray()}
        self.closed: list[int] = []
        self.chance = Rng(seed)
        self.do(0, StreamOpen(2, Address(bytes((20, 0, 0, 2)), 1)))
        self.engine.run_until(SECOND)

    def _make(self, index: int, *_: Any) -> ToyStreams:
        self.peers.append(ToyStreams())
        return self.peers[-1]

    def do(self, node: int, effect: StreamEffect) -> None:
        if self.engine.alive(node):
            self.engine.command(node, "do", {"effect": effect}, lambda _: None)

    def step(self, what: str, node: int, n: int) -> None:
        machines = self.engine.machines
        match what:
            case "send":
                if ID[node] not in self.peers[node].ended and node not in self.closed:
                    data = self.chance.bytes(n)
                    self.sent[node] += data
                    self.do(node, StreamSend(ID[node], data))
            case "grant":
                self.do(node, StreamGrant(ID[node], n))
            case "run":
                self.engine.run_until(self.engine.now_ns + n)
            case "cut":
                self.engine.network.cut([node], [1 - node])
            case "heal":
                self.engine.network.heal()
            case "freeze":
                machines.freeze(node)
            case "sleep":
                machines.sleep(node)
            case "resume":
                machines.resume(node)
            case "close":
                self.closed.append(node)
                self.do(node, StreamClose(ID[node]))
            case "kill" | "power":
                self.engine.kill(node, power_loss=what == "power")
        self.check()

    def check(self) -> None:
        for node in (0, 1):
            given = bytes(self.peers[1 - node].given.get(ID[1 - node], b""))
            assert self.sent[node].startswith(given), "in order and once"
            assert self.peers[node].sent.get(ID[node], 0) <= len(self.sent[node])

    def mend(self) -> None:
        """Everything works again, everybody takes everything, and there is time."""
        self.engine.network.heal()
        for node in (0, 1):
            self.engine.machines.resume(node)
            self.do(node, StreamGrant(ID[node], 1 << 30))
        self.engine.run_until(self.engine.now_ns + 600 * SECOND)
        self.check()


@given(st.integers(0, 99), st.integers(0, MILLION // 2), st.tuples(*[lines] * 4), st.lists(steps, max_size=25))
@settings(max_examples=100, deadline=None)
def test_all_arrives_unless_an_end_told_so(
    seed: int, loss_ppm: int, rates: tuple[int | None, ...], course: list[tuple[str, int, int]]
) -> None:
    traces = []
    for _ in range(2):
        run = Run(seed, loss_ppm, rates)
        for step in course:
            run.step(*step)
        run.mend()
        for node in (0, 1):
            arrived = run.peers[1 - node].given.get(ID[1 - node], b"") == run.sent[node]
            timed_out = [peer.ended.get(ID[i]) for i, peer in enumerate(run.peers)] == [StreamEnd.TIMED_OUT] * 2
            assert arrived or timed_out
            assert run.peers[node].sent.get(ID[node], 0) == len(run.sent[node]) or timed_out
        traces.append(run.engine.trace())
    assert traces[0] == traces[1], "the same at every run"


@given(st.integers(0, 99), st.tuples(*[lines] * 4), st.lists(steps, max_size=15), ends, st.lists(steps, max_size=15))
@settings(max_examples=100, deadline=None)
def test_the_other_side_hears_of_every_end(
    seed: int, rates: tuple[int | None, ...], before: list[tuple[str, int, int]], end: tuple[str, int, int],
    after: list[tuple[str, int, int]],
) -> None:  # fmt: skip
    run = Run(seed, 0, rates)
    for step in [*before, end, *after]:
        run.step(*step)
    run.mend()
    what, node, _ = end
    other = run.peers[1 - node]
    if 1 - node == 1 and not other.opened:
        return  # it was never told of the stream
    assert ID[1 - node] in other.ended
    if other.ended[ID[1 - node]] is StreamEnd.CLOSED:
        assert what == "close"
        assert other.given[ID[1 - node]] == run.sent[node], "all that was sent before it closed"
    assert all(not host.streams for host in run.engine.hosts)
    assert run.engine.now_ns > TIMEOUT_NS
