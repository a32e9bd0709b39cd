"""How long a command takes to start, and what it imports: `p2pnode status` against a running node."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from tests.benchmarks.harness import Row, Run, at_most, main, median, percentile, rounded
from tests.benchmarks.process import node_process

MODULE = "tests.benchmarks.startup"
TIMES = 20
#: What a command that only asks a running node has no use for.
HEAVY = ("trio", "cryptography", "nacl", "rich", "starlette", "overlay")
_PROBE = """
import sys
from p2pnode.cli.main import main
sys.argv = ["p2pnode", "--home", sys.argv[1], "status", "--json"]
try:
    main()
finally:
    print(*sorted(name for name in sys.modules if "." not in name), file=sys.stderr)
"""


def _median_ms(line: list[str]) -> Run:
    took = []
    for _ in range(TIMES):
        start = time.perf_counter()
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        took.append((time.perf_counter() - start) * 1e3)
    return {"p50_ms": rounded(percentile(took, 0.5)), "max_ms": rounded(max(took))}


def _run_ours(args: argparse.Namespace) -> Run:
    with node_process() as node:
        out = _median_ms(node.command("status", "--json"))
        probe = [sys.executable, "-c", _PROBE, str(node.home)]
        said = subprocess.run(probe, capture_output=True, text=True, check=False).stderr.split()
    return out | {"heavy": [name for name in HEAVY if name in said], "modules": len(said)}


def _run_theirs(args: argparse.Namespace) -> Run:
    """The floor: Python itself."""
    return _median_ms([sys.executable, "-c", "pass"])


def _rows(results: dict[str, list[Run]], args: argparse.Namespace) -> list[Row]:
    took, floor = median(results["ours"], "p50_ms"), median(results["theirs"], "p50_ms")
    heavy = results["ours"][0]["heavy"] if results["ours"] else ["?"]
    return [
        Row(
            f"`p2pnode status`, median of {TIMES}",
            "<= 200 ms; none of " + ", ".join(HEAVY),
            f"{took:.0f} ms (bare Python: {floor:.0f} ms); imports {', '.join(heavy) or 'none of them'}",
            at_most(took, 200) and not heavy,
        )
    ]


if __name__ == "__main__":
    main(MODULE, {"ours": _run_ours, "theirs": _run_theirs}, _rows, runs=1)
