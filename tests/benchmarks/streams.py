"""One stream between two processes on loopback, sealed by either cipher, beside a bare trio socket and a bare shell."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio
import trio.testing

from overlay.app import App, AppContext
from overlay.identity.keys import KeyPair
from overlay.identity.node_id import format_id, parse_id
from overlay.peer import Peer
from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from overlay.secure.noise import Suite
from overlay.streams.frames import HEAD_BYTES
from overlay.streams.plain import Plain
from overlay.streams.stream import Stream
from p2pnode.driver import Driver
from p2pnode.transport.sockets import open_sockets
from tests.benchmarks import ours
from tests.benchmarks.harness import Row, Run, cpu_s, main, median, ratio, rounded
from tests.support.stream_core import StreamPump

MODULE = "tests.benchmarks.streams"
#: What applications send: a unit of a file and the head of its frame.
MESSAGE = 256 * 1024 + 4
ANYWHERE = parse_address("127.0.0.1:0")
#: Side -> suite; 0 is in the clear, None a socket without a shell.
SIDES: dict[str, int | None] = {"socket": None, "clear": 0, "aesgcm": 1, "chachapoly": 2}
#: The same with whole peers and an application at either end; plain: frames of 16 KiB, as BitTorrent has them.
PEERS = {"peers plain": 0, "peers aesgcm": 1, "peers chachapoly": 2}
FIRST, BLOCK = b"\x13", 16 * 1024
_READ = "--read"


class _NoStore:
    def commit(self, done: object) -> None: ...
    def sync(self, done: object) -> None: ...


async def _bare_pump(to: Address, total: int) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", to.port)
    message, left = memoryview(os.urandom(MESSAGE)), total
    while left:
        await stream.send_all(message[:left])
        left -= min(left, MESSAGE)
    await stream.send_eof()
    await stream.receive_some(1)


async def _bare_read(total: int) -> tuple[float, float]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listener.socket.getsockname()[1], flush=True)
    stream = await listener.accept()
    began, cpu, buffer = time.perf_counter(), cpu_s(), bytearray(MESSAGE)
    while total:
        total -= await stream.socket.recv_into(buffer)
    await stream.aclose()
    return time.perf_counter() - began, cpu_s() - cpu


async def _pump(suite: int, to: Address, total: int) -> None:
    with open_sockets([ANYWHERE]) as sockets:
        driver = Driver(StreamPump(suite, os.urandom(MESSAGE)), sockets.udp, _NoStore(), streams=sockets.streams)
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            await driver.command("pump", to=to, total=total)
            nursery.cancel_scope.cancel()


async def _read(suite: int, total: int) -> tuple[float, float]:
    with open_sockets([ANYWHERE]) as sockets:
        driver = Driver(StreamPump(suite, b""), sockets.udp, _NoStore(), streams=sockets.streams)
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            print(sockets.listen[0].port, flush=True)
            began, cpu = time.perf_counter(), cpu_s()
            await driver.command("read", total=total)
            figures = time.perf_counter() - began, cpu_s() - cpu
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
    return figures


class Flow(App):
    """`pump` sends messages to a peer, the last of them empty, and waits for its answer."""

    name = "flow"

    def __init__(self, read: Callable[[], None]) -> None:
        #: Called when all was read here.
        self._read = read

    async def run(self, ctx: AppContext) -> None:
        async def take(stream: Stream) -> None:
            while await stream.receive():
                pass
            await stream.send(b"read")
            self._read()

        async def take_plain(stream: Plain) -> None:
            await stream.read(1)
            while await stream.read_frame(BLOCK):
                pass
            await stream.send(b"read")
            self._read()

        async def pump_plain(args: dict[str, Any]) -> None:
            stream = await ctx.connect_plain(parse_address(args["to"]))
            await stream.send(FIRST)
            frame = BLOCK.to_bytes(4, "big") + os.urandom(BLOCK)
            for _ in range(args["total"] // BLOCK):
                await stream.send(frame)
            await stream.send(bytes(4))
            await stream.read(4)

        async def pump(args: dict[str, Any]) -> None:
            stream = await ctx.connect(parse_id(args["to"]))
            message, left = os.urandom(MESSAGE - HEAD_BYTES), args["total"]
            while left:
                await stream.send(message[:left])
                left -= min(left, len(message))
            await stream.send(b"")
            await stream.receive()

        ctx.accept(take)
        ctx.accept_plain(FIRST, take_plain)
        ctx.command("pump", pump)
        ctx.command("pump_plain", pump_plain)
        await ctx.sleep(3_600 * SECOND)


@asynccontextmanager
async def _node(suite: int, read: Callable[[], None]) -> AsyncIterator[tuple[Peer, Driver, Address]]:
    store, secret = ours.MemoryStore(), os.urandom(32)
    peer = Peer(
        network=ours.NETWORK, keys=KeyPair.from_seed(secret), storage=store, rng=Rng(1), entropy=os.urandom,
        apps=[Flow(read)],
    )  # fmt: skip
    if suite:
        peer.streams.suite = Suite(suite)
    with open_sockets([ANYWHERE]) as sockets:
        driver = Driver(peer, sockets.udp, store, streams=sockets.streams)
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            driver.network_changed((ours.LOOPBACK,))
            await trio.testing.wait_all_tasks_blocked(0.05)  # the application is there
            yield peer, driver, sockets.listen[0]
            nursery.cancel_scope.cancel()


async def _peer_pump(suite: int, to: Address, id: str, total: int) -> float:
    async with _node(suite, bool) as (_, driver, _):
        await driver.command("join", addresses=[{"address": str(to), "id": id}])
        cpu = cpu_s()
        command, there = ("pump", id) if suite else ("pump_plain", str(to))
        await driver.command("app", app="flow", command=command, args={"to": there, "total": total})
        return cpu_s() - cpu


async def _peer_read(suite: int, total: int) -> tuple[float, float]:
    done = trio.Event()
    async with _node(suite, done.set) as (peer, _, address):
        print(address.port, format_id(peer.id), flush=True)
        began, cpu = time.perf_counter(), cpu_s()
        await done.wait()
        figures = time.perf_counter() - began, cpu_s() - cpu
        await trio.testing.wait_all_tasks_blocked(0.05)
    return figures


def _side(side: str, args: argparse.Namespace) -> Run:
    total, suite = args.mib << 20, SIDES.get(side)
    line = [sys.executable, "-m", MODULE, _READ, side, str(total)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        port, *id = reader.stdout.readline().split()
        to = parse_address(f"127.0.0.1:{port}")
        cpu = cpu_s()
        if id:
            cpu = trio.run(_peer_pump, PEERS[side], to, id[0], total)
        else:
            trio.run(_bare_pump, to, total) if suite is None else trio.run(_pump, suite, to, total)
            cpu = cpu_s() - cpu
        took, read_cpu = json.loads(reader.stdout.readline())
    gib = total / 2**30
    return {
        "mib_s": round(args.mib / took),
        "send_cpu_s_per_gib": rounded(cpu / gib),
        "read_cpu_s_per_gib": rounded(read_cpu / gib),
    }


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    bare = median(results["socket"], "mib_s")
    rows = []
    for side in (*SIDES, *PEERS):
        figures = [median(results[side], name) for name in ("mib_s", "send_cpu_s_per_gib", "read_cpu_s_per_gib")]
        text = f"{figures[0]:,.0f} MiB/s, {figures[1]:.2f} and {figures[2]:.2f} CPU s/GiB to send and to read"
        of_bare = f"; {ratio(figures[0], bare):.2f} of the bare socket"
        rows.append(Row(f"one stream, {side}", "", text + (of_bare if side != "socket" else ""), None))
    return rows


def _read_side(side: str, total: int) -> None:
    if side in PEERS:
        figures = trio.run(_peer_read, PEERS[side], total)
    elif (suite := SIDES[side]) is None:
        figures = trio.run(_bare_read, total)
    else:
        figures = trio.run(_read, suite, total)
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    if _READ in sys.argv:
        _read_side(sys.argv[2], int(sys.argv[3]))
    else:
        sides = {side: partial(_side, side) for side in (*SIDES, *PEERS)}
        main(MODULE, sides, _rows, [("mib", 1024, "MiB of one run")])
