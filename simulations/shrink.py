"""Makes a failing run smaller while it still fails in the same way: delta debugging over a scenario.

Each step tries smaller tables, the boldest first, and goes on from the first that still fails. What fails is one
thing: an invariant, a claim that is missed by one side, or an exception; a smaller run that fails in another way, or
measures nothing of what is claimed any more, is no smaller version of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from simulations.outcome import Missed
from simulations.population import Codec
from simulations.spec import BadScenario, scenario_of, without_late
from simulations.swarm import Swarm

#: Keys of parts whose numbers may be made smaller.
_COUNTS = frozenset(("count", "values", "gets", "puts", "reads", "authors", "lookups", "messages"))
#: Keys of lists of parts.
LISTS = ("adversaries", "timeline", "workload")


@attrs.frozen(slots=True)
class Failure:
    """What went wrong first: `kind` is "invariant", "claim" or "error"."""

    kind: str
    name: str
    at_s: float | None = None
    #: Of a claim: by which side.
    missed: Missed | None = None

    def same(self, other: Failure | None) -> bool:
        return other is not None and (self.kind, self.name, self.missed) == (other.kind, other.name, other.missed)


Table = dict[str, Any]
#: How a table fails; None: it does not.
Judge = Callable[[Table], Failure | None]


def failure_of(table: Mapping[str, Any], *, seed: int, codec: Codec) -> Failure | None:
    """Run it. BadScenario if it is none."""
    swarm = Swarm(scenario_of(table["name"], table), seed=seed, codec=codec)
    try:
        end = swarm.run()
    except Exception as error:
        return Failure("error", type(error).__name__, swarm.now_s)
    if end.broken:
        return Failure("invariant", end.broken[0].invariant, end.broken[0].at_s)
    failed = [verdict for verdict in end.verdicts if not verdict.ok]
    return Failure("claim", failed[0].name, missed=failed[0].missed) if failed else None


@attrs.define(slots=True)
class Shrinker:
    """`run` ends after `budget` runs at the latest. `on_step(what, runs left)` hears of every smaller table."""

    judge: Judge
    budget: int
    on_step: Callable[[str, int], object] = lambda what, left: None

    def run(self, table: Table, failure: Failure) -> Table:
        """The smallest table found that fails as `failure` does."""
        smallest = relevant(table, failure)
        if smallest != table and not self._fails(smallest, failure):
            smallest = table
        again = True
        while again:
            again = False
            for what, smaller in _smaller(smallest, failure):
                if self.budget <= 0:
                    return smallest
                if self._fails(smaller, failure):
                    smallest, again = smaller, True
                    self.on_step(what, self.budget)
                    break
        return smallest

    def _fails(self, table: Table, failure: Failure) -> bool:
        self.budget -= 1
        try:
            return failure.same(self.judge(table))
        except BadScenario:
            return False  # made too small for something else in it


def relevant(table: Table, failure: Failure) -> Table:
    """Without the claims that are not meant."""
    claims = [
        claim for claim in table.get("claims", [])
        if failure.kind == "claim" and (claim.get("name") or claim["measure"]) == failure.name
    ]  # fmt: skip
    return {**table, "claims": claims}


def _smaller(table: Table, failure: Failure) -> Iterator[tuple[str, Table]]:
    """Tables that are a step smaller, the boldest first."""
    population = table.get("population", {})
    nodes = population.get("nodes", 100)
    for fewer in dict.fromkeys((nodes // 4, nodes // 2, nodes * 3 // 4, nodes * 9 // 10)):
        if 2 <= fewer < nodes:
            yield f"{fewer} nodes", {**table, "population": {**population, "nodes": fewer}}
    duration_s = table.get("duration_s", 300.0)
    just_enough = [] if failure.at_s is None else [float(round(failure.at_s + 1))]
    for shorter in (*just_enough, float(round(duration_s / 2)), float(round(duration_s * 3 / 4))):
        if 1 <= shorter < duration_s:
            yield f"{shorter:g} s", _in_time({**table, "duration_s": shorter})
    for name in LISTS:
        for i in range(len(table.get(name, []))):
            entries = table[name][:i] + table[name][i + 1 :]
            yield f"without {name}[{i}]", {**table, name: entries}
    for name in ("churn", "link"):
        if name in table:
            yield f"without {name}", {key: value for key, value in table.items() if key != name}
    for name in LISTS:
        for i, entry in enumerate(table.get(name, [])):
            for key, value in entry.items():
                if key in _COUNTS and type(value) is int and value > 1:
                    smaller = copy.deepcopy(table)
                    smaller[name][i][key] = value // 2
                    yield f"{name}[{i}].{key} = {value // 2}", smaller


def _in_time(table: Table) -> Table:
    """Without what would begin after its end, which a file may not say; whether the rest is one, the judge finds."""
    try:
        return without_late(table)
    except BadScenario:
        return table
