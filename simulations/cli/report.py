"""`p2pnode swarm report`: a saved run, looked at again."""

from __future__ import annotations

from pathlib import Path

import click

from p2pnode.ui.fail import fail
from p2pnode.ui.render import one_line, print_json


@click.command(
    epilog="\b\nExample:\n  p2pnode swarm run churn --trace churn.jsonl\n"
    "  p2pnode swarm report churn.jsonl --output churn.html --png churn.png"
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE.html", help="Write the report there.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Write all plots as one picture.")
@click.option("--json", "as_json", is_flag=True, help="What `swarm run --json` said at its end.")
def report(file: Path, output: Path | None, png: Path | None, as_json: bool) -> None:
    """Show the run that FILE holds, and make its report again.

    FILE is what `swarm run --trace` or `--report` wrote, or the JSON that a report offers.
    """
    from simulations.cli.outputs import Outputs, writing
    from simulations.cli.summary import lines
    from simulations.report import saved

    outputs = Outputs(output, png)
    outputs.check(file)
    try:
        data = saved.read(file)
    except OSError as error:
        fail("the file cannot be read", code="not_found", file=str(file), reason=str(error.strerror))
    except saved.NoRun as error:
        fail(f"this file holds no run: {error}", file=str(file), make_one="p2pnode swarm run churn --report run.html")
    try:
        with writing():
            outputs.write(data)
        text = "\n".join(lines(data["run"], data["adversaries"], one_line(data["command"])))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        reason = one_line(f"{type(error).__name__}: {error}")
        fail("this file holds a run that is damaged", file=str(file), reason=reason)
    if as_json:
        print_json(data["run"])
    else:
        print(text)
