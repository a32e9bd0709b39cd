"""find_node with 20 contacts and ping between two processes on loopback: ours signed and verified, theirs plain."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import trio
from kademlia.network import Server
from kademlia.node import Node as ForeignNode

from overlay.errors import TimedOut
from overlay.runtime.address import Address, parse_address
from overlay.wire.messages import FindNode, Nodes, Ping
from tests.benchmarks import ours, theirs
from tests.benchmarks.harness import Row, Run, at_least, at_most, cpu_s, main, median, percentile, ratio, rounded

MODULE = "tests.benchmarks.rpc"
#: Offered to the table of the server, so that every answer carries 20 contacts.
CONTACTS = 1000
WARM_UP = 300
_SERVE = "--serve"


def _figures(latencies: list[float], took: float, client_cpu: float, server_cpu: float) -> Run:
    count = len(latencies)
    return {
        "rps": round(count / took),
        "p50_us": rounded(percentile(latencies, 0.5) * 1e6),
        "p99_us": rounded(percentile(latencies, 0.99) * 1e6),
        "client_cpu_us": rounded(client_cpu / count * 1e6),
        "server_cpu_us": rounded(server_cpu / count * 1e6),
        "cpu_us": rounded((client_cpu + server_cpu) / count * 1e6),
    }


class _Served:
    """The server of one side in a process of its own; it prints one line when it is ready and ends with stdin."""

    def __init__(self, side: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULE, _SERVE, side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline().split()
        self.usage = psutil.Process(self.process.pid)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


# --- theirs ----------------------------------------------------------------------------------


async def _serve_theirs() -> None:
    server = Server()
    await server.listen(0, "127.0.0.1")

    async def answered(*_: object) -> tuple[bool, bytes]:
        return True, b""

    server.protocol.call_ping = answered  # the made-up contacts are not pinged while the table fills
    for i in range(CONTACTS):
        server.protocol.router.add_contact(ForeignNode(os.urandom(20), "127.0.0.1", 30000 + i))
    print("ready", theirs.port_of(server), theirs.contacts_of(server), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _ask_theirs(served: _Served, counts: dict[int, int]) -> Run:
    server = Server()
    await server.listen(0, "127.0.0.1")
    where, me, protocol = ("127.0.0.1", int(served.ready[1])), server.node.id, server.protocol
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "ping": lambda: protocol.ping(where, me),
        "find_node": lambda: protocol.find_node(where, me, os.urandom(20)),
    }

    async def measure(call: Callable[[], Awaitable[Any]], count: int, at_once: int) -> Run:
        latencies: list[float] = []
        left = iter(range(count))

        async def worker() -> None:
            for _ in left:
                start = time.perf_counter()
                ok, _answer = await call()
                assert ok
                latencies.append(time.perf_counter() - start)

        before, before_there, start = cpu_s(), cpu_s(served.usage), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return _figures(latencies, time.perf_counter() - start, cpu_s() - before, cpu_s(served.usage) - before_there)

    out: Run = {"table": int(served.ready[2])}
    for name, call in calls.items():
        await measure(call, WARM_UP, 4)
        out[name] = {f"c{at_once}": await measure(call, count, at_once) for at_once, count in counts.items()}
    out["contacts"] = len((await calls["find_node"]())[1])
    return out


# --- ours ------------------------------------------------------------------------------------


async def _serve_ours() -> None:
    async with trio.open_nursery() as nursery:
        node = await ours.open_node(nursery)
        table, book = node.peer.table, node.peer.endpoint.book
        kept = []  # the book holds nobody alive
        now_ns = time.monotonic_ns()
        for i in range(CONTACTS):
            contact = book.contact(os.urandom(32), parse_address(f"127.0.0.1:{30000 + i}"))
            table.seen(contact, now_ns)
            kept.append(contact)
        print("ready", node.address, node.peer.endpoint.signer.key.hex(), len(table), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


async def _ask_ours(served: _Served, counts: dict[int, int]) -> Run:
    out: Run = {"table": int(served.ready[3])}
    async with trio.open_nursery() as nursery:
        node = await ours.open_node(nursery)
        endpoint, loop = node.peer.endpoint, node.peer.loop
        where: Address = parse_address(served.ready[1])
        contact = endpoint.book.contact(bytes.fromhex(served.ready[2]), where)
        answers: list[Any] = []

        async def ping() -> None:
            await endpoint.call(contact, Ping())

        async def find_node() -> None:
            answers[:] = await endpoint.call(contact, FindNode(os.urandom(32), 1))

        async def measure(call: Callable[[], Awaitable[None]], count: int, at_once: int) -> Run:
            latencies: list[float] = []
            left, done, working, unanswered = iter(range(count)), trio.Event(), [at_once], [0]

            async def worker() -> None:  # runs inside the core
                for _ in left:
                    start = time.perf_counter()
                    try:
                        await call()
                    except TimedOut:  # the machine is so busy that a process stood still for 350 ms
                        unanswered[0] += 1
                        continue
                    latencies.append(time.perf_counter() - start)
                working[0] -= 1
                if not working[0]:
                    done.set()

            def begin(_now: object) -> None:
                for number in range(at_once):
                    loop.spawn_root(worker(), name=f"worker {number}")

            before, before_there, start = cpu_s(), cpu_s(served.usage), time.perf_counter()
            node.driver._feed(lambda now: node.peer._run(now, lambda: begin(now)))
            await done.wait()
            took = time.perf_counter() - start
            figures = _figures(latencies, took, cpu_s() - before, cpu_s(served.usage) - before_there)
            return figures | ({"unanswered": unanswered[0]} if unanswered[0] else {})

        for name, call in {"ping": ping, "find_node": find_node}.items():
            await measure(call, WARM_UP, 4)
            out[name] = {f"c{at_once}": await measure(call, count, at_once) for at_once, count in counts.items()}
        assert isinstance(answers[1], Nodes)
        out["contacts"] = len(answers[1].v4) // 38
        nursery.cancel_scope.cancel()
    return out


def _run_ours(args: argparse.Namespace) -> Run:
    served = _Served("ours")
    try:
        return trio.run(_ask_ours, served, {1: args.sequential, 32: args.concurrent})
    finally:
        served.stop()


def _run_theirs(args: argparse.Namespace) -> Run:
    served = _Served("theirs")
    try:
        return asyncio.run(_ask_theirs(served, {1: args.sequential, 32: args.concurrent}))
    finally:
        served.stop()


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    def both(*path: str) -> tuple[float, float, float]:
        a, b = median(results["ours"], *path), median(results["theirs"], *path)
        return a, b, ratio(a, b)

    rps, their_rps, faster = both("find_node", "c32", "rps")
    cpu, their_cpu, cheaper = both("find_node", "c32", "cpu_us")
    p50, their_p50, slower = both("find_node", "c1", "p50_us")
    ping, their_ping, ping_slower = both("ping", "c1", "p50_us")
    contacts = median(results["ours"], "contacts")
    return [
        Row(
            f"signed find_node, {contacts:.0f} contacts, two processes, 32 at once",
            ">= 1.5x kademlia unsigned (stretch 2x)",
            f"{rps:.0f}/s against {their_rps:.0f}/s: {faster:.2f}x",
            at_least(faster, 1.5),
        ),
        Row(
            "... CPU of both sides per RPC",
            "<= 0.6x kademlia",
            f"{cpu:.0f} us against {their_cpu:.0f} us: {cheaper:.2f}x",
            at_most(cheaper, 0.6),
        ),
        Row(
            "sequential signed find_node, p50",
            "<= 1.25x kademlia unsigned (stretch 1x)",
            f"{p50:.0f} us against {their_p50:.0f} us: {slower:.2f}x",
            at_most(slower, 1.25),
        ),
        Row("sequential signed ping, p50", "", f"{ping:.0f} us against {their_ping:.0f} us: {ping_slower:.2f}x", None),
    ]


if __name__ == "__main__":
    if _SERVE in sys.argv:
        if sys.argv[-1] == "ours":
            trio.run(_serve_ours)
        else:
            asyncio.run(_serve_theirs())
    else:
        main(
            MODULE,
            {"ours": _run_ours, "theirs": _run_theirs},
            _rows,
            [("sequential", 1500, "RPCs one after another"), ("concurrent", 6000, "RPCs 32 at once")],
        )
