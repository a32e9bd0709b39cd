"""What a scenario probably does not mean, found before the run and not after an hour of it.

What a part measures is its own business, and it may be anybody's: so only slips of names that are known are told, as
warnings. At the end each claim is judged by what was measured.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Final

from simulations.apps import factory
from simulations.messages import AppCommand
from simulations.scenario import ADVERSARIES, WORKLOADS, Scenario

#: Name of a part -> operations that it measures.
_OPERATIONS: Final = {
    "lookup": ("lookup",), "put-get": ("put", "get"), "updates": ("update", "fresh"),
    "publish": ("publish", "delivery"), "eclipse": ("eclipsed_put", "eclipsed_get", "victim_lookup"),
    "flooders": ("victim_lookup",), "equivocators": ("equivocated_get",),
}  # fmt: skip
#: Figures of an operation (simulations.measures).
_FIGURES: Final = ("count", "success", "p50_ms", "p99_ms", "rpcs", "hops")
#: What every run has (simulations.samples, Swarm.figures).
_ALWAYS: Final = (
    "datagrams", "bytes", "rpcs", "unfinished",
    *(f"{series}_{figure}" for figure in ("max", "last") for series in (
        "alive", "alive_adversaries", "sent", "table_mean", "table_most", "records_mean", "records_most",
        "remembered_mean", "remembered_most",
    )),
    "join_count", "join_success", "join_p50_ms", "join_p99_ms",
)  # fmt: skip
#: Alike enough for a slip of the finger.
_NEAR: Final = 0.9


def slips(scenario: Scenario) -> Iterator[str]:
    """A sentence for each claim whose measure looks like a slip, and for commands of what nobody runs."""
    parts = [WORKLOADS.name_of(part) for part in scenario.workload]
    parts += [ADVERSARIES.name_of(part) for part in scenario.adversaries]
    known, absent = set(_ALWAYS), dict[str, str]()
    for part, operations in _OPERATIONS.items():
        figures = [f"{name}_{figure}" for name in operations for figure in _FIGURES]
        if part in parts:
            known.update(figures)
        else:
            absent.update(dict.fromkeys(figures, part))
    yield from _apps(scenario)
    is_all_ours = all(part in _OPERATIONS for part in parts) and not scenario.population.apps
    for i, claim in enumerate(scenario.claims):
        if claim.measure in known:
            continue
        if claim.measure in absent:
            if is_all_ours:
                part = absent[claim.measure]
                yield f"claims[{i}].measure: {claim.measure} is measured by {part!r}, which is not here"
        elif close := difflib.get_close_matches(claim.measure, sorted(known), n=1, cutoff=_NEAR):
            yield f"claims[{i}].measure: nothing known is called {claim.measure}; did you mean {close[0]}?"


def _apps(scenario: Scenario) -> Iterator[str]:
    running = [app.name for app in factory(scenario.population.apps)(0)]
    for i, part in enumerate(scenario.workload):
        if isinstance(part, AppCommand) and part.app not in running:
            there = ", ".join(running) or "none"
            yield f"workload[{i}].app: no node runs an application {part.app!r} (population.apps: {there})"
