"""`p2pnode swarm list` and `show`: the scenarios that are there."""

from __future__ import annotations

import click

from p2pnode.ui.fail import fail
from p2pnode.ui.render import print_json, table


@click.command("list", epilog="\b\nExample:\n  p2pnode swarm list")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on stdout.")
def list_scenarios(as_json: bool) -> None:
    """The scenarios that come with p2pnode."""
    from simulations import spec

    rows = []
    for name in spec.shipped():
        scenario = spec.load(name)
        row = {"name": name, "nodes": scenario.population.nodes, "duration_s": scenario.duration_s,
               "claims": len(scenario.claims), "description": scenario.description}  # fmt: skip
        if as_json:
            print_json({"v": 1, **row})
        rows.append(row)
    if not as_json:
        headers = ("name", "nodes", "virtual s", "claims", "what happens")
        cells = [(r["name"], r["nodes"], f"{r['duration_s']:g}", r["claims"], r["description"]) for r in rows]
        print(table(headers, cells, right=("nodes", "virtual s", "claims")))


@click.command(epilog="\b\nExample:\n  p2pnode swarm show churn\n  p2pnode swarm show churn > mine.toml")
@click.argument("name")
def show(name: str) -> None:
    """The text of a scenario: a start for one of your own.

    Its claims are meant for the size it is shipped with: absolute bounds (ms, counts) hold for no other.
    """
    from simulations import spec

    try:
        text = spec.text_of(name)
    except spec.BadScenario as error:
        fail(str(error), code="not_found", look="p2pnode swarm list")
    print(text, end="")
