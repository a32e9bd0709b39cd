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
_RADIUS: Final = 168
#: Each state on a circle of its own, else those drawn last would hide the others in a large swarm.
_CIRCLES: Final = {"honest": 1.0, "adversary": 1.035, "off": 0.965}
#: Where targets are: outside of all nodes.
TARGETS: Final = 1.11
#: With more nodes than that, dots are smaller.
MANY: Final = 300
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
        state: tuple(_point(place, radius) for place, found in ring["places"] if found == state)
        for state, radius in _CIRCLES.items()
    }
    shown, of = len(ring["places"]), int(ring["nodes"])
    some = "" if shown == of else f" {shown:,} of {of:,} nodes are drawn."
    tables = tuple(
        Trail(_at(table["from"]), tuple((_at(table["from"]), _at(to)) for to in table["to"]))
        for table in ring["tables"]
    )
    lookups = tuple(
        Trail(
            _at(lookup["from"]),
            tuple((_at(lookup["from"]), *map(_at, path)) for path in lookup["paths"]),
            _at(lookup["target"]),
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
    radius = 1.3 if sum(map(len, drawing.nodes.values())) > MANY else 2.3
    for state, nodes in drawing.nodes.items():
        for x, y in map(_on_page, nodes):
            yield f'<circle class="{state}" cx="{x:g}" cy="{y:g}" r="{radius}"/>'
    for i, trail in enumerate(drawing.trails):
        x, y = _on_page(trail.origin)
        yield f'<circle class="origin f{i % COLOURS}" cx="{x:g}" cy="{y:g}" r="6"/>'
        if trail.target is not None:
            x, y = _on_page((trail.target[0] * TARGETS, trail.target[1] * TARGETS))
            yield f'<path class="origin f{i % COLOURS}" d="M{x:g},{y - 7:g}l6.5,11h-13z"/>'


def _point(place: float, radius: float) -> Point:
    angle = 2 * pi * float(place)
    return radius * sin(angle), -radius * cos(angle)


def _at(place: float) -> Point:
    return _point(place, 1.0)


def _on_page(point: Point) -> tuple[float, float]:
    return round(SIZE / 2 + _RADIUS * point[0], 1), round(SIZE / 2 + _RADIUS * point[1], 1)
