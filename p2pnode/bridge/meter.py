"""Token buckets: how much a source, or all sources, may ask for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import attrs

#: -> seconds of a clock that never goes back.
Clock = Callable[[], float]


@attrs.define(slots=True)
class Bucket:
    """`burst` tokens at most, `rate` new ones a second."""

    rate: float
    burst: float
    clock: Clock
    _level: float = attrs.field(init=False)
    _seen: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._level = self.burst
        self._seen = self.clock()

    def take(self) -> bool:
        """Spend one token if there is one."""
        self._fill()
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def reserve(self) -> float:
        """Spend one token, if need be a future one: seconds until it is there. Bound the callers that wait."""
        self._fill()
        self._level -= 1
        return max(0.0, -self._level / self.rate)

    def _fill(self) -> None:
        now = self.clock()
        self._level = min(self.burst, self._level + (now - self._seen) * self.rate)
        self._seen = now


@attrs.define(slots=True)
class Buckets:
    """A bucket per source, for the `capacity` sources heard last.

    Who is pushed out starts again with a full bucket: a flood from many forged sources is what the
    bucket over all of them is for.
    """

    rate: float
    burst: float
    capacity: int
    clock: Clock
    _buckets: OrderedDict[Hashable, Bucket] = attrs.field(init=False, factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, source: Hashable) -> bool:
        bucket = self._buckets.get(source)
        if bucket is None:
            if len(self._buckets) >= self.capacity:
                self._buckets.popitem(last=False)
            bucket = self._buckets[source] = Bucket(self.rate, self.burst, self.clock)
        else:
            self._buckets.move_to_end(source)
        return bucket.take()
