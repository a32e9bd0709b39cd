"""The nodes nearest to a key, out of thousands, without looking at each."""

from __future__ import annotations

from bisect import bisect_left

from overlay.dht.distance import BITS


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
        numbers = self._numbers
        # Those that share the first bits of the target are nearer than all others, and stand together. Ids are
        # spread evenly, so some four times `count` of them share so many bits; where they do not, fewer bits do.
        bits = min(BITS, max(0, (len(numbers) // (4 * count)).bit_length()))
        while True:
            rest = BITS - bits
            prefix = target >> rest
            low = bisect_left(numbers, prefix << rest)
            high = bisect_left(numbers, prefix + 1 << rest, low)
            if high - low >= count or bits == 0:
                return sorted(numbers[low:high], key=target.__xor__)[:count]
            bits = max(0, bits - 2)
