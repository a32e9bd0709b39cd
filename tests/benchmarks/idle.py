"""A real node process that nobody asks anything, in a network whose other nodes share another process."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import trio

from tests.benchmarks import ours
from tests.benchmarks.harness import Row, Run, at_most, cpu_s, main, median, rounded, rss_mb
from tests.benchmarks.process import node_process

MODULE = "tests.benchmarks.idle"
_OTHERS = "--others"
#: The first lookups and pings of a newcomer.
SETTLE_S = 15


async def _serve_others(count: int) -> None:
    async with trio.open_nursery() as nursery:
        nodes = await ours.start(nursery, count, random.Random(5))
        print(nodes[0].address, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        os._exit(0)


@contextlib.contextmanager
def _others(count: int) -> Iterator[str]:
    line = [sys.executable, "-m", MODULE, _OTHERS, str(count)]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def _run_ours(args: argparse.Namespace) -> Run:
    with _others(args.nodes - 1) as address, node_process("--join", address) as node:
        time.sleep(SETTLE_S)
        before, start = cpu_s(node.usage), time.perf_counter()
        time.sleep(args.seconds)
        share = (cpu_s(node.usage) - before) / (time.perf_counter() - start)
        memory = rss_mb(node.usage)
        return {
            "cpu_percent": rounded(100 * share),
            "rss_mb": rounded(memory),
            "table": node.status()["table"],
            "threads": node.usage.num_threads(),
        }


_THEIRS = """
import asyncio, sys
from kademlia.network import Server
async def main():
    server = Server()
    await server.listen(0, "127.0.0.1")
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""


def _run_theirs(args: argparse.Namespace) -> Run:
    line = [sys.executable, "-c", _THEIRS]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        memory = rss_mb(psutil.Process(process.pid))
        process.stdin.close()
    return {"rss_mb": rounded(memory)}


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    mine, other = results["ours"], results["theirs"]
    memory, cpu = median(mine, "rss_mb"), median(mine, "cpu_percent")
    theirs = median(other, "rss_mb")
    return [
        Row(
            "memory of an idle node process (store, control API, all services)",
            "<= 90 MB",
            f"{memory:.0f} MB (a bare kademlia server: {theirs:.0f} MB)",
            at_most(memory, 90),
        ),
        Row(
            f"CPU of an idle node in a network of {args.nodes}",
            "<= 1 % of a core",
            f"{cpu:.2f} % over {args.seconds} s, {median(mine, 'table'):.0f} contacts",
            at_most(cpu, 1),
        ),
    ]


if __name__ == "__main__":
    if _OTHERS in sys.argv:
        trio.run(_serve_others, int(sys.argv[-1]))
    else:
        main(
            MODULE,
            {"ours": _run_ours, "theirs": _run_theirs},
            _rows,
            [("nodes", 200, "nodes of the network"), ("seconds", 30, "of idling that are measured")],
            runs=1,
        )
