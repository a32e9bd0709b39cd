"""Which plots a run has: values that say what is drawn, for whoever draws it (svg for the page, picture for PNG)."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

#: Kinds of messages with a colour of their own; the others are drawn together.
OWN_KINDS: Final = 6
#: Lines of success in one plot: nearly all of them lie at 100 %, one upon the other.
AT_ONE_PLACE: Final = 4
#: Bins without an operation that a line may cross.
MAX_GAP: Final = 4.5
#: Vertical lines in a plot; with more there would be nothing else to see.
DRAWN_MARKS: Final = 12


class Form(enum.Enum):
    #: A line each, with a band around it where one is given.
    LINES = "lines"
    #: Areas upon each other, which add up.
    STACK = "stack"
    #: Columns, one at each x.
    BARS = "bars"


@attrs.frozen(slots=True)
class Line:
    """`y` has None where nothing was measured: the line is broken there."""

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    #: Upper border of a band that begins at `y`.
    high: tuple[float | None, ...] = ()


@attrs.frozen(slots=True, kw_only=True)
class Plot:
    #: Stable name: the page's anchors and tests use it.
    key: str
    title: str
    #: One sentence for who sees it the first time.
    note: str
    unit: str
    lines: tuple[Line, ...]
    form: Form = Form.LINES
    x_unit: str = "virtual s"
    #: Begins at 0 and reaches at least here.
    y_least: float = 0.0
    #: (x, text) of the vertical lines.
    marks: tuple[tuple[float, str], ...] = ()
    x_end: float | None = None


def plots_of(data: Mapping[str, Any]) -> list[Plot]:
    """Those for which the run has figures, in the order in which people read them."""
    end_s = float(data["run"]["virtual_s"])
    marks = tuple((float(at), str(text)) for at, text in data["marks"][:DRAWN_MARKS])
    out = [*_operations(data["operations"], end_s), *_traffic(data["traffic"]), *_series(data["series"])]
    return [attrs.evolve(plot, marks=marks, x_end=end_s) if plot.form is not Form.BARS else plot for plot in out]


def _operations(operations: Mapping[str, Any], end_s: float) -> Iterator[Plot]:
    # What people ask for first comes first.
    names = sorted(operations, key=lambda name: (name != "lookup", name))
    binned = {name: operations[name]["bins"] for name in names if operations[name]["bins"]}
    success = [
        Line(name, *_columns(bins, lambda count, good, p50, p99: 100.0 * good / count)) for name, bins in binned.items()
    ]
    parts = -(-len(success) // AT_ONE_PLACE)
    for part in range(parts):
        yield Plot(
            key=f"success-{part + 1}" if part else "success",
            title=f"Success ({part + 1} of {parts})" if parts > 1 else "Success", unit="%", y_least=100.0,
            note="Share of the operations begun at that time that ended well.",
            lines=tuple(success[part * AT_ONE_PLACE : (part + 1) * AT_ONE_PLACE]),
        )  # fmt: skip
    for name, bins in binned.items():
        x, p50 = _columns(bins, lambda count, good, p50, p99: p50)
        _, p99 = _columns(bins, lambda count, good, p50, p99: p99)
        if any(p50) or any(p99):  # what takes no time happens within a node
            yield Plot(
                key=f"latency-{name}", title=f"Latency of {name}", unit="ms",
                note="Those that ended well: half took no longer than the line, 99 of 100 lie below the band's top.",
                lines=(Line("p50, band to p99", x, p50, p99),),
            )  # fmt: skip
    for name in names:
        if operations[name]["hops"]:
            hops = {int(hop): float(count) for hop, count in operations[name]["hops"]}
            x = tuple(map(float, range(max(hops) + 1)))
            yield Plot(
                key=f"hops-{name}", title=f"Hops of {name}", unit="operations", x_unit="hops", form=Form.BARS,
                note="Answers one after the other that were needed to learn of the closest node.",
                lines=(Line(name, x, tuple(hops.get(int(at), 0.0) for at in x)),),
            )  # fmt: skip


def _columns(bins: Sequence[Sequence[Any]], of: Any) -> tuple[tuple[float, ...], tuple[float | None, ...]]:
    """x in the middle of each bin; the line is broken where several bins had no operation."""
    x: list[float] = []
    y: list[float | None] = []
    for low, high, *rest in bins:
        middle, width = (float(low) + float(high)) / 2, float(high) - float(low)
        if x and middle - x[-1] > MAX_GAP * width:
            x.append((x[-1] + middle) / 2)
            y.append(None)
        x.append(middle)
        y.append(of(*rest))
    return tuple(x), tuple(y)


def _traffic(traffic: Mapping[str, Any]) -> Iterator[Plot]:
    x = tuple(map(float, traffic["at_s"]))
    if not x:
        return
    kinds = {str(name): [float(value) for value in values] for name, values in traffic["kinds_per_s"].items()}
    own = dict(list(kinds.items())[:OWN_KINDS])
    others = [values for name, values in kinds.items() if name not in own]
    if others:
        own[f"{len(others)} others"] = [sum(column) for column in zip(*others, strict=True)]
    yield Plot(
        key="messages", title="Messages by type", unit="datagrams/s", form=Form.STACK,
        note="What all nodes sent, per virtual second.",
        lines=tuple(Line(name, x, tuple(values)) for name, values in own.items()),
    )  # fmt: skip
    rate = tuple(float(value) / 1000 for value in traffic["bytes_per_s"])
    yield Plot(
        key="bytes", title="Traffic", unit="kB/s", note="UDP payload that all nodes sent, per virtual second.",
        lines=(Line("all nodes", x, rate),),
    )  # fmt: skip


#: Series that belong together: key, title, unit, note, (series, its name in the legend).
_TOGETHER: Final = (
    ("population", "Population", "nodes", "Nodes that are switched on.",
     (("alive", "all"), ("alive_adversaries", "adversaries"))),
    ("table", "Memory: routing table", "entries", "Entries per honest node, of up to 200 nodes.",
     (("table_mean", "mean"), ("table_most", "most"))),
    ("records", "Memory: records", "records", "Records held per honest node, of up to 200 nodes.",
     (("records_mean", "mean"), ("records_most", "most"))),
    ("remembered", "Memory: peers remembered", "peers", "Peers whose state a node keeps, of up to 200 nodes.",
     (("remembered_mean", "mean"), ("remembered_most", "most"))),
)  # fmt: skip
#: Told better by another plot.
_ELSEWHERE: Final = ("sent",)


def _series(series: Mapping[str, Any]) -> Iterator[Plot]:
    left = {name: found for name, found in series.items() if name not in _ELSEWHERE and found["at_s"]}
    for key, title, unit, note, members in _TOGETHER:
        lines = [_line(label, left.pop(name)) for name, label in members if name in left]
        if lines:
            yield Plot(key=key, title=title, unit=unit, note=note, lines=tuple(lines))
    for name, found in left.items():
        note = "A measure of this scenario."
        yield Plot(key=f"series-{name}", title=name.replace("_", " "), unit="", note=note, lines=(_line(name, found),))


def _line(name: str, found: Mapping[str, Any]) -> Line:
    return Line(name, tuple(map(float, found["at_s"])), tuple(map(float, found["value"])))
