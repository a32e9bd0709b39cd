"""`p2pnode swarm sweep`: one scenario at many values and seeds; a table and a plot at the end."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from p2pnode.ui import huge_pages
from p2pnode.ui.fail import Exit, fail
from p2pnode.ui.render import one_line, print_json, say, table
from simulations.cli.chosen import DURATION, number, refuse
from simulations.cli.ending import on_ctrl_c

if TYPE_CHECKING:
    from simulations.sweep.figures import Figure, Grid
    from simulations.sweep.plan import Plan
    from simulations.sweep.results import Results

#: Cells that failed are named up to here; results.csv has all.
_SHOWN = 10


@click.command(
    epilog="\b\nExample:\n"
    "  p2pnode swarm sweep colluding-routers --vary adversaries.fraction=0.1,0.3 \\\n"
    "    --vary workload.paths=1,8 --seeds 1..3 --nodes 100 -o sweep\n"
    "Ctrl-C keeps what ran; the same command goes on where it stopped."
)
@click.argument("scenario")
@click.option("--vary", multiple=True, required=True, metavar="KEY=V,V...", help="A key and its values; repeatable.")
@click.option("--seeds", default="1", show_default=True, metavar="SEEDS", help="As 1..5 or 1,2,9.")
@click.option("--nodes", type=click.IntRange(2, 200_000), help="Instead of what the scenario says.")
@click.option("--duration", type=DURATION, metavar="VIRTUAL_S", help="Virtual seconds, instead of what it says.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key for every cell.")
@click.option(
    "--codec", type=click.Choice(["objects", "fast", "real"]), default="objects", show_default=True,
    help="As of `swarm run`.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="J", help="Processes at once; default: one a core.")
@click.option("--dask", is_flag=True, help="Over a local cluster of dask.distributed.")
@click.option("--scheduler", metavar="ADDRESS", help="Over the workers of this dask scheduler, tcp://host:8786.")
@click.option(
    "-o", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Where the results go, or are; default: sweep-SCENARIO.",
)  # fmt: skip
@click.option("--measure", metavar="NAME", help="What the table and the plot show; default: the first *_success.")
@click.option("--json", "as_json", is_flag=True, help='JSON Lines: one object a cell, and a last one with "table".')
def sweep(
    scenario: str,
    vary: tuple[str, ...],
    seeds: str,
    nodes: int | None,
    duration: float | None,
    settings: tuple[str, ...],
    codec: str,
    jobs: int | None,
    dask: bool,
    scheduler: str | None,
    folder: Path | None,
    measure: str | None,
    as_json: bool,
) -> int:
    """Run SCENARIO at every combination of the varied values, for every seed.

    Exit 0 if every cell ran and no invariant broke; claims that do not hold are counted and named, no failure.
    """
    huge_pages.use()
    from simulations.spec import BadScenario
    from simulations.sweep.over_dask import Lost, Unreachable, by_dask, place_of
    from simulations.sweep.plan import BadSweep, plan_of
    from simulations.sweep.results import open_results
    from simulations.sweep.run import Missing, WorkerDied, here

    if dask and scheduler is not None:
        fail("--dask and --scheduler exclude each other", code="usage", help="p2pnode swarm sweep --help")
    if scheduler is not None and place_of(scheduler) is None:
        fail(f"no address of a scheduler: {scheduler!r}", code="usage",
             expected="tcp://HOST:PORT, as in tcp://10.0.0.1:8786", help="p2pnode swarm sweep --help")  # fmt: skip

    fixed = [f"population.nodes={nodes}"] if nodes is not None else []
    fixed += [f"duration_s={number(duration)}"] if duration is not None else []
    fixed += settings
    folder = folder or Path(f"sweep-{Path(scenario).stem}")
    try:
        plan = plan_of(scenario, vary=vary, seeds=seeds, settings=fixed, codec=codec)
        results = open_results(folder, plan)
    except BadScenario as error:
        refuse(scenario, error)
    except BadSweep as error:
        fail(one_line(str(error)), code="usage", help="p2pnode swarm sweep --help")
    todo = [cell for cell in plan.cells() if cell.name not in results.finished]
    total = sum(1 for _ in plan.cells())
    if len(todo) < total:
        say(f"{total - len(todo)} of {total} cells are in {folder} already")
    workers = min(jobs or os.cpu_count() or 1, max(1, len(todo)))
    rows = (
        by_dask(plan, todo, jobs=workers, scheduler=scheduler, tell=say)
        if dask or scheduler is not None
        else here(plan, todo, jobs=workers)
    )

    def left() -> int:
        return total - len(results.finished & {cell.name for cell in plan.cells()})

    interrupted = False
    try:
        with _stopping(), closing(rows), _progress(len(todo)) as moved:  # type: ignore[type-var]
            for row in rows if todo else ():
                if row.get("interrupted"):
                    continue
                results.add(row)
                if as_json:
                    print_json(row)
                moved(row)
    except KeyboardInterrupt:
        interrupted = True
    except Unreachable as error:
        fail(str(error), reason=one_line(error.reason), look="is `dask scheduler` running there?", again=_again())
    except Lost as error:
        fail(one_line(str(error)), kept=f"{total - left()} of {total} cells are in {folder}", go_on=_again())
    except (Missing, WorkerDied) as error:
        fail(str(error), kept=f"what ran is in {folder}", go_on=f"{_again()}  (fewer --jobs if memory was short)")
    done = _end(plan, results, measure, as_json)
    if interrupted:
        say(f"stopped; {left()} of {total} cells are left. To go on:\n  {_again()}")
        return Exit.INTERRUPTED
    return Exit.OK if done else Exit.FAILED


def _end(plan: Plan, results: Results, measure: str | None, as_json: bool) -> bool:
    """Write the files, show the table, name what failed. Whether nothing did."""
    from simulations.sweep.figures import grid_of, measures_of
    from simulations.sweep.plot import plot
    from simulations.sweep.run import Missing

    rows = results.of(plan)
    files = [results.write_csv(plan)] if rows else []
    try:
        files += [results.write_parquet(plan)] if rows else []
    except Missing as error:
        say(str(error))
    known = measures_of(plan, rows)
    if measure is not None and rows and measure not in known:
        fail(f"no cell measured {measure!r}", code="usage", measured=one_line(", ".join(known)))
    if known:
        grid = grid_of(plan, rows, measure or known[0])
        files.append(results.folder / "plot.svg")
        files[-1].write_text(plot(grid, title=_title(plan, grid)), encoding="utf-8")
        if as_json:
            print_json({"v": 1, "plan": plan.hash, "cells": len(rows), "measure": grid.measure, "table": _cells(grid)})
        else:
            print(_text(plan, grid))
    say("written: " + ", ".join(str(file) for file in files) if files else "nothing ran")
    return not _name_failures(rows)


def _title(plan: Plan, grid: Grid) -> str:
    nodes = plan.scenario_of(next(plan.cells())).population.nodes
    varied = any(vary.key == "population.nodes" for vary in plan.vary)
    size = "" if varied else f", {nodes:,} nodes"
    seeds = f"{len(plan.seeds)} seed{'s' * (len(plan.seeds) > 1)}"
    return one_line(f"{grid.measure}: {Path(plan.scenario).stem}{size}, {seeds}")


def _text(plan: Plan, grid: Grid) -> str:
    """Rows x columns, each entry with its interval."""
    headers = [*grid.row_keys, *(f"{grid.column_key.rpartition('.')[2]} {value}" for value in grid.columns)]
    lines = [
        [*row, *(_entry(grid.cells.get((*row, column)), grid.is_share) for column in grid.columns)]
        for row in grid.rows
    ]  # fmt: skip
    how = "in brackets: 95 % (Wilson)" if grid.is_share else "in brackets: least and most over the seeds"
    return f"{_title(plan, grid)}; {how}\n{table(headers, lines)}"


def _entry(figure: Figure | None, is_share: bool) -> str:
    if figure is None:
        return "-"
    if is_share:
        return f"{figure.value:.1%} [{figure.low:.1%} {figure.high:.1%}]".replace("%", "")
    return f"{figure.value:g} [{figure.low:g} {figure.high:g}]"


def _cells(grid: Grid) -> list[dict[str, Any]]:
    keys = (*grid.row_keys, grid.column_key)
    return [
        {"settings": dict(zip(keys, values, strict=True)), "value": f.value, "low": f.low, "high": f.high,
         "runs": f.runs, "count": f.count}
        for values, f in grid.cells.items()
    ]  # fmt: skip


def _name_failures(rows: list[dict[str, Any]]) -> int:
    """Say which cells crashed, broke an invariant or missed a claim; how many did worse than miss a claim."""
    missed = [row for row in rows if any(not claim["ok"] for claim in row.get("claims", []))]
    worse = [row for row in rows if row["error"] or row.get("broken")]
    for row in worse[:_SHOWN]:
        say(one_line(f"FAILED  {row['cell']}: {row['error'] or row['broken'][0]}"))
        say(f"  {one_line(row['command'])}")
    if len(worse) > _SHOWN:
        say(f"... and {len(worse) - _SHOWN} more: see results.csv")
    short = [row for row in rows if row.get("not_run")]
    if short:
        say(f"{len(short)} of {len(rows)} cells end before all of the scenario happened (not_run), as in")
        say(one_line(f"  {short[0]['cell']}: not run: {', '.join(short[0]['not_run'])}"))
    if missed:
        say(f"claims did not hold in {len(missed)} of {len(rows)} cells (column claims_held), as in")
        say(f"  {one_line(missed[0]['command'])}")
    return len(worse)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A bar for a person at a terminal, a line a cell otherwise; both with the time that is left."""
    begin = time.monotonic()
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        last = TextColumn("{task.description}", markup=False)
        columns = (MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), last)
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda row: bar.update(task, advance=1, description=one_line(f"last: {row['cell']}"))
        return
    done = 0

    def moved(row: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        left_s = (time.monotonic() - begin) / done * (total - done)
        what = row["error"] or f"{row['wall_s']:.1f} s"
        rest = f"; {left_s:.0f} s left" if done < total else ""
        say(one_line(f"{done} of {total}  {row['cell']}: {what}{rest}"))

    yield moved


@contextmanager
def _stopping() -> Iterator[None]:
    """Ctrl-C says what it does: the cells that run end at their next step, which one of them may never come to."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        say("stopping the cells that run; Ctrl-C again stops at once")
        signal.default_int_handler(number, frame)

    with on_ctrl_c(stop):
        yield


def _again() -> str:
    return shlex.join(["p2pnode", *sys.argv[1:]])
