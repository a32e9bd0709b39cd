"""N simulated nodes join and look up: time and memory of the simulator, with the real codec and cheap signatures."""

from __future__ import annotations

import argparse
import gc
import hashlib
import time
from typing import Any

from overlay.identity.network import Network as OverlayNetwork
from overlay.peer import Peer
from overlay.rpc.contact import ContactBook
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import MS, SECOND, Entropy, Interface, Storage
from simulations.engine import Engine
from simulations.network import LAN, Arrival, Network
from tests.benchmarks.harness import Row, Run, at_most, cpu_s, main, median, rounded, rss_mb

MODULE = "tests.benchmarks.swarm"
NETWORK = OverlayNetwork("bench", puzzle_bits=0)
#: A virtual second lets twenty join.
JOIN_EVERY_NS = 50 * MS
SETTLE_NS = 10 * SECOND


class CheapSigner:
    """Signs with a hash that anybody could make: the simulator trusts its nodes not to look."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def sign(self, data: bytes) -> bytes:
        return hashlib.blake2b(data, digest_size=64, key=self.key).digest()


def cheap_verify(key: bytes, data: bytes, signature: bytes) -> bool:
    return hashlib.blake2b(data, digest_size=64, key=key).digest() == signature


class CountedNetwork:
    """The engine's network, with a count of what is sent."""

    def __init__(self, inner: Network) -> None:
        self._inner = inner
        self.attach = inner.attach
        self.datagrams = 0

    def send(self, sender: int, to: Address, size: int, rng: Rng) -> tuple[Arrival, ...]:
        self.datagrams += 1
        return self._inner.send(sender, to, size, rng)


def _address(index: int) -> Address:
    return Address((0x0A00_0001 + index).to_bytes(4, "big"), 4433)


def _run_ours(args: argparse.Namespace) -> Run:
    book = ContactBook()

    def make_peer(index: int, storage: Storage, rng: Rng, entropy: Entropy) -> Peer:
        key = hashlib.sha256(b"swarm %d" % index).digest()
        return Peer(
            network=NETWORK, keys=CheapSigner(key), storage=storage, rng=rng, entropy=entropy,
            verifier=cheap_verify, book=book,
        )  # fmt: skip

    gc.collect()
    memory = rss_mb()
    wire = CountedNetwork(Network(link=LAN))
    engine = Engine(make_peer, seed=1, network=wire)  # type: ignore[arg-type]
    rng = Rng(7)
    ended: list[Any] = []

    def add(index: int) -> None:
        address = _address(index)
        # One site of 10.0.0.0/8, so that nobody counts as a crowd.
        engine.add([address], interfaces=[Interface(address.ip, 8)])
        engine.start(index)
        if index:
            other = {"address": str(_address(rng.below(index))), "id": None}
            engine.command(index, "join", {"addresses": [other]}, ended.append)

    start, cpu = time.perf_counter(), cpu_s()
    for index in range(args.nodes):
        add(index)
        engine.run_until(engine.now_ns + JOIN_EVERY_NS)
    engine.run_until(engine.now_ns + SETTLE_NS)
    joined_s = time.perf_counter() - start
    before = time.perf_counter()
    results: list[Any] = []
    for _ in range(args.nodes):
        engine.command(rng.below(args.nodes), "lookup", {"key": rng.bytes(32).hex()}, results.append)
        engine.run_until(engine.now_ns + 20 * MS)
    engine.run_while(lambda: len(results) < args.nodes, until_ns=engine.now_ns + 60 * SECOND)
    took, lookups_s = time.perf_counter() - start, time.perf_counter() - before
    values = [result.value for result in results if hasattr(result, "value")]
    gc.collect()
    return {
        "events": engine.events,
        "us_per_event": rounded((cpu_s() - cpu) / engine.events * 1e6),
        # An RPC is two datagrams; timers and commits ride along.
        "us_per_rpc": rounded(2e6 * (cpu_s() - cpu) / wire.datagrams),
        "datagrams": wire.datagrams,
        "joined_s": rounded(joined_s),
        "lookups_s": rounded(lookups_s),
        "took_s_all": rounded(took),
        "lookups": len(values),
        "rpcs_per_lookup": rounded(sum(value["rpcs"] for value in values) / max(1, len(values))),
        "kb_per_node": rounded((rss_mb() - memory) * 1024 / args.nodes),
        "table": rounded(sum(len(engine.peer(i).table) for i in range(args.nodes)) / args.nodes),  # type: ignore[attr-defined]
    }


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    mine = results["ours"]
    memory = median(mine, "kb_per_node")
    return [
        Row(
            f"simulated swarm: {args.nodes} nodes join and do {args.nodes} lookups (8 paths)",
            "reported (10,000 with d = 4: <= 300 s)",
            f"{median(mine, 'took_s_all'):.0f} s, {median(mine, 'us_per_rpc'):.0f} us an RPC, "
            f"{median(mine, 'rpcs_per_lookup'):.0f} RPCs a lookup",
            None,
        ),
        Row("... memory of a simulated node, DHT only", "<= 40 kB", f"{memory:.0f} kB", at_most(memory, 40)),
    ]


if __name__ == "__main__":
    main(MODULE, {"ours": _run_ours}, _rows, [("nodes", 1000, "nodes")], runs=1)
