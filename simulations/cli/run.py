"""`p2pnode swarm run`: one scenario, one seed; claims decide the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from p2pnode.ui.fail import Exit, fail
from p2pnode.ui.render import print_json, say, table

if TYPE_CHECKING:
    from simulations.swarm import RunEnd

#: Figures that everybody wants to see, in order; --json has them all.
_SHOWN = 24


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
@click.option("--json", "as_json", is_flag=True, help='One JSON object on stdout, with "v": 1.')
def run(
    scenario: str,
    nodes: int | None,
    seed: int,
    duration: float | None,
    codec: str,
    settings: tuple[str, ...],
    app: str | None,
    as_json: bool,
) -> int:
    """Run SCENARIO (a name of `p2pnode swarm list`, or a TOML file). Exit 0 only if every claim holds."""
    from simulations import spec
    from simulations.population import Codec
    from simulations.swarm import Swarm

    extra = [f"population.nodes={nodes}"] if nodes is not None else []
    extra += [f"duration_s={duration}"] if duration is not None else []
    extra += [f'population.apps=["{app}"]'] if app is not None else []
    try:
        loaded = spec.load(scenario, (*extra, *settings))
    except spec.BadScenario as error:
        fail(f"scenario {scenario}: {error}", code="usage", look=f"p2pnode swarm show {scenario}")
    again = _command(scenario, nodes, seed, duration, codec, settings, app)
    end = Swarm(loaded, seed=seed, codec=Codec(codec)).run(_progress(loaded.duration_s))
    if as_json:
        print_json(as_object(end))
    else:
        _show(end)
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


def _show(end: RunEnd) -> None:
    print(f"{end.scenario}, seed {end.seed}: {end.nodes:,} nodes, {end.virtual_s:,.0f} virtual s in {end.wall_s:.1f} s")
    print(f"{end.events:,} events ({end.events / max(end.wall_s, 0.001):,.0f}/s), {end.rpcs:,} RPCs")
    figures = list(end.measures.items())
    print(table(("measure", "value"), [(name, f"{value:g}") for name, value in figures[:_SHOWN]], right=("value",)))
    for verdict in end.verdicts:
        value = "not measured" if verdict.value is None else f"{verdict.value:g}"
        print(f"{'ok    ' if verdict.ok else 'FAILED'}  {verdict.name}: {value}  ({verdict.bound})")
    for broken in end.broken:
        where = "" if broken.node is None else f" at node {broken.node}"
        print(f"BROKEN  {broken.invariant}{where}, {broken.at_s:.1f} s: {broken.what}")
    print(f"trace   {end.trace_hash}")


def _progress(total_s: float) -> Callable[[float], None] | None:
    """A bar on stderr for a person at a terminal."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} virtual s"), BarColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=total_s)
    bar.start()

    def moved(now_s: float) -> None:
        bar.update(task, completed=now_s)
        if now_s >= total_s:
            bar.stop()

    return moved


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
