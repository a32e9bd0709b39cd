"""A node joins a network on loopback: socket open to first answer, and to a filled table."""

from __future__ import annotations

import argparse
import asyncio
import random
import time

import trio
from kademlia.network import Server

from tests.benchmarks import ours, theirs
from tests.benchmarks.harness import Row, Run, at_most, main, median, percentile, rounded

MODULE = "tests.benchmarks.join"
SEED = 3


def _row(first: list[float], filled: list[float], contacts: list[int]) -> Run:
    return {
        "first_answer_ms": rounded(percentile(first, 0.5) * 1e3),
        "first_answer_max_ms": rounded(max(first) * 1e3),
        "joined_ms": rounded(percentile(filled, 0.5) * 1e3),
        "contacts": rounded(sum(contacts) / len(contacts)),
    }


def _run_theirs(args: argparse.Namespace) -> Run:
    return asyncio.run(_theirs(args))


async def _theirs(args: argparse.Namespace) -> Run:
    rng, wire = random.Random(SEED), theirs.Wire()
    servers = await theirs.start(args.nodes, wire, rng)
    first: list[float] = []
    filled: list[float] = []
    contacts: list[int] = []
    for _ in range(args.joins):
        start = time.perf_counter()
        server = Server()
        await server.listen(0, "127.0.0.1")
        where = ("127.0.0.1", theirs.port_of(rng.choice(servers)))
        assert await server.bootstrap_node(where) is not None
        first.append(time.perf_counter() - start)
        await server.bootstrap([where])
        filled.append(time.perf_counter() - start)
        contacts.append(theirs.contacts_of(server))
    return _row(first, filled, contacts)


def _run_ours(args: argparse.Namespace) -> Run:
    return trio.run(_ours, args)


async def _ours(args: argparse.Namespace) -> Run:
    rng = random.Random(SEED)
    first: list[float] = []
    filled: list[float] = []
    contacts: list[int] = []
    async with trio.open_nursery() as nursery:
        nodes = await ours.start(nursery, args.nodes, rng)
        for _ in range(args.joins):
            start = time.perf_counter()
            node = await ours.open_node(nursery)
            other = rng.choice(nodes)
            await node.command("ping", peer=str(other.address))
            first.append(time.perf_counter() - start)
            await node.join(other)
            filled.append(time.perf_counter() - start)
            contacts.append(len(node.peer.table))
        nursery.cancel_scope.cancel()
    return _row(first, filled, contacts)


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    mine, other = results["ours"], results["theirs"]
    first, worst, joined = (median(mine, name) for name in ("first_answer_ms", "first_answer_max_ms", "joined_ms"))
    their_first, their_joined = median(other, "first_answer_ms"), median(other, "joined_ms")
    return [
        Row(
            f"join on loopback, {args.nodes} nodes: socket to first answer (puzzle apart)",
            "<= 50 ms",
            f"{first:.1f} ms (worst {worst:.1f}) against {their_first:.1f} ms",
            at_most(first, 50),
        ),
        Row(
            "... to the end of the first lookups",
            "reported",
            f"{joined:.0f} ms, {median(mine, 'contacts'):.0f} contacts, "
            f"against {their_joined:.0f} ms, {median(other, 'contacts'):.0f}",
            None,
        ),
    ]


if __name__ == "__main__":
    main(
        MODULE,
        {"ours": _run_ours, "theirs": _run_theirs},
        _rows,
        [("nodes", 50, "nodes that are there already"), ("joins", 20, "nodes that join")],
    )
