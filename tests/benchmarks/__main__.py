"""`make bench`: all benchmarks, results/latest.json and the table of docs/benchmarks.md.

python -m tests.benchmarks [--runs N] [--only rpc,churn] [--keep]
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.harness import Run, machine

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "latest.json"
DOCUMENT = HERE.parents[1] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- table: begin, written by make bench -->", "<!-- table: end -->"
#: In the order of the document; with what is passed to keep all of it below 15 minutes on two cores.
BENCHES: dict[str, list[str]] = {
    "rpc": [],
    "network": [],
    "streams": [],
    "files": ["--files", "20000"],
    "join": [],
    "churn": [],
    "idle": [],
    "startup": [],
    "swarm": [],
    "closest": [],
    "chain": [],
    "chain_store": ["--blocks", "40000"],
    "explorer": [],
}


def run(name: str, options: list[str]) -> Run:
    """The last line of the benchmark; the others are shown as they come."""
    line = [sys.executable, "-m", f"tests.benchmarks.{name}", *options]
    runs, last = list[Run](), Run()
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            last = json.loads(text)
            runs.append(last)
    if "rows" not in last:
        failed = {
            "what": f"{name}: it ended with {process.returncode}",
            "target": "",
            "measured": "nothing",
            "ok": False,
        }
        last = {"bench": name, "command": " ".join(line[1:]), "rows": [failed]}
    return last | {"all_runs": runs[:-1]}


def table(report: Run) -> str:
    """Markdown: what the document says between its two marks."""
    host = report["machine"]
    lines = [
        BEGIN,
        f"{report['date']}, {host['cores']} cores of {host['cpu']}, {host['memory_gb']} GB, {host['system']}, "
        f"Python {host['python']}; load before {host['load_before'][0]}; {report['took_s']:.0f} s in all.",
        "",
        "| | target | measured | |",
        "|---|---|---|---|",
    ]
    for bench in report["benches"]:
        lines.append(f"| **`{bench['command']}`** | | | |")
        for row in bench["rows"]:
            verdict = {True: "met", False: "**short**", None: ""}[row["ok"]]
            cells = (row["what"], row["target"], row["measured"], verdict)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, END])


def merged(old: Run, new: Run) -> Run:
    """The old report with what was run anew."""
    benches = {bench["bench"]: bench for bench in (*old["benches"], *new["benches"])}
    order = [benches[name] for name in BENCHES if name in benches]
    return new | {"benches": order, "took_s": round(old["took_s"] + new["took_s"], 1)}


def write(report: Run) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _old, end, tail = rest.partition(END)
    if begin and end:
        DOCUMENT.write_text(head + table(report) + tail, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--runs", type=int, help="runs of each side, instead of what each benchmark thinks right")
    parser.add_argument("--only", help=f"some of {','.join(BENCHES)}")
    parser.add_argument("--keep", action="store_true", help="print only: neither results nor document are written")
    args = parser.parse_args()
    chosen = args.only.split(",") if args.only else list(BENCHES)
    if unknown := [name for name in chosen if name not in BENCHES]:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are: {', '.join(BENCHES)})")
    report: Run = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "machine": machine()}
    start = time.perf_counter()
    common = ["--runs", str(args.runs)] if args.runs else []
    report["benches"] = [run(name, [*BENCHES[name], *common]) for name in chosen]
    report["took_s"] = round(time.perf_counter() - start, 1)
    # Timings are a report; what fails a build is a benchmark that does not run.
    failed = any(row["measured"] == "nothing" for bench in report["benches"] for row in bench["rows"])
    if args.only and RESULTS.exists():
        report = merged(json.loads(RESULTS.read_text(encoding="utf-8")), report)
    print(table(report))
    if not args.keep and not failed and {bench["bench"] for bench in report["benches"]} == set(BENCHES):
        write(report)
    sys.exit(failed)


if __name__ == "__main__":
    main()
