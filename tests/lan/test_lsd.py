"""Local service discovery (BEP 14) between hosts of a LAN: of ours, and of libtorrent with ours, both ways."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.netns import ROOT, Lan

pytestmark = [pytest.mark.needs("root", "ip")]

HASH, OTHER = bytes(range(20)), bytes(range(1, 21))
#: libtorrent and this module both announce when they begin; a start of Python beside.
FOUND_S = 60


@asynccontextmanager
async def taking_part(lan: Lan, host: int, side: str, one: bytes, port: int) -> AsyncIterator[trio.Process]:
    """One host's process, and its lines; it ends with the context."""
    line = [sys.executable, "-m", "tests.support.lsd_process", side, one.hex(), str(port)]
    process = await trio.lowlevel.open_process(
        ["ip", "netns", "exec", lan.name(host), *line], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()


async def told(process: trio.Process, text: str) -> None:
    """Until it has printed this."""
    assert process.stdout is not None
    said = ""
    with trio.move_on_after(FOUND_S):
        async for part in process.stdout:
            said += part.decode()
            if text in said:
                return
    raise AssertionError(f"not within {FOUND_S} s: {text!r}; it said\n{said}")


async def one_of(*waits: tuple[trio.Process, str]) -> None:
    """Who begins first announces to nobody, and hears the other; which of them that is, nobody knows."""

    async def wait(process: trio.Process, text: str) -> None:
        await told(process, text)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for process, text in waits:
            nursery.start_soon(wait, process, text)


async def test_two_hosts_that_share_one_thing_find_each_other(tmp_path: Path) -> None:
    with Lan(hosts=3, folder=tmp_path) as lan:
        async with (
            taking_part(lan, 2, "ours", OTHER, 7003),
            taking_part(lan, 0, "ours", HASH, 7001) as a,
            taking_part(lan, 1, "ours", HASH, 7002) as b,
        ):
            await one_of((a, f"found {HASH.hex()} 10.77.0.2:7002\n"), (b, f"found {HASH.hex()} 10.77.0.1:7001\n"))


async def test_over_ipv6_alone(tmp_path: Path) -> None:
    with Lan(hosts=2, folder=tmp_path) as lan:
        for host in lan.hosts:
            lan.add_address(host, f"fd77::{host + 1}/64")
            lan.run(host, "ip", "address", "del", f"10.77.0.{host + 1}/24", "dev", "eth0")
        async with taking_part(lan, 0, "ours", HASH, 7001) as a, taking_part(lan, 1, "ours", HASH, 7002) as b:
            await one_of((a, f"found {HASH.hex()} [fd77::2]:7002\n"), (b, f"found {HASH.hex()} [fd77::1]:7001\n"))


async def test_libtorrent_is_heard(tmp_path: Path) -> None:
    """It announces a second time soon after it began."""
    with Lan(hosts=2, folder=tmp_path) as lan:
        async with taking_part(lan, 0, "ours", HASH, 7001) as ours, taking_part(lan, 1, "theirs", HASH, 7002):
            await told(ours, f"found {HASH.hex()} 10.77.0.2:7002\n")


async def test_libtorrent_hears_us(tmp_path: Path) -> None:
    with Lan(hosts=2, folder=tmp_path) as lan:
        async with taking_part(lan, 1, "theirs", HASH, 7002) as theirs:
            await told(theirs, "listening")
            async with taking_part(lan, 0, "ours", HASH, 7001):
                await told(theirs, "10.77.0.1:7001: received peer from local service discovery")
