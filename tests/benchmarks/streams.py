"""One stream between two processes on loopback, sealed by either cipher, beside a bare trio socket and a bare shell."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial

import trio
import trio.testing

from overlay.runtime.address import Address, parse_address
from p2pnode.driver import Driver
from p2pnode.transport.sockets import open_sockets
from tests.benchmarks.harness import Row, Run, cpu_s, main, median, ratio, rounded
from tests.support.stream_core import StreamPump

MODULE = "tests.benchmarks.streams"
#: What applications send: a unit of a file and the head of its frame.
MESSAGE = 256 * 1024 + 4
ANYWHERE = parse_address("127.0.0.1:0")
#: Side -> suite; 0 is in the clear, None a socket without a shell.
SIDES: dict[str, int | None] = {"socket": None, "clear": 0, "aesgcm": 1, "chachapoly": 2}
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


def _side(side: str, args: argparse.Namespace) -> Run:
    total, suite = args.mib << 20, SIDES[side]
    line = [sys.executable, "-m", MODULE, _READ, side, str(total)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        to = parse_address(f"127.0.0.1:{int(reader.stdout.readline())}")
        cpu = cpu_s()
        if suite is None:
            trio.run(_bare_pump, to, total)
        else:
            trio.run(_pump, suite, to, total)
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
    for side in SIDES:
        figures = [median(results[side], name) for name in ("mib_s", "send_cpu_s_per_gib", "read_cpu_s_per_gib")]
        text = f"{figures[0]:,.0f} MiB/s, {figures[1]:.2f} and {figures[2]:.2f} CPU s/GiB to send and to read"
        of_bare = f"; {ratio(figures[0], bare):.2f} of the bare socket"
        rows.append(Row(f"one stream, {side}", "", text + (of_bare if side != "socket" else ""), None))
    return rows


def _read_side(side: str, total: int) -> None:
    suite = SIDES[side]
    print(json.dumps(trio.run(_bare_read, total) if suite is None else trio.run(_read, suite, total)), flush=True)


if __name__ == "__main__":
    if _READ in sys.argv:
        _read_side(sys.argv[2], int(sys.argv[3]))
    else:
        sides = {side: partial(_side, side) for side in SIDES}
        main(MODULE, sides, _rows, [("mib", 1024, "MiB of one run")])
