"""How long each command of chain-explorer takes on a folder with 100,000 blocks, above bare Python.

Wall time of the process; that of the processor alone stands beside it, for machines that others use, too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.harness import Row, Run, at_most, main, median, rounded
from tests.support.chain_folder import write_chain
from tests.support.chains import key_of

MODULE = "tests.benchmarks.explorer"
BLOCKS = 100_000
TIMES = 7
LINES = (
    "status", "blocks --limit 20", "blocks --miner cam-1-1", "block 50000 --txs", "block -1", "block @2026-01-10",
    "address cam-1-1", "address cam-1-1 --history", "search cam-", "search 9dab", "names", "evidence", "forks --tree",
    "supply", "stats", "stats --plot interval", "anchor {digest}", "tx {txid}", "proof make {txid} --headers 100",
    "verify --from 99900", "export blocks --from 99900", "decode {raw}",
)  # fmt: skip
_PROGRAM = [sys.executable, "-m", "apps.chain.cli.explorer.main"]


def _ms(line: list[str]) -> tuple[float, float]:
    """Least wall and processor time of several runs: what is above it is other programs."""
    walls, cpus = [], []
    for _ in range(TIMES):
        start, before = time.perf_counter(), os.times()
        done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(line)}: {done.stderr}")
        walls.append((time.perf_counter() - start) * 1e3)
        after = os.times()
        cpus.append((after.children_user + after.children_system - before.children_user - before.children_system) * 1e3)
    return min(walls), min(cpus)


def _run_ours(args: argparse.Namespace) -> Run:
    with tempfile.TemporaryDirectory(prefix="explorer-bench-") as folder:
        made = time.perf_counter()
        write_chain(Path(folder), BLOCKS)
        made = time.perf_counter() - made
        program = [*_PROGRAM, "--data", folder]
        given = _things(program)
        took = {line: _ms([*program, *line.format(**given).split()]) for line in LINES}
    slowest = max(took, key=lambda line: took[line][0])
    return {
        "slowest": slowest, "wall_ms": rounded(took[slowest][0]),
        "cpu_ms": rounded(max(cpu for _, cpu in took.values())), "made_s": rounded(made),
        "lines": {line: [rounded(wall), rounded(cpu)] for line, (wall, cpu) in took.items()},
    }  # fmt: skip


def _things(program: list[str]) -> dict[str, str]:
    """One transaction of the middle, with an anchor if it has one."""

    def said(*words: str) -> str:
        return subprocess.run([*program, *words], capture_output=True, text=True, check=True).stdout.strip()

    key = key_of("cam-1").key.hex()
    heights = range(BLOCKS // 2, BLOCKS // 2 + 400, 10)
    for height in heights:
        digest = said("block", str(height), "--txs", "-f", "transactions")
        found = digest.partition('"digest": "')[2][:64]
        if found:
            txid = said("block", str(height), "--txs", "-f", "transactions.0.txid")
            return {"digest": found[:16], "txid": txid[:16], "raw": said("tx", txid[:16], "--raw"), "key": key}
    raise SystemExit("no anchor in this chain")


def _run_theirs(args: argparse.Namespace) -> Run:
    """The floor: Python itself."""
    wall, cpu = _ms([sys.executable, "-c", "pass"])
    return {"wall_ms": rounded(wall), "cpu_ms": rounded(cpu)}


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    wall, cpu = median(results["ours"], "wall_ms"), median(results["ours"], "cpu_ms")
    floor, floor_cpu = median(results["theirs"], "wall_ms"), median(results["theirs"], "cpu_ms")
    slowest = results["ours"][0]["slowest"] if results["ours"] else "?"
    return [
        Row(
            f"`chain-explorer` at {BLOCKS:,} blocks: the slowest of {len(LINES)} commands, least of {TIMES}",
            "<= 150 ms above bare Python",
            f"{wall - floor:.0f} ms ({cpu - floor_cpu:.0f} ms of the processor; bare Python {floor:.0f} ms): "
            f"`{slowest.partition(' {')[0]}`",
            at_most(wall - floor, 150),
        )
    ]


if __name__ == "__main__":
    main(MODULE, {"ours": _run_ours, "theirs": _run_theirs}, _rows, runs=1)
