"""`p2pnode swarm run`: one scenario, one seed; claims decide the exit code."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p2pnode.ui.fail import Exit, fail
from p2pnode.ui.render import print_json, say

if TYPE_CHECKING:
    from simulations.swarm import RunEnd, Swarm


@click.command(
    epilog="\b\nExample:\n  p2pnode swarm run churn --nodes 200 --seed 7\n"
    "  p2pnode swarm run colluding-routers --set adversaries.fraction=0.3 --json"
)
@click.argument("scenario")
@click.option("--nodes", type=click.IntRange(2, 200_000), help="Instead of what the scenario says.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed gives the same run.")
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="VIRTUAL_S", help="Virtual seconds.")
@click.option(
    "--codec",
    type=click.Choice(["objects", "fast", "real"]),
    default="objects",
    show_default=True,
    help="How much of the work of a datagram is real; decisions are the same.",
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a key of the scenario.")
@click.option("--app", metavar="MODULE:CLASS", help="An application that every honest node runs.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE.html", help="Write a page with plots.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Write the plots as one picture.")
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE", help="Write all events as JSON Lines.")
@click.option("--json", "as_json", is_flag=True, help='One JSON object on stdout, with "v": 1.')
def run(
    scenario: str,
    nodes: int | None,
    seed: int,
    duration: float | None,
    codec: str,
    settings: tuple[str, ...],
    app: str | None,
    report: Path | None,
    png: Path | None,
    trace: Path | None,
    as_json: bool,
) -> int:
    """Run SCENARIO (a name of `p2pnode swarm list`, or a TOML file). Exit 0 only if every claim holds.

    Ctrl-C ends a run early: what ran is shown and written all the same.
    """
    from simulations import spec
    from simulations.cli.outputs import Outputs
    from simulations.cli.progress import progress
    from simulations.cli.summary import lines
    from simulations.population import Codec
    from simulations.report.data import counted, versions
    from simulations.swarm import Swarm

    extra = [f"population.nodes={nodes}"] if nodes is not None else []
    extra += [f"duration_s={duration}"] if duration is not None else []
    extra += [f'population.apps=["{app}"]'] if app is not None else []
    try:
        loaded = spec.load(scenario, (*extra, *settings))
    except spec.BadScenario as error:
        fail(f"scenario {scenario}: {error}", code="usage", look=f"p2pnode swarm show {scenario}")
    again = _command(scenario, nodes, seed, duration, codec, settings, app)
    outputs = Outputs(report, png, trace)
    outputs.check()
    swarm = Swarm(loaded, seed=seed, codec=Codec(codec))
    header = {"scenario": loaded.name, "seed": seed, "nodes": len(swarm), "command": again, "versions": versions()}
    with outputs.recording(swarm, header) as recording:
        with _stopping(swarm), progress(swarm) as moved:
            end = swarm.run(moved)
        result = as_object(end)
        recording.finish(result, again)
    if as_json:
        print_json(result)
    else:
        print("\n".join(lines(result, counted(swarm.adversaries), again)), flush=True)
    if not end.ok:
        say(f"{'stopped' if end.interrupted else 'failed'}; to see it again:\n  {again}")
    return Exit.INTERRUPTED if end.interrupted else Exit.OK if end.ok else Exit.FAILED


def as_object(end: RunEnd) -> dict[str, object]:
    """The final line of --json."""
    claims = [{"name": v.name, "ok": v.ok, "value": v.value, "bound": v.bound} for v in end.verdicts]
    broken = [{"invariant": b.invariant, "node": b.node, "at_s": b.at_s, "what": b.what} for b in end.broken]
    return {
        "v": 1, "scenario": end.scenario, "seed": end.seed, "nodes": end.nodes, "virtual_s": end.virtual_s,
        "wall_s": end.wall_s, "events": end.events, "rpcs": end.rpcs, "trace_hash": end.trace_hash,
        "claims": claims, "invariants": broken, "ok": end.ok, "interrupted": end.interrupted,
        "measures": end.measures,
    }  # fmt: skip


@contextmanager
def _stopping(swarm: Swarm) -> Iterator[None]:
    """Ctrl-C once: the run ends between two events, and what ran is shown and written. Twice: at once."""

    def stop(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        swarm.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _command(
    scenario: str, nodes: int | None, seed: int, duration: float | None, codec: str, settings: tuple[str, ...],
    app: str | None,
) -> str:  # fmt: skip
    """The one command that repeats this run."""
    import shlex

    words = ["p2pnode", "swarm", "run", scenario, "--seed", str(seed)]
    words += ["--nodes", str(nodes)] if nodes is not None else []
    words += ["--duration", f"{duration:g}"] if duration is not None else []
    words += ["--codec", codec] if codec != "objects" else []
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--app", app] if app is not None else []
    return shlex.join(words)
