"""What all benchmarks share: alternating runs in processes of their own, medians, rows, CPU and memory."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import attrs
import psutil

Run = dict[str, Any]
#: Longest that one run may take; a benchmark that hangs must not hang `make bench`.
RUN_LIMIT_S = 900


@attrs.frozen
class Row:
    """A row of docs/benchmarks.md. `ok` is None where there is nothing to compare with."""

    what: str
    target: str
    measured: str
    ok: bool | None

    def as_json(self) -> Run:
        return attrs.asdict(self)


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` of them lie (nearest rank); nan if there is none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def cpu_s(process: psutil.Process | None = None) -> float:
    """User and system seconds of a process and its threads."""
    times = (process or psutil.Process()).cpu_times()
    return float(times.user + times.system)


def rss_mb(process: psutil.Process | None = None) -> float:
    return float((process or psutil.Process()).memory_info().rss) / 2**20


def rounded(value: float, digits: int = 3) -> float:
    """To `digits` significant ones."""
    return float(f"{value:.{digits}g}")


def machine() -> Run:
    """What a reader needs to place the figures; no names, no paths."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "load_before": [round(load, 1) for load in os.getloadavg()],
    }


@attrs.define
class Meter:
    """Times operations that run one after another or many at once; `row` sums them up."""

    latencies: list[float] = attrs.Factory(list)
    failures: list[str] = attrs.Factory(list)
    _started: float = attrs.field(init=False, factory=time.perf_counter)
    _cpu: float = attrs.field(init=False, factory=cpu_s)

    async def time(self, operation: Callable[[], Awaitable[Any]]) -> Any:
        """Await it; None if it raised."""
        start = time.perf_counter()
        try:
            return await operation()
        except Exception as error:
            self.failures.append(f"{type(error).__name__}: {error}"[:200])
            return None
        finally:
            self.latencies.append(time.perf_counter() - start)

    def row(self, **more: Any) -> Run:
        took, count = time.perf_counter() - self._started, len(self.latencies)
        row = {
            "ops_s": rounded(count / took),
            "p50_ms": rounded(percentile(self.latencies, 0.5) * 1e3),
            "p99_ms": rounded(percentile(self.latencies, 0.99) * 1e3),
            "cpu_ms_per_op": rounded((cpu_s() - self._cpu) / count * 1e3),
            "ops": count,
            **more,
        }
        if self.failures:
            row |= {"failed": len(self.failures), "failure": self.failures[0]}
        return row


def median(runs: Sequence[Run], *path: str) -> float:
    """Median over the runs of the number at `path`; nan if a run has none."""
    values = []
    for run in runs:
        value: Any = run
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        values.append(float("nan") if value is None else float(value))
    return statistics.median(values) if values and all(v == v for v in values) else float("nan")


def alternate(module: str, sides: Sequence[str], runs: int, *args: str) -> dict[str, list[Run]]:
    """Run `python -m module --side SIDE args` for each side in turn, `runs` times; prints each as a JSON line."""
    results: dict[str, list[Run]] = {side: [] for side in sides}
    for number in range(runs):
        for side in sides:
            start = time.perf_counter()
            command = [sys.executable, "-m", module, "--side", side, *args]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=False)
                lines = done.stdout.strip().splitlines()
                result = json.loads(lines[-1]) if done.returncode == 0 and lines else {"error": _last_line(done.stderr)}
            except subprocess.TimeoutExpired:
                result = {"error": f"not done after {RUN_LIMIT_S} s"}
            result |= {"side": side, "run": number + 1, "took_s": round(time.perf_counter() - start, 1)}
            print(json.dumps(result), flush=True)
            if "error" not in result:
                results[side].append(result)
    return results


def _last_line(text: str) -> str:
    """What went wrong, without the traceback: results are committed, and paths of a machine are nobody's business."""
    print(text, file=sys.stderr)
    errors = [
        line.strip(" |") for line in text.splitlines() if "Error" in line or "Crashed" in line or "TimedOut" in line
    ]
    return errors[-1] if errors else "it ended without a word"


def main(
    module: str,
    sides: dict[str, Callable[[argparse.Namespace], Run]],
    rows: Callable[[dict[str, list[Run]], argparse.Namespace], list[Row]],
    options: Sequence[tuple[str, int, str]] = (),
    *,
    runs: int = 3,
) -> None:
    """Command line of a benchmark. `options` are (name, default, help) of whole numbers."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--side", choices=sides, help="one run of one side, in this process")
    parser.add_argument("--runs", type=int, default=runs, help=f"runs of each side (default {runs})")
    for name, default, text in options:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} (default {default})")
    args = parser.parse_args()
    if args.side:
        print(json.dumps(sides[args.side](args)), flush=True)
        # Hundreds of nodes are not taken down one by one.
        os._exit(0)
    passed = [text for name, _, _ in options for text in (f"--{name}", str(getattr(args, name)))]
    results = alternate(module, list(sides), args.runs, *passed)
    if missing := [side for side, good in results.items() if not good]:
        made = [Row(f"{module}: no run of {', '.join(missing)} ended well", "", "nothing", False).as_json()]
    else:
        made = [row.as_json() for row in rows(results, args)]
    command = " ".join(["python -m", module, *(passed if any(passed) else [])])
    print(json.dumps({"bench": module.rpartition(".")[2], "command": command, "runs": args.runs, "rows": made}))


def ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else float("nan")


def at_least(value: float, bound: float) -> bool:
    """False for nan too: what could not be measured has not met its target."""
    return value >= bound


def at_most(value: float, bound: float) -> bool:
    return value <= bound
