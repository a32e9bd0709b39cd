"""What of a scenario lies behind its end: it would not happen, and nobody would hear of it."""

from __future__ import annotations

import attrs

from simulations.scenario import ACTIONS, Part, Scenario


@attrs.frozen(slots=True)
class Late:
    #: For a person: `partition at 120 s`, `workload 2`.
    what: str
    #: Key of the file that is wrong then; "" where only a part of it comes too late.
    path: str
    why: str


def late(scenario: Scenario, end_s: float) -> list[Late]:
    """What does not happen in a run of this scenario that ends at `end_s`, in the order of the file."""
    found = []
    arrive_s = scenario.population.arrive_s
    if arrive_s > end_s:
        found.append(Late(f"arrivals after {end_s:g} s", "", f"the last node arrives at {arrive_s:g} s"))
    if scenario.churn is not None:
        found += _begins("churn", "churn", scenario.churn, "from_s", end_s)
    for i, part in enumerate(scenario.timeline):
        found += _begins(ACTIONS.name_of(part), f"timeline[{i}]", part, "at_s", end_s) or _again(part, end_s)
    for i, part in enumerate(scenario.workload):
        begins = _begins(f"workload {i + 1}", f"workload[{i}]", part, "from_s", end_s)
        to_s = getattr(part, "to_s", None)
        if not begins and to_s is not None and to_s > end_s:
            begins = [Late(f"workload {i + 1} after {end_s:g} s", "", f"it goes on until {to_s:g} s")]
        if not begins and hasattr(part, "get_from_s"):
            begins = _begins(f"gets of workload {i + 1}", f"workload[{i}]", part, "get_from_s", end_s)
        found += begins
    for i, part in enumerate(scenario.adversaries):
        found += _begins(f"adversary {i + 1}", f"adversaries[{i}]", part, "from_s", end_s)
    return found


def _again(part: Part, end_s: float) -> list[Late]:
    at_s, after_s = getattr(part, "at_s", None), getattr(part, "restart_after_s", None)
    if not isinstance(at_s, int | float) or not isinstance(after_s, int | float) or at_s + after_s <= end_s:
        return []
    return [Late(f"restart at {at_s + after_s:g} s", "", "who died starts again after the end")]


def _begins(what: str, path: str, part: Part, key: str, end_s: float) -> list[Late]:
    """Parts may be anybody's: one without that key says nothing of when it begins. One whose results need a while has
    `earliest_s`, when the first of them is there."""
    at_s = getattr(part, key, None)
    if not isinstance(at_s, int | float):
        return []
    if at_s >= end_s:
        what = f"{what} at {at_s:g} s" if key == "at_s" else what
        return [Late(what, f"{path}.{key}", f"expected less than duration_s, {end_s:g}, found {at_s:g}")]
    earliest_s = getattr(part, "earliest_s", at_s)
    if earliest_s >= end_s:
        why = f"its first result is there at {earliest_s:g} s, not before the end (duration_s, {end_s:g})"
        return [Late(what, f"{path}.{key}", why)]
    return []
