"""`p2pnode swarm shrink`: a failing run, as small as it goes."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from p2pnode.ui.fail import Exit, fail
from p2pnode.ui.render import one_line, print_json, say
from p2pnode.ui.targets import check_output
from simulations.cli.chosen import Chosen, choosing
from simulations.cli.ending import ending_at_once
from simulations.cli.outputs import check_kept


@click.command(
    epilog="\b\nExample:\n  p2pnode swarm shrink churn --seed 7 --set churn.session_s=20\n"
    "  p2pnode swarm shrink mine.toml --budget 100 --output small.toml"
)
@choosing
@click.option("--budget", type=click.IntRange(1), default=40, show_default=True, metavar="RUNS", help="At most.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.toml",
    help="Where the smaller scenario goes if --set cannot say it.  [default: SCENARIO-shrunk.toml]",
)
@click.option("--json", "as_json", is_flag=True, help='One JSON object on stdout, with "v": 1.')
def shrink(chosen: Chosen, budget: int, output: Path | None, as_json: bool) -> int:
    """Make a failing run smaller while the same claim or invariant fails, and print the command that repeats it.

    Fewer nodes, less time, fewer parts, smaller counts. Give it the options of the run that failed. Exit 1 if that
    run does not fail.
    """
    if output is not None:
        check_output(output)
        check_kept(output, *chosen.files())
    chosen.swarm()  # says what is wrong with it
    with ending_at_once(as_json=as_json):
        return _shrink(chosen, budget, output, as_json)


def _shrink(chosen: Chosen, budget: int, output: Path | None, as_json: bool) -> int:
    from simulations.cli.shrunk import settings_of, toml_of
    from simulations.population import Codec
    from simulations.shrink import Shrinker, failure_of
    from simulations.spec import without_late

    # What lies behind the end of a run that is made shorter would be refused in the file that comes of this.
    table, codec = without_late(chosen.table()), Codec(chosen.codec)
    failure = failure_of(table, seed=chosen.seed, codec=codec)
    if failure is None:
        fail("that run does not fail: nothing to shrink", look=chosen.command("run"))
    say(one_line(f"{failure.kind} {failure.name} fails; at most {budget} runs follow"))
    shrinker = Shrinker(
        lambda smaller: failure_of(smaller, seed=chosen.seed, codec=codec), budget,
        lambda what, left: say(f"still fails with {what} ({left} runs left)"),
    )  # fmt: skip
    smallest = shrinker.run(table, failure)
    settings = settings_of(table, smallest)
    if settings is not None and output is None:
        command = chosen.command("run", *(word for setting in settings for word in ("--set", setting)))
    else:
        path = output if output is not None else Path(f"{table['name']}-shrunk.toml")
        try:
            path.write_text(toml_of(smallest), encoding="utf-8")
        except OSError as error:
            fail(f"cannot write {path}: {error.strerror}")
        words = ["p2pnode", "swarm", "run", str(path), "--seed", str(chosen.seed)]
        command = shlex.join(words + (["--codec", chosen.codec] if chosen.codec != "objects" else []))
    if as_json:
        print_json(
            {"v": 1, "kind": failure.kind, "name": failure.name, "runs": budget - shrinker.budget, "command": command}
        )
    else:
        print(command)
    return Exit.OK
