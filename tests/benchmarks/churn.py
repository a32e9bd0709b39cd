"""30 % of N nodes die without a word: how long do reads and writes take from the first moment on?"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
from typing import Any

import trio

from tests.benchmarks import ours, theirs
from tests.benchmarks.harness import Row, Run, at_least, at_most, main, median, ratio

MODULE = "tests.benchmarks.churn"
SEED = 2
DEAD = 0.3
AT_ONCE = 10
#: The baseline needs 5 to 40 s an operation, so it does fewer.
THEIR_GETS, THEIR_PUTS = 30, 10


def _run_theirs(args: argparse.Namespace) -> Run:
    return asyncio.run(_theirs(args))


async def _theirs(args: argparse.Namespace) -> Run:
    rng, wire = random.Random(SEED), theirs.Wire()
    servers = await theirs.start(args.nodes, wire, rng)
    value = os.urandom(100)
    keys = [f"key {i}" for i in range(THEIR_GETS)]
    await theirs.each([lambda key=key: rng.choice(servers).set(key, value) for key in keys], AT_ONCE, wire)
    dead = rng.sample(servers, int(args.nodes * DEAD))
    for server in dead:
        server.stop()
    live = [server for server in servers if server not in dead]
    held = {key: theirs.holders(live, key) for key in keys}
    readers = [(key, rng.choice([s for s in live if s not in held[key]])) for key in keys]
    results, get = await theirs.each([lambda k=k, s=s: s.get(k) for k, s in readers], AT_ONCE, wire)
    out: Run = {"get": get | {"found": results.count(value) / len(keys)}}
    jobs = [lambda i=i: rng.choice(live).set(f"new {i}", value) for i in range(THEIR_PUTS)]
    results, put = await theirs.each(jobs, AT_ONCE, wire)
    return out | {"put": put | {"ok": results.count(True) / THEIR_PUTS}}


def _run_ours(args: argparse.Namespace) -> Run:
    return trio.run(_ours, args)


async def _ours(args: argparse.Namespace) -> Run:
    rng = random.Random(SEED)
    async with trio.open_nursery() as nursery:
        nodes = await ours.start(nursery, args.nodes, rng)
        stored: dict[str, bytes] = {}

        async def put(among: list[ours.Node], profile: str) -> Any:
            value = os.urandom(100)
            result = await rng.choice(among).command("put", value=value, salt=os.urandom(16), profile=profile)
            stored[result["key"]] = value
            return result

        async def get(key: str, node: ours.Node, paths: int) -> Any:
            result = await node.command("get", key=key, paths=paths)
            assert result["value"] == stored[key]
            return result

        await ours.each([lambda: put(nodes, "cheap")] * 100, AT_ONCE, nodes)
        dead = rng.sample(nodes, int(args.nodes * DEAD))
        for node in dead:
            node.kill()
        live = [node for node in nodes if node not in dead]
        keys, out = list(stored), Run()
        # The order matters: whoever comes first meets the dead. So the first reads are those that count.
        for name, paths in (("get", 8), ("get_d1", 1)):
            readers = [(key, rng.choice([n for n in live if not n.holds(key)])) for key in keys]
            results, row = await ours.each([lambda k=k, n=n, p=paths: get(k, n, p) for k, n in readers], AT_ONCE, live)
            out[name] = row | {"found": sum(result is not None for result in results) / len(keys)}
        for name, profile, at_once in (
            ("put", "cheap", 1),
            ("put_secure", "secure", 1),
            ("put_c10", "cheap", AT_ONCE),
            ("put_secure_c10", "secure", AT_ONCE),
        ):
            results, row = await ours.each([lambda p=profile: put(live, p)] * 20, at_once, live)
            out[name] = row | {"ok": sum(result is not None for result in results) / 20}
        nursery.cancel_scope.cancel()
    return out


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    mine, other = results["ours"], results["theirs"]
    get50, get99 = median(mine, "get", "p50_ms"), median(mine, "get", "p99_ms")
    put50, secure50 = median(mine, "put", "p50_ms"), median(mine, "put_secure", "p50_ms")
    busy50, busy_secure50 = median(mine, "put_c10", "p50_ms"), median(mine, "put_secure_c10", "p50_ms")
    their_get50, their_get99 = median(other, "get", "p50_ms"), median(other, "get", "p99_ms")
    their_put50 = median(other, "put", "p50_ms")
    found = median(mine, "get", "found")
    sooner = min(ratio(their_get50, get50), ratio(their_put50, put50))
    where = f"{args.nodes} nodes, 30 % killed"
    return [
        Row(
            f"GET after {where}: p50 (8 paths)",
            "<= 100 ms",
            f"{get50:.0f} ms against {their_get50:.0f} ms",
            at_most(get50, 100),
        ),
        Row("... p99", "<= 1 s", f"{get99:.0f} ms against {their_get99:.0f} ms", at_most(get99, 1000)),
        Row("... found", ">= 99 %", f"{found:.1%}", at_least(found, 0.99)),
        Row(
            f"PUT after {where}: p50 (cheap; secure)",
            "<= 500 ms",
            f"{put50:.0f} ms; {secure50:.0f} ms; against {their_put50:.0f} ms "
            f"({AT_ONCE} at once on one core for all nodes: {busy50:.0f}; {busy_secure50:.0f} ms)",
            at_most(put50, 500) and at_most(secure50, 500),
        ),
        Row("... sooner than kademlia", ">= 20x", f"{sooner:.0f}x (the smaller of GET and PUT)", at_least(sooner, 20)),
    ]


if __name__ == "__main__":
    main(MODULE, {"ours": _run_ours, "theirs": _run_theirs}, _rows, [("nodes", 60, "nodes in one process")])
