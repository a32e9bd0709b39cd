"""A run as one JSON-ready dict: all that a report shows, and no more than a few hundred kilobytes of any run.

Times are virtual seconds, ids are places on the ring of the id space from 0 to 1. `VERSION` goes up when a reader of
an older one would show something wrong.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import floor
from typing import Any, Final

from overlay.identity.node_id import ID_BYTES
from overlay.peer import Peer
from overlay.runtime.ports import MS, SECOND
from overlay.wire.registry import Kind
from simulations.measures import Operations, quantile
from simulations.report.recorder import Recorder, Traffic, now
from simulations.swarm import Swarm

VERSION: Final = 1
#: Points of one line, and bins of the operations: finer than a plot of 400 pixels can show is waste.
MAX_POINTS: Final = 240
BINS: Final = 40
#: Marks that are kept; churn by the thousand is a series and not a mark.
MAX_MARKS: Final = 200
#: Nodes on the ring, and nodes whose routing tables are drawn.
MAX_RING: Final = 1500
DRAWN_TABLES: Final = 3
_NAMES: Final = {kind.value: kind.name for kind in Kind}


def versions() -> dict[str, str]:
    """Of what a run depends on."""
    from importlib.metadata import version

    return {"p2pnode": version("p2pnode"), "python": platform.python_version()}


def collect(swarm: Swarm, recorder: Recorder, run: Mapping[str, object], command: str) -> dict[str, Any]:
    """After the run. `run` is the object of `--json`, `command` repeats the run."""
    end_s = swarm.now_s
    marks = sorted(swarm.measures.marks)
    return {
        "v": VERSION,
        "what": "run of p2pnode swarm",
        "run": dict(run),
        "description": swarm.scenario.description,
        "command": command,
        "versions": versions(),
        "adversaries": counted(swarm.adversaries),
        "marks": [[round(at_s, 3), text] for at_s, text in marks[:MAX_MARKS]],
        "marks_left_off": max(0, len(marks) - MAX_MARKS),
        "series": {name: _thinned(series.at_s, series.value) for name, series in swarm.measures.series.items()},
        "traffic": _rates([*recorder.traffic, now(swarm)]),
        "operations": {name: _binned(found, end_s) for name, found in sorted(swarm.measures.operations.items())},
        "ring": _ring(swarm, recorder),
    }


def counted(adversaries: Mapping[int, str]) -> dict[str, int]:
    """Name of an adversary -> how many nodes are one."""
    names = list(adversaries.values())
    return {name: names.count(name) for name in sorted(set(names))}


def _every(length: int) -> int:
    return max(1, -(-length // MAX_POINTS))


def _thinned(at_s: Sequence[float], values: Sequence[float]) -> dict[str, list[float]]:
    step = _every(len(at_s))
    return {"at_s": [round(at, 3) for at in at_s[::step]], "value": list(values[::step])}


def _rates(rows: Sequence[Traffic]) -> dict[str, Any]:
    """Per virtual second between two rows; the most frequent kind first."""
    kept = rows[:-1][:: _every(len(rows))]
    rows = [row for row in kept if row.at_s < rows[-1].at_s] + [rows[-1]]
    if len(rows) > 2 and 2 * (rows[-1].at_s - rows[-2].at_s) < rows[1].at_s - rows[0].at_s:
        del rows[-2]  # the run went on for a moment after the last sample: what little was sent then is no rate

    def per_s(of: Callable[[Traffic], int]) -> list[float]:
        return [round((of(b) - of(a)) / (b.at_s - a.at_s), 2) for a, b in pairwise(rows)]

    last = rows[-1].kinds
    ordered = sorted(last, key=lambda kind: (-last[kind], kind))
    return {
        "at_s": [round(row.at_s, 3) for row in rows[1:]],
        "bytes_per_s": per_s(lambda row: row.bytes),
        "kinds_per_s": {
            _NAMES.get(kind, f"kind {kind}"): per_s(lambda row, k=kind: row.kinds.get(k, 0))  # type: ignore[misc]
            for kind in ordered
        },
    }


def _binned(found: Operations, end_s: float) -> dict[str, Any]:
    """What began within each of BINS equal times: how many, how many went well, how long those took; and all hops."""
    width = max(end_s, 0.001) / BINS
    members: dict[int, list[int]] = {}
    for i, began_ns in enumerate(found.began_ns):
        members.setdefault(min(BINS - 1, floor(began_ns / SECOND / width)), []).append(i)
    bins = []
    for place in sorted(members):
        took = [found.took_ns[i] for i in members[place] if found.ok[i]]
        p50, p99 = (round(quantile(took, p) / MS, 3) if took else None for p in (50, 99))
        bins.append([round(place * width, 3), round((place + 1) * width, 3), len(members[place]), len(took), p50, p99])
    hops: dict[int, int] = {}
    if any(found.hops):
        for went in (hop for hop, ok in zip(found.hops, found.ok, strict=True) if ok):
            hops[went] = hops.get(went, 0) + 1
    return {"bins": bins, "hops": [[hop, hops[hop]] for hop in sorted(hops)]}


def _ring(swarm: Swarm, recorder: Recorder) -> dict[str, Any]:
    """Who is where at the end; the routing tables of a few; the last lookups, answer by answer."""
    nodes = range(0, len(swarm), max(1, -(-len(swarm) // MAX_RING)))
    honest = swarm.honest()
    tables = []
    for node in honest[:: max(1, len(honest) // DRAWN_TABLES)][:DRAWN_TABLES]:
        peer = swarm.engine.peer(node)
        if isinstance(peer, Peer):
            known = sorted(_place(contact.number) for contact in peer.table.contacts())
            tables.append({"from": _place(swarm.number(node)), "to": known})
    lookups = []
    for lookup in recorder.lookups:
        paths: dict[int, list[float]] = {}
        for path, asked in lookup.steps:
            paths.setdefault(path, []).append(_place(int.from_bytes(asked, "big")))
        lookups.append({
            "from": _place(swarm.number(lookup.node)), "target": _place(int.from_bytes(lookup.target, "big")),
            "paths": [paths[path] for path in sorted(paths)],
        })  # fmt: skip
    return {"nodes": len(swarm), "places": [[_place(swarm.number(n)), _state(swarm, n)] for n in nodes],
            "tables": tables, "lookups": lookups}  # fmt: skip


def _state(swarm: Swarm, node: int) -> str:
    if not swarm.engine.alive(node):
        return "off"
    return "adversary" if node in swarm.adversaries else "honest"


def _place(number: int) -> float:
    return round((number >> (8 * ID_BYTES - 32)) / (1 << 32), 5)
