"""Does a routing table return the k closest of what it holds? Against brute force, near and far targets."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time

from kademlia.node import Node
from kademlia.routing import RoutingTable as ForeignTable

from overlay.dht.diversity import Diversity
from overlay.dht.routing_table import RoutingTable
from overlay.rpc.contact import ContactBook
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from tests.benchmarks.harness import Row, Run, main, median, rounded

MODULE = "tests.benchmarks.closest"
K = 20
OFFERED = (30, 60, 100, 1000)
TARGETS = 50


class _Score:
    def __init__(self) -> None:
        self.calls = self.exact = 0
        self.recall = self.took = 0.0

    def add(self, got: set[int], want: set[int], took: float) -> None:
        self.calls += 1
        self.exact += got == want
        self.recall += len(got & want) / len(want)
        self.took += took

    def row(self) -> Run:
        return {
            "exact": rounded(self.exact / self.calls),
            "recall": rounded(self.recall / self.calls),
            "us_per_call": rounded(self.took / self.calls * 1e6),
        }


def _near(rng: random.Random, own: int, bits: int) -> int:
    """An id in the neighbourhood of `own`: the upper bits are the same."""
    return own ^ rng.getrandbits(bits - 10)


def _run_theirs(args: argparse.Namespace) -> Run:
    return asyncio.run(_theirs(args))


async def _theirs(args: argparse.Namespace) -> Run:
    class Protocol:
        async def call_ping(self, node: Node) -> tuple[bool, bytes]:
            return True, b""

    rng, out = random.Random(4), Run()
    for offered in OFFERED:
        score = _Score()
        for _ in range(args.tables):
            me = Node(os.urandom(20))
            table = ForeignTable(Protocol(), K, me)
            for port in range(offered):
                table.add_contact(Node(os.urandom(20), "10.0.0.1", port))
            held = [node.long_id for bucket in table.buckets for node in bucket.get_nodes()]
            for number in range(TARGETS):
                target = rng.getrandbits(160) if number % 2 else _near(rng, me.long_id, 160)
                node = Node(target.to_bytes(20, "big"))
                start = time.perf_counter()
                found = table.find_neighbors(node, K)
                took = time.perf_counter() - start
                want = sorted(held, key=lambda each: each ^ target)[:K]
                score.add({each.long_id for each in found}, set(want), took)
        out[f"n{offered}"] = score.row()
    return out


def _run_ours(args: argparse.Namespace) -> Run:
    rng, out = random.Random(4), Run()
    for offered in OFFERED:
        score = _Score()
        for _ in range(args.tables):
            own, book = rng.getrandbits(256), ContactBook()
            table = RoutingTable(own, diversity=Diversity(), rng=Rng(rng.getrandbits(64)))
            kept = [book.contact(os.urandom(32), Address(b"\x0a\x00\x00\x01", 2000 + port)) for port in range(offered)]
            for contact in kept:
                table.seen(contact, 1)
            held = [contact.number for contact in table.contacts()]
            for number in range(TARGETS):
                target = rng.getrandbits(256) if number % 2 else _near(rng, own, 256)
                start = time.perf_counter()
                found = table.closest(target, K)
                took = time.perf_counter() - start
                want = sorted(held, key=lambda each: each ^ target)[:K]
                score.add({each.number for each in found}, set(want), took)
        out[f"n{offered}"] = score.row()
    return out


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    mine, other = results["ours"], results["theirs"]
    exact = min(median(mine, f"n{n}", "exact") for n in OFFERED)
    theirs = [median(other, f"n{n}", "exact") for n in OFFERED[:3]]
    recall = [median(other, f"n{n}", "recall") for n in OFFERED[:3]]
    us, their_us = median(mine, "n100", "us_per_call"), median(other, "n100", "us_per_call")
    return [
        Row(
            "exact k closest of what the table holds (30 to 100 offered)",
            "100 %",
            f"{exact:.0%} against {min(theirs):.0%}-{max(theirs):.0%} (recall {min(recall):.2f}-{max(recall):.2f}); "
            f"{us:.0f} us a call against {their_us:.0f}",
            exact == 1,
        )
    ]


if __name__ == "__main__":
    main(MODULE, {"ours": _run_ours, "theirs": _run_theirs}, _rows, [("tables", 20, "tables of each size")])
