"""File sharing between node processes on loopback, beside libtorrent, scp, the rsync daemon and http.server."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from p2pnode.api import connect
from tests.benchmarks import file_tools as tools
from tests.benchmarks.harness import Row, Run, at_least, at_most, cpu_s, main, median, ratio, rounded
from tests.support.memory import reset_peak, resident_kib
from tests.support.nodes import NodeProcess, Nodes

MODULE = "tests.benchmarks.files"
FETCH_S = 600.0


@contextmanager
def _folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="files-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _ask(node: NodeProcess, command: str, **args: Any) -> Any:
    return node.call("POST", f"/v1/apps/files/{command}", args, timeout_s=FETCH_S)["answer"]


def _share(node: NodeProcess, path: Path) -> tuple[str, float]:
    """Its link, and seconds until it is shared."""
    began = time.perf_counter()
    link = _ask(node, "share", path=str(path))["link"]
    return str(link), time.perf_counter() - began


def _get(nodes: list[NodeProcess], link: str, folders: list[Path]) -> float:
    """Seconds until all of them have it under its final name. They are listened to, not polled: that costs CPU."""
    barrier = threading.Barrier(len(nodes) + 1)

    def fetch(node: NodeProcess, folder: Path) -> float:
        for event in connect(node.home).lines("/v1/events", query={"app": "files"}, opened=barrier.wait):
            if event["name"] == "complete":
                return time.perf_counter()
            if event["name"] in ("failed", "full"):
                break
        raise RuntimeError(f"{folder.name} was not fetched: {_ask(node, 'list')}")

    with ThreadPoolExecutor(len(nodes)) as pool:
        ends = [pool.submit(fetch, node, folder) for node, folder in zip(nodes, folders, strict=True)]
        barrier.wait()
        began = time.perf_counter()
        for node, folder in zip(nodes, folders, strict=True):
            _ask(node, "get", link=link, folder=str(folder))
        return max(end.result(FETCH_S) for end in ends) - began


def _ours(source: Path, into: Path, *, seeds: int = 1, leechers: int = 1) -> Run:
    size = tools.size_of(source)
    with Nodes(into, seeds + leechers, puzzle_bits=0) as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=seeds + leechers - 1)
        shared = [_share(node, source) for node in nodes.all[:seeds]]
        getters, folders = nodes.all[seeds:], [into / f"got{number}" for number in range(leechers)]
        for folder in folders:
            folder.mkdir()
        processes = [psutil.Process(node.pid) for node in nodes]
        idle = [resident_kib(node.pid, "VmRSS") for node in nodes]
        for node in nodes:
            reset_peak(node.pid)
        before = [cpu_s(process) for process in processes]
        took = _get(getters, shared[0][0], folders)
        cpu = [cpu_s(process) - start for process, start in zip(processes, before, strict=True)]
        peak = [(resident_kib(node.pid, "VmHWM") - start) / 1024 for node, start in zip(nodes, idle, strict=True)]
        statuses = [_ask(node, "list")[0] for node in nodes]
    tools.check_same(source, *(folder / source.name for folder in folders))
    gib = size * leechers / 2**30
    return {
        "seconds": rounded(took, 4), "mib_s": rounded(size * leechers / took / 2**20), "hash_s": rounded(shared[0][1]),
        "cpu_s_per_gib": rounded(sum(cpu) / gib), "give_cpu_s_per_gib": rounded(sum(cpu[:seeds]) / gib),
        "take_cpu_s_per_gib": rounded(sum(cpu[seeds:]) / gib),
        "seeder_mb": round(max(peak[:seeds])), "leecher_mb": round(max(peak[seeds:])),
        "wasted_share": rounded(sum(status["wasted"] for status in statuses) / size / leechers),
        "leechers_gave": rounded(sum(status["uploaded"] for status in statuses[seeds:]) / size / leechers),
    }  # fmt: skip


def _one(fetch: Callable[..., Run], args: argparse.Namespace) -> Run:
    """`fetch` of one file of --mib."""
    with _folder() as folder:
        source, into = folder / "data.bin", folder / "into"
        into.mkdir()
        tools.make_data(source, args.mib << 20)
        run = fetch(source, into)
        if (copy := into / source.name).exists():
            tools.check_same(source, copy)
        return run


def _small(fetch: Callable[..., Run], args: argparse.Namespace) -> Run:
    return _one(fetch, argparse.Namespace(mib=16))


def _many(fetch: Callable[..., Run], args: argparse.Namespace) -> Run:
    """A folder of --files small files."""
    with _folder() as folder:
        source, into = folder / "many", folder / "into"
        into.mkdir()
        for number in range(args.files):
            if number % 1000 == 0:
                (source / f"{number // 1000:03}").mkdir(parents=True)
            (source / f"{number // 1000:03}" / f"{number}.txt").write_bytes(os.urandom(900 + number % 1000))
        return fetch(source, into)


SIDES: dict[str, Callable[[argparse.Namespace], Run]] = {
    "ours": partial(_one, _ours),
    "libtorrent": partial(_one, tools.lt_fetch),
    "scp": partial(_one, tools.scp_fetch),
    "scp aes128-gcm": partial(_one, partial(tools.scp_fetch, cipher="aes128-gcm@openssh.com")),
    "rsync daemon": partial(_one, tools.rsync_fetch),
    "http.server": partial(_one, tools.http_fetch),
    "ours 4 to 1": partial(_one, partial(_ours, seeds=4)),
    "libtorrent 4 to 1": partial(_one, partial(tools.lt_fetch, seeds=4)),
    "ours 1 to 4": partial(_one, partial(_ours, leechers=4)),
    "libtorrent 1 to 4": partial(_one, partial(tools.lt_fetch, leechers=4)),
    "ours 16 MiB": partial(_small, _ours),
    "libtorrent 16 MiB": partial(_small, tools.lt_fetch),
    "ours folder": partial(_many, _ours),
    "libtorrent folder": partial(_many, tools.lt_fetch),
}


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    def figure(side: str, name: str) -> float:
        return median(results[side], name)

    def text(side: str) -> str:
        return f"{figure(side, 'mib_s'):,.0f} MiB/s, CPU {figure(side, 'cpu_s_per_gib'):.2f} s/GiB"

    speed = ratio(figure("ours", "mib_s"), figure("libtorrent", "mib_s"))
    sealed = max(figure("scp", "mib_s"), figure("scp aes128-gcm", "mib_s"))
    hashing = ratio(figure("libtorrent", "hash_s"), figure("ours", "hash_s"))
    memory = max(figure("ours", "leecher_mb"), figure("ours", "seeder_mb"))
    rows = [
        Row(
            f"1 to 1, {args.mib} MiB, sealed, verified, on the disk", ">= 1.5x libtorrent in the clear",
            f"{text('ours')} (gives {figure('ours', 'give_cpu_s_per_gib'):.2f}, takes "
            f"{figure('ours', 'take_cpu_s_per_gib'):.2f}) against {text('libtorrent')}: {speed:.2f}x",
            at_least(speed, 1.5),
        ),
        Row(
            "... against what is sealed: scp, and with aes128-gcm", "faster",
            f"{text('scp')}; {text('scp aes128-gcm')}", figure("ours", "mib_s") > sealed,
        ),
        Row(
            "... against what is neither sealed nor verified: rsync daemon; http.server and curl", "",
            f"{text('rsync daemon')}; {text('http.server')}", None,
        ),
        Row(
            "... memory above the idle node, peak: who gives; who takes", "<= 64 MB",
            f"{figure('ours', 'seeder_mb'):.0f}; {figure('ours', 'leecher_mb'):.0f} MB "
            f"(a leecher of libtorrent, whole process: {figure('libtorrent', 'leecher_peak_mb'):.0f} MB)",
            at_most(memory, 64),
        ),
        Row(
            "sharing it: hashed, until it has a link", ">= 0.9x libtorrent's own hashing",
            f"{figure('ours', 'hash_s'):.2f} s against {figure('libtorrent', 'hash_s'):.2f} s: {hashing:.2f}x",
            at_least(hashing, 0.9),
        ),
    ]  # fmt: skip
    for what in ("4 to 1", "1 to 4"):
        times = ratio(figure(f"ours {what}", "mib_s"), figure(f"libtorrent {what}", "mib_s"))
        more = f", {100 * figure('ours 1 to 4', 'leechers_gave'):.0f} % from each other" if what == "1 to 4" else ""
        rows.append(Row(
            f"{what}, sum", ">= 1x libtorrent",
            f"{text(f'ours {what}')}{more} against {text(f'libtorrent {what}')}: {times:.2f}x; "
            f"wasted {100 * figure(f'ours {what}', 'wasted_share'):.1f} %",
            at_least(times, 1),
        ))  # fmt: skip
    said_of = {"16 MiB": "16 MiB, from the command to the file", "folder": f"folder of {args.files:,} small files"}
    for what, said in said_of.items():
        ours, theirs = figure(f"ours {what}", "seconds"), figure(f"libtorrent {what}", "seconds")
        rows.append(Row(
            said, "sooner than libtorrent", f"{ours:.2f} s against {theirs:.2f} s: {ratio(theirs, ours):.1f}x",
            at_most(ours, theirs),
        ))  # fmt: skip
    return rows


if __name__ == "__main__":
    options = [("mib", 1024, "MiB of the file"), ("files", 100_000, "files of the folder")]
    main(MODULE, SIDES, _rows, options)
