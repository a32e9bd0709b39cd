"""What is measured during a run: operations, samples over time, and counts; and the figures made of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import inf

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


#: A series that has more points is thinned to half of them: days of samples fit, and plots need no more.
MAX_POINTS = 2000


@attrs.define(slots=True)
class Series:
    """One figure over time: at most MAX_POINTS points, the greatest value and the last one in any case."""

    at_s: list[float] = attrs.Factory(list)
    value: list[float] = attrs.Factory(list)
    most: float = -inf
    last: float = 0.0
    #: Of so many samples one is kept.
    _stride: int = 1
    _skipped: int = 0

    def add(self, at_s: float, value: float) -> None:
        self.most, self.last = max(self.most, value), value
        self._skipped += 1
        if self._skipped < self._stride and self.value:
            return
        self._skipped = 0
        self.at_s.append(at_s)
        self.value.append(value)
        if len(self.value) > MAX_POINTS:
            del self.at_s[1::2], self.value[1::2]
            self._stride *= 2


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
        self.series.setdefault(name, Series()).add(now_ns / SECOND, value)

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
                out[f"{name}_max"] = series.most
                out[f"{name}_last"] = series.last
        return out | dict(sorted(self.counts.items()))


def quantile(values: Sequence[int], percent: int) -> int:
    """The nearest-rank percentile; `values` not empty."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
