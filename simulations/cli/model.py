"""`p2pnode swarm model`: lookups in a network of a million nodes, by a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import click

from p2pnode.ui.fail import fail
from p2pnode.ui.render import print_json, say, table
from simulations.model import MAX_MODEL_NODES

if TYPE_CHECKING:
    from simulations.model.run import ModelEnd

N = TypeVar("N", int, float)

_IS_A_MODEL = (
    "A model, not the swarm: tables as a network without churn has them, nobody\n"
    "slow or dead, no loss, no records, no trust, one kind of adversary\n"
    "(colluding-routers). Beside the swarm of 1,000 nodes it is within a point up\n"
    "to 30 %, too hopeful by up to 11 points at 50 %. Above that it is no guide:\n"
    "too gloomy by 20 points at 100 nodes and 80 % (docs/simulator.md)."
)


@click.command(
    epilog="\b\nExample:\n  p2pnode swarm model --nodes 100000 --adversaries 0.1,0.3 --paths 1,8\n" + _IS_A_MODEL
)
@click.option("--nodes", type=click.IntRange(2, MAX_MODEL_NODES), default=1_000_000, show_default=True)
@click.option("--adversaries", default="0,0.1,0.2,0.3,0.5", show_default=True, metavar="SHARES")
@click.option("--paths", default="1,4,8", show_default=True, metavar="NUMBERS", help="Disjoint paths, 1 to 8.")
@click.option("--lookups", type=click.IntRange(1, 100_000_000), default=10_000, show_default=True, help="Per cell.")
@click.option("--seed", type=click.IntRange(0, (1 << 63) - 1), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on stdout, a cell each.")
def model(nodes: int, adversaries: str, paths: str, lookups: int, seed: int, as_json: bool) -> None:
    """Success, RPCs and hops of lookups while a share of the nodes colludes, by a model of the lookup.

    Needs numba: pip install 'p2pnode[model]'. The first run compiles for a quarter of a minute.
    """
    shares = _numbers(adversaries, float, "--adversaries")
    ways = _numbers(paths, int, "--paths")
    try:
        from simulations.model.run import run
    except ImportError as error:
        fail(f"the model needs {error.name}, which is not installed", install="pip install 'p2pnode[model]'")
    ends: list[ModelEnd] = []
    for share in shares:
        for way in ways:
            try:
                end = run(nodes=nodes, adversaries=share, paths=way, lookups=lookups, seed=seed)
            except ValueError as error:
                fail(str(error), code="usage", help="p2pnode swarm model --help")
            ends.append(end)
            if as_json:
                import attrs

                print_json({"v": 1, "model": True, **attrs.asdict(end)})
    if not as_json:
        rows = [
            (f"{end.adversaries:g}", end.paths, f"{end.success:.2%}", f"{end.low:.2%} - {end.high:.2%}",
             f"{end.rpcs:.1f}", f"{end.hops:.2f}", f"{end.us_a_lookup:.0f}")
            for end in ends
        ]  # fmt: skip
        headers = ("adversaries", "paths", "success", "95 % (Wilson)", "RPCs", "hops", "us a lookup")
        print(table(headers, rows, right=headers))
        say(f"\n{nodes:,} nodes, {lookups:,} lookups a cell, seed {seed}.\n{_IS_A_MODEL}")


def _numbers(text: str, kind: Callable[[str], N], option: str) -> list[N]:
    found: list[N] = []
    with suppress(ValueError, OverflowError):
        found = list(dict.fromkeys(kind(part) for part in text.split(",")))
    if not found or not all(map(math.isfinite, found)):
        fail(f"{option} {text!r}: expected numbers with commas between them", code="usage",
             help="p2pnode swarm model --help")  # fmt: skip
    return found
