"""A table of a sweep: one measure, the seeds taken together, with how sure it is.

A measure that is a share of counted operations (`lookup_success` of `lookup_count`) gets the Wilson interval over all
operations of all seeds; those of one seed share one swarm, so several seeds say more than many operations. Other
measures get their least and most over the seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from simulations.sweep.plan import Plan
from simulations.sweep.rows import Row
from simulations.wilson import wilson


@attrs.frozen(slots=True)
class Figure:
    """One entry of the table. `low` to `high`: Wilson's 95 % of a share, else least to most."""

    value: float
    low: float
    high: float
    runs: int
    #: Operations counted; None if it is no share.
    count: int | None = None


@attrs.frozen(slots=True)
class Grid:
    """Rows are the values of all varied keys but the last, columns those of the last."""

    measure: str
    row_keys: tuple[str, ...]
    column_key: str
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]
    cells: dict[tuple[str, ...], Figure]

    @property
    def is_share(self) -> bool:
        return any(figure.count is not None for figure in self.cells.values())


def measures_of(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """Names of all measures: those the scenario claims something of first, then shares. The first one is shown if
    nobody says which."""
    claimed = [claim.measure for claim in plan.scenario_of(next(plan.cells())).claims]
    names = dict.fromkeys(name for row in rows for name in row.get("measures", {}))
    return sorted(names, key=lambda name: (name not in claimed, not name.endswith("_success")))


def grid_of(plan: Plan, rows: Sequence[Row], measure: str) -> Grid:
    """The table of a measure; runs that crashed or did not measure it do not count."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if measure in row.get("measures", {}):
            groups.setdefault(tuple(row["settings"][vary.key] for vary in plan.vary), []).append(row)
    *first, last = plan.vary
    row_values: list[tuple[str, ...]] = [()]
    for vary in first:
        row_values = [(*values, value) for values in row_values for value in vary.values]
    return Grid(
        measure, tuple(vary.key for vary in first), last.key, tuple(row_values), last.values,
        {values: _figure(group, measure) for values, group in groups.items()},
    )  # fmt: skip


def _figure(rows: Sequence[Row], measure: str) -> Figure:
    values = [row["measures"][measure] for row in rows]
    counts = [row["measures"].get(measure.removesuffix("_success") + "_count") for row in rows]
    if not measure.endswith("_success") or None in counts:
        return Figure(sum(values) / len(values), min(values), max(values), len(rows))
    total = round(sum(counts))
    good = round(sum(value * count for value, count in zip(values, counts, strict=True)))
    low, high = wilson(good, total)
    return Figure(good / total if total else 0.0, low, high, len(rows), total)
