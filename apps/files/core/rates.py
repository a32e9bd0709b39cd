"""Bytes over time, in integers: how fast something is, and how fast it may be.

Integers, so that the same inputs give the same outputs on every machine. Times are nanoseconds that never go back.
"""

from __future__ import annotations

import attrs

from overlay.runtime.ports import MS, SECOND

#: Bytes are counted in bins of this length ...
_BIN_NS = 500 * MS
#: ... and each new bin weighs an eighth: half of the rate is that of the last 2.6 s (RFC 6298 has the same gain).
_GAIN_BITS = 3
#: Fractions of a byte that are kept, so that a slow rate is not rounded away.
_FRACTION_BITS = 8
#: After so many empty bins (32 s) 0.02 % is left: it counts as nothing if all of them are over at once.
_BINS_OF_SILENCE = 64


@attrs.define(slots=True, eq=False)
class Rate:
    """An exponentially weighted mean of bytes a second; until 8 bins are over, the plain mean.
    It begins with the first byte."""

    _start: int
    #: Counted in the bin that is not over.
    _bin: int = attrs.field(default=0, init=False)
    _mean: int = attrs.field(default=0, init=False)
    _bins: int = attrs.field(default=0, init=False)
    #: All that ever came.
    total: int = attrs.field(default=0, init=False)

    def add(self, now: int, count: int) -> None:
        if not self.total:
            # The silence before it began is no part of it.
            self._start, self._bins = now, 0
        self._turn(now)
        self._bin += count
        self.total += count

    def at(self, now: int) -> int:
        """Bytes a second; of a beginning that is shorter than a bin, by what came in it."""
        self._turn(now)
        if not self._bins:
            return self._bin * SECOND // max(now - self._start, _BIN_NS // 8)
        return self._mean >> _FRACTION_BITS

    def _turn(self, now: int) -> None:
        """Closes the bins that are over."""
        over = (now - self._start) // _BIN_NS
        if over <= 0:
            return
        self._start += over * _BIN_NS
        if over > _BINS_OF_SILENCE:
            self._mean = self._bin = 0
            self._bins += over
            return
        for _ in range(over):
            sample = (self._bin << _FRACTION_BITS) * SECOND // _BIN_NS
            self._bins += 1
            self._mean += (sample - self._mean) // min(self._bins, 1 << _GAIN_BITS)
            self._bin = 0


@attrs.define(slots=True, eq=False)
class Bucket:
    """A token bucket that may go into debt: what is larger than the burst still goes, and what follows waits.

    `rate`: bytes a second, None for no limit. `burst`: bytes that may go at once after silence."""

    rate: int | None
    burst: int
    _now: int
    #: Bytes times a second's nanoseconds; may be below zero.
    _tokens: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.burst * SECOND

    def take(self, now: int, count: int) -> bool:
        """Whether `count` bytes may go now; they are then paid for."""
        if self.rate is None:
            return True
        self._fill(now)
        if self._tokens <= 0:
            return False
        self._tokens -= count * SECOND
        return True

    def owe(self, now: int, count: int) -> None:
        """`count` bytes go, whatever was paid: all that follow wait for them."""
        if self.rate is not None:
            self._fill(now)
            self._tokens -= count * SECOND

    def wait(self, now: int) -> int:
        """Nanoseconds until something may go; 0 if it may now."""
        if self.rate is None:
            return 0
        self._fill(now)
        if self._tokens > 0:
            return 0
        return -self._tokens // self.rate + 1

    def limit(self, now: int, rate: int | None) -> None:
        """Another rate from now on; a debt that was made stays."""
        if self.rate is not None:
            self._fill(now)
        self._now = now
        self.rate = rate

    def _fill(self, now: int) -> None:
        if now > self._now:
            self._tokens = min(self._tokens + (now - self._now) * (self.rate or 0), self.burst * SECOND)
            self._now = now
