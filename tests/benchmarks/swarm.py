"""The simulator: time, memory and speed of `p2pnode swarm run`, beside the same peers with a task each."""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any

from overlay.identity.network import Network as Realm
from p2pnode.ui import begin, huge_pages
from simulations import scenario
from simulations.places import Places
from simulations.population import Codec, Population
from simulations.spec import scenario_of
from simulations.swarm import Swarm
from tests.benchmarks import task_per_node
from tests.benchmarks.harness import Row, Run, at_least, at_most, cpu_s, main, median, rounded, rss_mb

MODULE = "tests.benchmarks.swarm"
#: Twenty nodes join a virtual second.
JOIN_EVERY_S = 0.05
LAN_NS = (200_000, 1_000_000)
#: The two ways of running are compared at this size: a task for each datagram is slow.
COMPARED = 200


def _lookups(nodes: int) -> dict[str, Any]:
    """All join, then as many lookups as there are nodes, over 4 paths."""
    arrive_s = nodes * JOIN_EVERY_S
    lookup = {"kind": "lookup", "count": nodes, "paths": 4, "from_s": arrive_s + 10, "to_s": arrive_s + 10 + nodes / 50}
    return {
        "duration_s": arrive_s + 12 + nodes / 50, "sample_s": 60,
        "population": {"nodes": nodes, "place": "lan", "arrive_s": arrive_s}, "link": {"profile": "lan"},
        "workload": [lookup],
    }  # fmt: skip


def _churn(nodes: int) -> dict[str, Any]:
    """Ten virtual minutes of coming, going and looking."""
    return {
        "duration_s": 600, "sample_s": 60, "population": {"nodes": nodes, "place": "lan", "arrive_s": 60},
        "link": {"profile": "lan"}, "churn": {"model": "exponential", "session_s": 3600, "offline_s": 300},
        "workload": [{"kind": "lookup", "count": 2 * nodes, "paths": 4, "from_s": 90}],
    }  # fmt: skip


def _run(table: dict[str, Any], codec: Codec = Codec.OBJECTS) -> Run:
    gc.collect()
    memory, cpu, start = rss_mb(), cpu_s(), time.perf_counter()
    swarm = Swarm(scenario_of("bench", table), seed=1, codec=codec)
    end = swarm.run()
    took, cpu = time.perf_counter() - start, cpu_s() - cpu
    gc.collect()
    figures = end.measures
    return {
        "nodes": end.nodes, "wall_s": rounded(took), "cpu_s": rounded(cpu), "events": end.events, "rpcs": end.rpcs,
        "events_s": rounded(end.events / took), "us_per_rpc": rounded(cpu * 1e6 / max(1, end.rpcs)),
        "rpcs_per_node_s": rounded(end.rpcs / end.nodes / end.virtual_s), "virtual_s": end.virtual_s,
        "lookup_success": figures.get("lookup_success"), "rpcs_per_lookup": figures.get("lookup_rpcs"),
        "kb_per_node": rounded((rss_mb() - memory) * 1024 / end.nodes), "broken": len(end.broken),
    }  # fmt: skip


def _ours(args: argparse.Namespace) -> Run:
    # The first one starts with a small process: only its memory means something.
    return {
        "join": _run(_lookups(args.nodes)), "churn": _run(_churn(args.churn)), "compared": _run(_lookups(COMPARED)),
    }  # fmt: skip


def _tasks(args: argparse.Namespace) -> Run:
    places = Places(1, scenario.Population(nodes=COMPARED, place="lan"))
    population = Population(1, Realm("swarm", puzzle_bits=0), Codec.OBJECTS, places)
    cpu = cpu_s()
    did = task_per_node.lookups(population, COMPARED, LAN_NS, JOIN_EVERY_S)
    return {"compared": {"us_per_rpc": rounded((cpu_s() - cpu) * 2e6 / did["datagrams"]), **did}}


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    ours, tasks = results["ours"], results["tasks"]
    join, churn = "join", "churn"
    took, memory = median(ours, join, "wall_s"), median(ours, join, "kb_per_node")
    minutes = median(ours, churn, "wall_s")
    speed = median(tasks, "compared", "us_per_rpc") / median(ours, "compared", "us_per_rpc")
    return [
        Row(
            f"simulated swarm, {args.nodes:,} nodes join and do {args.nodes:,} lookups, d = 4",
            "<= 300 s at 10,000",
            f"{took:.0f} s; {median(ours, join, 'rpcs') / 1e6:.2f} M RPCs, {median(ours, join, 'us_per_rpc'):.0f} us "
            f"of CPU each, {median(ours, join, 'events_s'):,.0f} events/s, "
            f"{median(ours, join, 'rpcs_per_lookup'):.0f} RPCs a lookup",
            at_most(took, 300) if args.nodes >= 10_000 else None,
        ),
        Row("... memory of a simulated node, DHT only", "<= 40 kB", f"{memory:.0f} kB", at_most(memory, 40)),
        Row(
            f"... {args.churn:,} nodes x 10 virtual minutes, churn and lookups",
            "<= 60 s",
            f"{minutes:.0f} s; {median(ours, churn, 'rpcs_per_node_s'):.2f} RPCs/s/node",
            at_most(minutes, 60) if args.churn >= 1000 else None,
        ),
        Row(
            f"... against a trio task per node, {COMPARED} nodes, CPU per RPC",
            ">= 3x",
            f"{speed:.2f}x ({median(ours, 'compared', 'us_per_rpc'):.0f} against "
            f"{median(tasks, 'compared', 'us_per_rpc'):.0f} us)",
            at_least(speed, 3),
        ),
    ]


if __name__ == "__main__":
    begin.is_program = True
    huge_pages.use()  # as `p2pnode swarm run` does
    options = [("nodes", 1000, "nodes that join and look up"), ("churn", 1000, "nodes under churn")]
    main(MODULE, {"ours": _ours, "tasks": _tasks}, _rows, options, runs=1)
