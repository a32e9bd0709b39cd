"""The nodes nearest to a key, out of thousands, without looking at each."""

from __future__ import annotations

from bisect import bisect_left

from overlay.dht.distance import BITS

#: Fewer than this are sorted at once.
_FEW = 8


class Nearest:
    """A set of ids (as numbers) that answers which are nearest to a target by XOR."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: list[int] = []

    def add(self, number: int) -> None:
        at = bisect_left(self._numbers, number)
        if at == len(self._numbers) or self._numbers[at] != number:
            self._numbers.insert(at, number)

    def __len__(self) -> int:
        return len(self._numbers)

    def to(self, target: int, count: int) -> list[int]:
        """The `count` nearest, nearest first."""
        found: list[int] = []
        self._walk(target, count, 0, len(self._numbers), BITS - 1, 0, found)
        return found[:count]

    def _walk(self, target: int, count: int, low: int, high: int, bit: int, prefix: int, found: list[int]) -> None:
        """Numbers [low, high) share `prefix` above `bit`: first the half on the target's side, then the other."""
        if low >= high or len(found) >= count:
            return
        if high - low <= _FEW or bit < 0:
            found += sorted(self._numbers[low:high], key=lambda number: number ^ target)
            return
        upper = prefix | 1 << bit
        middle = bisect_left(self._numbers, upper, low, high)
        halves = [(low, middle, prefix), (middle, high, upper)]
        if target >> bit & 1:
            halves.reverse()
        for half_low, half_high, half_prefix in halves:
            self._walk(target, count, half_low, half_high, bit - 1, half_prefix, found)
