"""The overlay drawn: every node at its place on the ring of ids, and what runs between them.

The id space is no ring (its distance is XOR), but halves, quarters and eighths of the circle are the subtrees that
buckets stand for, so a routing table shows as many short chords and one or two long ones per subtree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import cos, pi, sin
from typing import Any, Final

import attrs

from simulations.report.svg import COLOURS

SIZE: Final = 400
_RADIUS: Final = 172
#: (x, y) in a circle of radius 1 around 0, y downwards, id 0 at the top.
Point = tuple[float, float]


@attrs.frozen(slots=True)
class Trail:
    """What one node drew: `paths` begin at `origin`."""

    origin: Point
    paths: tuple[tuple[Point, ...], ...]
    #: What it looked for.
    target: Point | None = None


@attrs.frozen(slots=True)
class Drawing:
    key: str
    title: str
    note: str
    #: State ("honest", "adversary", "off") -> where.
    nodes: dict[str, tuple[Point, ...]]
    trails: tuple[Trail, ...]


def drawings_of(data: Mapping[str, Any]) -> list[Drawing]:
    """The routing tables of a few nodes; the longest lookups."""
    ring = data["ring"]
    nodes = {
        state: tuple(_point(place) for place, found in ring["places"] if found == state)
        for state in ("honest", "adversary", "off")
    }
    shown, of = len(ring["places"]), int(ring["nodes"])
    some = "" if shown == of else f" {shown:,} of {of:,} nodes are drawn."
    tables = tuple(
        Trail(_point(table["from"]), tuple((_point(table["from"]), _point(to)) for to in table["to"]))
        for table in ring["tables"]
    )
    lookups = tuple(
        Trail(
            _point(lookup["from"]),
            tuple((_point(lookup["from"]), *map(_point, path)) for path in lookup["paths"]),
            _point(lookup["target"]),
        )
        for lookup in ring["lookups"]
    )
    out = []
    if tables:
        note = f"Ids around a circle, and the routing tables of {len(tables)} honest nodes at the end.{some}"
        out.append(Drawing("overlay", "Overlay", note, nodes, tables))
    if lookups:
        note = "A line goes from the node that looks (large dot) from answer to answer, one for each of its paths; " \
               "the triangle is the target."  # fmt: skip
        out.append(Drawing("lookups", "Longest lookups, hop by hop", note, nodes, lookups))
    return out


def draw(drawing: Drawing) -> str:
    """One `<svg>`."""
    return (
        f'<svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="{drawing.title}">'
        f'<circle class="grid" cx="{SIZE / 2:g}" cy="{SIZE / 2:g}" r="{_RADIUS}" fill="none"/>'
        + "".join(_parts(drawing)) + "</svg>"
    )  # fmt: skip


def _parts(drawing: Drawing) -> Iterator[str]:
    for i, trail in enumerate(drawing.trails):
        thin = "thin " if trail.target is None else ""
        for path in trail.paths:
            points = "L".join("{:g},{:g}".format(*_on_page(point)) for point in path)
            yield f'<path class="{thin}trail s{i % COLOURS}" d="M{points}"/>'
    for state, nodes in drawing.nodes.items():
        for x, y in map(_on_page, nodes):
            yield f'<circle class="{state}" cx="{x:g}" cy="{y:g}" r="{3 if state == "adversary" else 2.2}"/>'
    for i, trail in enumerate(drawing.trails):
        x, y = _on_page(trail.origin)
        yield f'<circle class="origin f{i % COLOURS}" cx="{x:g}" cy="{y:g}" r="6"/>'
        if trail.target is not None:
            x, y = _on_page((trail.target[0] * 1.08, trail.target[1] * 1.08))
            yield f'<path class="origin f{i % COLOURS}" d="M{x:g},{y - 7:g}l6.5,11h-13z"/>'


def _point(place: float) -> Point:
    angle = 2 * pi * float(place)
    return sin(angle), -cos(angle)


def _on_page(point: Point) -> tuple[float, float]:
    return round(SIZE / 2 + _RADIUS * point[0], 1), round(SIZE / 2 + _RADIUS * point[1], 1)
