"""A run in the terminal: 80 columns that say how it went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from p2pnode.ui.render import one_line, table
from simulations.report.axis import figure

#: Column of the table of operations -> how the figure `OPERATION_suffix` is written.
_COLUMNS: Final = {
    "count": ("count", "{:,.0f}"),
    "success": ("success", "{:.2%}"),
    "p50 ms": ("p50_ms", "{:,.0f}"),
    "p99 ms": ("p99_ms", "{:,.0f}"),
    "RPCs": ("rpcs", "{:,.1f}"),
    "hops": ("hops", "{:,.1f}"),
}
#: Series of simulations.samples that the line "per node" tells.
_MEMORY: Final = {"table": "{} table entries", "records": "{} records", "remembered": "{} peers remembered"}
_WIDTH: Final = 80


def lines(run: Mapping[str, Any], adversaries: Mapping[str, int], command: str) -> Iterator[str]:
    """`run` is the object of --json. Names of a scenario and words of an application reach no terminal as they are."""
    yield from map(one_line, _told(run, adversaries))
    yield f"again       {command}"


def _told(run: Mapping[str, Any], adversaries: Mapping[str, int]) -> Iterator[str]:
    measures: dict[str, float] = dict(run["measures"])
    rate = run["events"] / max(run["wall_s"], 0.001)
    yield f"{run['scenario']}, seed {run['seed']}: {run['nodes']:,} nodes, {run['virtual_s']:,.0f} virtual s"
    yield f"{run['events']:,} events in {run['wall_s']:,.1f} s ({rate:,.0f}/s)"
    yield ""
    operations = [name.removesuffix("_count") for name in measures if name.endswith("_count")]
    if operations:
        rows = [_row(measures, name) for name in operations]
        yield from table(("operation", *_COLUMNS), rows, right=tuple(_COLUMNS)).splitlines()
        yield ""
    facts = list(_facts(run, measures, adversaries))
    facts += _rest(measures)
    for label, text in facts:
        first, *more = _wrapped(text)
        yield f"{label:<11} {first}"
        yield from (f"{'':<11} {line}" for line in more)
    yield ""
    if not_run := run.get("not_run"):  # runs that were saved before have it not
        first, *more = _wrapped(", ".join(not_run))
        yield f"{'not run':<11} {first}"
        yield from (f"{'':<11} {line}" for line in more)
    yield from _claims(run["claims"])
    for error in _errors(run):
        times = f", {error['count']:,} times" if error["count"] > 1 else ""
        where = f" ({error['where']})" if error["where"] else ""
        yield (
            f"{'app error':<11} {error['app']} {error['event']}{times}, first at node {error['node']}, "
            f"{error['at_s']:.1f} s: {error['error']}{where}"
        )
    for broken in run["invariants"]:
        where = "" if broken["node"] is None else f" at node {broken['node']}"
        yield f"BROKEN      {broken['invariant']}{where}, {broken['at_s']:.1f} s: {broken['what']}"
    if not run["invariants"]:
        yield "ok          no invariant was broken"
    yield f"trace       {run['trace_hash']}"


def _row(measures: dict[str, float], operation: str) -> list[str]:
    cells = [operation]
    for suffix, form in _COLUMNS.values():
        value = measures.pop(f"{operation}_{suffix}", None)
        if suffix == "success" and value is not None and value < 1:
            value = min(value, 0.9999)  # only all is 100%
        cells.append("-" if value is None else form.format(value))
    return cells


def _facts(
    run: Mapping[str, Any], measures: dict[str, float], adversaries: Mapping[str, int]
) -> Iterator[tuple[str, str]]:
    datagrams, size = measures.pop("datagrams", 0), measures.pop("bytes", 0)
    measures.pop("rpcs", None)
    per = max(run["virtual_s"], 0.001) * max(run["nodes"], 1)
    yield (
        "traffic",
        (
            f"{datagrams:,.0f} datagrams, {size / 1e6:,.1f} MB, {run['rpcs']:,} RPCs; "
            f"{datagrams / per:.2g} datagrams/s per node"
        ),
    )
    lost = {name: measures.pop(name) for name in list(measures) if name.startswith("lost_")}
    if lost:
        yield "lost", ", ".join(f"{count:,.0f} {name.removeprefix('lost_')}" for name, count in lost.items())
    most, last = measures.pop("alive_max", 0), measures.pop("alive_last", 0)
    among = ", ".join(f"{count:,} {name}" for name, count in adversaries.items())
    for name in ("alive_adversaries_max", "alive_adversaries_last", "sent_max", "sent_last"):
        measures.pop(name, None)
    yield "population", f"{last:,.0f} at the end, {most:,.0f} at most" + (f"; {among}" if among else "")
    held = []
    for name, words in _MEMORY.items():
        mean, top = measures.pop(f"{name}_mean_last", None), measures.pop(f"{name}_most_max", None)
        measures.pop(f"{name}_mean_max", None), measures.pop(f"{name}_most_last", None)
        if mean is not None and top is not None:
            held.append(words.format(f"{mean:,.0f}") + f" (most {top:,.0f})")
    if held:
        yield "per node", ", ".join(held)


def _rest(measures: dict[str, float]) -> Iterator[tuple[str, str]]:
    """What parts of the scenario measured on their own; noughts say nothing."""
    left = [f"{name} {figure(value)}" for name, value in measures.items() if value]
    if left:
        yield "also", ", ".join(left)


def _claims(claims: list[Mapping[str, Any]]) -> Iterator[str]:
    if not claims:
        return
    width = max(len(claim["name"]) for claim in claims)
    for claim in claims:
        value = "not measured" if claim["value"] is None else figure(claim["value"])
        if meant := claim.get("did_you_mean"):
            value += f", did you mean {meant}?"
        yield f"{verdict(claim):<11} {claim['name']:<{width}}  {value}  ({claim['bound']})"


def verdict(claim: Mapping[str, Any]) -> str:
    """A claim is one about the end: of a run that was stopped it is only told how it stood."""
    return "early" if claim.get("early") else "ok" if claim["ok"] else "FAILED"


def _errors(run: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of applications, but for those that an invariant tells of."""
    told = any(broken["invariant"] == "apps-run" for broken in run["invariants"])
    return [error for error in run.get("app_errors", []) if error["event"] != "failed" or not told]


def _wrapped(text: str) -> list[str]:
    from textwrap import wrap

    return wrap(text, _WIDTH - 12, break_long_words=False) or [""]
