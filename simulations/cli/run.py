"""`p2pnode swarm run`: one scenario, one seed; claims decide the exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

from p2pnode.ui.fail import Exit
from p2pnode.ui.render import one_line, print_json, say
from simulations.cli.chosen import DURATION, Chosen, choosing, number

if TYPE_CHECKING:
    from simulations.swarm import RunEnd


@click.command(
    epilog="\b\nExample:\n  p2pnode swarm run churn --nodes 200 --seed 7\n"
    "  p2pnode swarm run colluding-routers --set adversaries.fraction=0.3 --json"
)
@choosing
@click.option(
    "--stop-at", type=DURATION, metavar="VIRTUAL_S",
    help="End there as Ctrl-C does: the same run up to there, exit code 130.",
)  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page with plots.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Write the plots as one picture.")
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE", help="Write all events as JSON Lines.")
@click.option("--json", "as_json", is_flag=True, help='One JSON object on stdout, with "v": 1.')
def run(
    chosen: Chosen, stop_at: float | None, report: Path | None, png: Path | None, trace: Path | None, as_json: bool
) -> int:
    """Run SCENARIO (a name of `p2pnode swarm list`, or a TOML file). Exit 0 only if every claim holds.

    Ctrl-C, or --stop-at, ends a run early: what ran is shown and written all the same, and the exit code is 130.
    """
    from overlay.runtime.ports import SECOND
    from simulations.cli.ending import stopping, telling
    from simulations.cli.outputs import Outputs
    from simulations.cli.progress import progress
    from simulations.cli.summary import lines
    from simulations.report.data import counted, versions
    from simulations.slips import slips

    again = _command(chosen, stop_at)
    stop_at_ns = None if stop_at is None else round(stop_at * SECOND)
    outputs = Outputs(report, png, trace)
    outputs.check(*chosen.files())
    swarm = chosen.swarm()
    for slip in slips(swarm.scenario):
        say(one_line(f"warning: {slip}"))
    header = {
        "scenario": swarm.scenario.name, "seed": swarm.seed, "nodes": len(swarm), "command": again,
        "versions": versions(),
    }  # fmt: skip
    with outputs.recording(swarm, header) as recording:
        with telling(again, swarm), stopping(swarm, as_json=as_json), progress(swarm) as moved:
            end = swarm.run(moved, stop_at_ns=stop_at_ns)
        if end.interrupted and swarm.now_s:
            # Not --duration: parts of a shorter scenario do other things.
            again = _command(chosen, swarm.now_s)
        result = as_object(end)
        recording.finish(result, again)
    if as_json:
        print_json(result)
    else:
        print("\n".join(lines(result, counted(swarm.adversaries), again)), flush=True)
    if chosen.resized and not end.interrupted and not all(verdict.ok for verdict in end.verdicts):
        say("its claims are meant for the nodes and the duration that the scenario says: absolute bounds hold there")
    if not end.ok:
        say(f"{'stopped' if end.interrupted else 'failed'}; to see it again:\n  {again}")
    return Exit.INTERRUPTED if end.interrupted else Exit.OK if end.ok else Exit.FAILED


def _command(chosen: Chosen, stop_at: float | None) -> str:
    return chosen.command("run", *(() if stop_at is None else ("--stop-at", number(stop_at))))


def as_object(end: RunEnd) -> dict[str, object]:
    """The final line of --json."""
    claims = [
        {"name": v.name, "ok": v.ok, "value": v.value, "bound": v.bound, "early": end.interrupted,
         "did_you_mean": v.meant}
        for v in end.verdicts
    ]  # fmt: skip
    broken = [{"invariant": b.invariant, "node": b.node, "at_s": b.at_s, "what": b.what} for b in end.broken]
    return {
        "v": 1, "scenario": end.scenario, "seed": end.seed, "nodes": end.nodes, "virtual_s": end.virtual_s,
        "wall_s": end.wall_s, "events": end.events, "rpcs": end.rpcs, "trace_hash": end.trace_hash,
        "claims": claims, "invariants": broken, "ok": end.ok, "interrupted": end.interrupted,
        "not_run": list(end.not_run), "app_errors": [attrs.asdict(error) for error in end.app_errors],
        "measures": end.measures,
    }  # fmt: skip
