"""PUT and GET among N nodes of one process on real loopback sockets.

Ours is measured in the cheap profile (k closest, one lookup, one path), which is what the baseline
does, and in the secure one (region put with read-back, 8 paths). Reads come from nodes that do not
hold the key. A signed record ends a GET when 3 holders agree, a blob at the first (it proves itself).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from tests.benchmarks import ours, theirs
from tests.benchmarks.harness import Row, Run, at_least, main, median, ratio, rss_mb

MODULE = "tests.benchmarks.network"
VALUE = 100  # bytes, as sensors and names are
SEED = 1
#: The secure profile costs several times more: fewer operations give the same time.
SECURE_SHARE = 4


def _run_theirs(args: argparse.Namespace) -> Run:
    return asyncio.run(_theirs(args))


async def _theirs(args: argparse.Namespace) -> Run:
    rng, wire = random.Random(SEED), theirs.Wire()
    gc.collect()
    before, start = rss_mb(), time.perf_counter()
    servers = await theirs.start(args.nodes, wire, rng)
    out: Run = {"start_s": round(time.perf_counter() - start, 2)}
    out["kb_per_node"] = round((rss_mb() - before) * 1024 / args.nodes, 1)
    out["contacts"] = round(sum(map(theirs.contacts_of, servers)) / args.nodes, 1)
    value = os.urandom(VALUE)
    keys = [f"key {i}" for i in range(2 * args.ops)]
    for at_once, mine in ((1, keys[: args.ops]), (16, keys[args.ops :])):
        jobs = [lambda key=key: rng.choice(servers).set(key, value) for key in mine]
        _, out[f"put_c{at_once}"] = await theirs.each(jobs, at_once, wire)
    held = {key: theirs.holders(servers, key) for key in keys}
    out["holders"] = round(sum(map(len, held.values())) / len(keys), 1)
    for at_once in (1, 16):
        readers = [(key, rng.choice([s for s in servers if s not in held[key]])) for key in keys]
        results, row = await theirs.each([lambda k=k, s=s: s.get(k) for k, s in readers], at_once, wire)
        out[f"get_c{at_once}"] = row | {"found": results.count(value) / len(keys)}
        held = {key: theirs.holders(servers, key) for key in keys}  # a get leaves a copy behind
    return out


def _run_ours(args: argparse.Namespace) -> Run:
    return trio.run(_ours, args)


async def _ours(args: argparse.Namespace) -> Run:
    rng = random.Random(SEED)
    gc.collect()
    before = rss_mb()
    async with trio.open_nursery() as nursery:
        start = time.perf_counter()
        nodes = await ours.start(nursery, args.nodes, rng)
        out: Run = {"start_s": round(time.perf_counter() - start, 2)}
        out["kb_per_node"] = round((rss_mb() - before) * 1024 / args.nodes, 1)
        out["contacts"] = round(sum(len(node.peer.table) for node in nodes) / args.nodes, 1)
        for name, profile, paths, ops, salted in (
            ("signed", "cheap", 1, args.ops, True),
            ("blob", "cheap", 1, args.ops, False),
            ("secure", "secure", 8, max(8, args.ops // SECURE_SHARE), True),
        ):
            out[name] = await _profile(nodes, rng, profile, paths, ops, salted)
        nursery.cancel_scope.cancel()
    return out


async def _profile(nodes: list[ours.Node], rng: random.Random, profile: str, paths: int, ops: int, salted: bool) -> Run:
    out: Run = {}
    stored: list[tuple[str, bytes]] = []

    async def put() -> Any:
        value = os.urandom(VALUE)
        name = {"salt": os.urandom(16)} if salted else {}
        result = await rng.choice(nodes).command("put", value=value, profile=profile, **name)
        stored.append((result["key"], value))
        return result

    async def get(key: str, value: bytes, node: ours.Node) -> Any:
        result = await node.command("get", key=key, paths=paths)
        assert result["value"] == value
        return result

    for at_once in (1, 16):
        results, out[f"put_c{at_once}"] = await ours.each([put] * ops, at_once, nodes)
        out["stored"] = round(sum(r["stored"] for r in results if r) / ops, 1)
    out["holders"] = round(sum(node.holds(key) for key, _ in stored for node in nodes) / len(stored), 1)
    for at_once in (1, 16):
        jobs: list[Callable[[], Awaitable[Any]]] = []
        for key, value in stored:
            reader = rng.choice([node for node in nodes if not node.holds(key)])
            jobs.append(lambda key=key, value=value, reader=reader: get(key, value, reader))
        results, row = await ours.each(jobs, at_once, nodes)
        out[f"get_c{at_once}"] = row | {"found": sum(r is not None for r in results) / len(stored)}
    return out


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    mine, other = results["ours"], results["theirs"]
    rows = []
    for kind, operation in (("signed", "put"), ("signed", "get"), ("blob", "put"), ("blob", "get")):
        texts, ratios = [], []
        for at_once in ("c1", "c16"):
            here = median(mine, kind, f"{operation}_{at_once}", "ops_s")
            there = median(other, f"{operation}_{at_once}", "ops_s")
            ratios.append(ratio(here, there))
            texts.append(f"{at_once}: {here:.0f}/s against {there:.0f}/s, {ratios[-1]:.2f}x")
        sent = median(mine, kind, f"{operation}_c1", "datagrams_per_op")
        sent_there = median(other, f"{operation}_c1", "datagrams_per_op")
        cpu = median(mine, kind, f"{operation}_c1", "cpu_ms_per_op")
        cpu_there = median(other, f"{operation}_c1", "cpu_ms_per_op")
        rows.append(
            Row(
                f"{operation.upper()} {kind}, cheap profile, {args.nodes} nodes in one process",
                ">= 1x kademlia (stretch 2x)",
                f"{'; '.join(texts)}; datagrams {sent:.0f} against {sent_there:.0f}, "
                f"CPU {cpu:.2f} against {cpu_there:.2f} ms",
                all(at_least(value, 1.0) for value in ratios),
            )
        )
    put, get = (median(mine, "secure", f"{operation}_c1", "ops_s") for operation in ("put", "get"))
    put_rpcs, get_rpcs = (median(mine, "secure", f"{operation}_c1", "rpcs_per_op") for operation in ("put", "get"))
    cheap_rpcs = median(mine, "signed", "put_c1", "rpcs_per_op")
    rows.append(
        Row(
            f"secure profile (region put, read-back, 8 paths), {args.nodes} nodes",
            "reported",
            f"PUT {put:.1f}/s of {put_rpcs:.0f} RPCs (cheap: {cheap_rpcs:.0f}); GET {get:.0f}/s of {get_rpcs:.0f} RPCs",
            None,
        )
    )
    held, held_there = median(mine, "signed", "holders"), median(other, "holders")
    found = min((run["signed"]["get_c1"]["found"] for run in mine), default=0)
    rows.append(
        Row(
            "... holders of a record (k = 20), reads that found it",
            "as many as kademlia; all",
            f"{held:.1f} against {held_there:.1f}; {found:.0%}",
            at_least(held, 0.95 * held_there) and found == 1,
        )
    )
    rows.append(
        Row(
            f"memory of a node, {args.nodes} in one process",
            "reported",
            f"{median(mine, 'kb_per_node'):.0f} kB against {median(other, 'kb_per_node'):.0f} kB",
            None,
        )
    )
    return rows


if __name__ == "__main__":
    main(
        MODULE,
        {"ours": _run_ours, "theirs": _run_theirs},
        _rows,
        [("nodes", 200, "nodes in one process"), ("ops", 100, "operations of each kind")],
    )
