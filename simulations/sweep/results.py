"""What a sweep found, in one folder: results.jsonl is the truth, written line by line; the rest is made of it."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from simulations.sweep.plan import BadSweep, Plan
from simulations.sweep.rows import Row, fault_of
from simulations.sweep.run import Missing

_TRUTH = "results.jsonl"


@attrs.define(slots=True)
class Results:
    folder: Path
    rows: list[Row] = attrs.Factory(list)

    def add(self, row: Row) -> None:
        """Append a row; it is in the file when this returns."""
        with (self.folder / _TRUTH).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)

    @property
    def finished(self) -> set[str]:
        """Names of the cells that need not run again; those that crashed or broke an invariant do."""
        return {row["cell"] for row in self.rows if row["error"] is None and not row.get("broken")}

    def of(self, plan: Plan) -> list[Row]:
        """The latest row of every cell of the plan that has one, in the order of the plan."""
        latest = {row["cell"]: row for row in self.rows}
        return [latest[cell.name] for cell in plan.cells() if cell.name in latest]

    def write_csv(self, plan: Plan) -> Path:
        """results.csv: one line a cell, varied keys first, then every measure."""
        rows = [flat(row) for row in self.of(plan)]
        file = self.folder / "results.csv"
        with file.open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, _columns(rows), restval="")
            writer.writeheader()
            writer.writerows(rows)
        return file

    def write_parquet(self, plan: Plan) -> Path:
        """results.parquet: the same, with types. Raises Missing."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise Missing("no results.parquet, pyarrow is not installed: pip install 'p2pnode[sweep]'") from None
        rows = [flat(row) for row in self.of(plan)]
        columns = {name: [row.get(name) for row in rows] for name in _columns(rows)}
        file = self.folder / "results.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), file)
        return file


def open_results(folder: Path, plan: Plan) -> Results:
    """What is there already. Raises BadSweep if it is of another scenario, or no results at all."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / _TRUTH
    results = Results(folder)
    if not file.exists():
        return results
    whole = file.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if len(kept) < len(whole):  # the machine stopped in the middle of a line
        file.write_bytes(kept)
    for number, line in enumerate(kept.splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise _no_row(file, number, "it is no JSON") from None
        if (fault := fault_of(row)) is not None:
            raise _no_row(file, number, fault)
        if row["plan"] != plan.hash:
            raise BadSweep(
                f"{file} holds results of another scenario or other settings ({row['plan']}, now {plan.hash}): "
                "sweep into another folder (-o DIR), or remove this one"
            )
        if not row.get("interrupted"):  # else it says how far it came, and runs again
            results.rows.append(row)
    return results


def _no_row(file: Path, number: int, why: str) -> BadSweep:
    return BadSweep(f"{file}, line {number}, is no result of a sweep: {why}. Without this line its cell runs again")


def flat(row: Row) -> dict[str, Any]:
    """A row as one line of a table."""
    claims = row.get("claims", [])
    return {
        **{key: _number(value) for key, value in row["settings"].items()},
        "seed": row["seed"], "error": row["error"] or "", "claims_held": sum(claim["ok"] for claim in claims),
        "claims": len(claims), "invariants_broken": len(row.get("broken", [])), "wall_s": row.get("wall_s"),
        "trace_hash": row.get("trace_hash", ""), **row.get("measures", {}),
    }  # fmt: skip


def _columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
