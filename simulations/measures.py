"""What is measured during a run: operations, samples over time, and counts; and the figures made of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import attrs

from overlay.runtime.ports import MS, SECOND


@attrs.define(slots=True)
class Operations:
    """Operations of one kind (lookups, gets, ...), a value each per column."""

    began_ns: array[int] = attrs.Factory(lambda: array("q"))
    took_ns: array[int] = attrs.Factory(lambda: array("q"))
    ok: array[int] = attrs.Factory(lambda: array("b"))
    rpcs: array[int] = attrs.Factory(lambda: array("l"))
    hops: array[int] = attrs.Factory(lambda: array("l"))

    def add(self, began_ns: int, took_ns: int, ok: bool, *, rpcs: int = 0, hops: int = 0) -> None:
        self.began_ns.append(began_ns)
        self.took_ns.append(took_ns)
        self.ok.append(ok)
        self.rpcs.append(rpcs)
        self.hops.append(hops)

    def __len__(self) -> int:
        return len(self.ok)

    def figures(self, name: str) -> dict[str, float]:
        """success (share), p50_ms and p99_ms of those that succeeded, rpcs and hops on average."""
        good = [took for took, ok in zip(self.took_ns, self.ok, strict=True) if ok]
        out: dict[str, float] = {f"{name}_count": len(self)}
        if len(self):
            out[f"{name}_success"] = round(sum(self.ok) / len(self), 6)
        if good:
            out[f"{name}_p50_ms"] = round(quantile(good, 50) / MS, 3)
            out[f"{name}_p99_ms"] = round(quantile(good, 99) / MS, 3)
        if any(self.rpcs):
            out[f"{name}_rpcs"] = round(sum(self.rpcs) / len(self), 2)
        if any(self.hops):
            out[f"{name}_hops"] = round(sum(self.hops) / len(self), 2)
        return out


@attrs.define(slots=True)
class Series:
    """One figure over time."""

    at_s: list[float] = attrs.Factory(list)
    value: list[float] = attrs.Factory(list)


@attrs.define(slots=True)
class Measures:
    operations: dict[str, Operations] = attrs.Factory(dict)
    series: dict[str, Series] = attrs.Factory(dict)
    counts: dict[str, float] = attrs.Factory(dict)
    #: (virtual s, text): what the timeline and adversaries did, for plots and people.
    marks: list[tuple[float, str]] = attrs.Factory(list)

    def operation(self, name: str) -> Operations:
        return self.operations.setdefault(name, Operations())

    def sample(self, name: str, now_ns: int, value: float) -> None:
        series = self.series.setdefault(name, Series())
        series.at_s.append(now_ns / SECOND)
        series.value.append(value)

    def count(self, name: str, n: float = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + n

    def mark(self, now_ns: int, text: str) -> None:
        self.marks.append((now_ns / SECOND, text))

    def figures(self) -> dict[str, float]:
        """Everything that a claim can name."""
        out: dict[str, float] = {}
        for name, operations in sorted(self.operations.items()):
            out |= operations.figures(name)
        for name, series in sorted(self.series.items()):
            if series.value:
                out[f"{name}_max"] = max(series.value)
                out[f"{name}_last"] = series.value[-1]
        return out | dict(sorted(self.counts.items()))


def quantile(values: Sequence[int], percent: int) -> int:
    """The nearest-rank percentile; `values` not empty."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
