"""The two clocks of a machine beside the common time of the swarm."""

from __future__ import annotations

from typing import Final

import attrs

from overlay.runtime.ports import MS, Now
from simulations.links import MILLION

#: 2026-01-01 00:00 UTC in ms: where virtual wall clocks begin.
WALL_START_MS: Final = 1_767_225_600_000


@attrs.define(slots=True, eq=False)
class Clock:
    """A machine whose clocks are right has none of these.

    The wall clock may be off, drift and jump either way. The monotonic one only ever stands still: Linux's
    CLOCK_MONOTONIC does not count a suspend (clock_gettime(2)); its drift, tens of ppm, is left out.
    """

    #: Wall clock ahead of the common time by this.
    skew_ms: int = 0
    #: Parts per million by which the wall clock gains since `since_ns`.
    drift_ppm: int = 0
    since_ns: int = 0
    #: Time that the monotonic clock did not count.
    slept_ns: int = 0

    def now(self, time_ns: int) -> Now:
        return Now(time_ns - self.slept_ns, WALL_START_MS + time_ns // MS + self.skew_ms + self._drifted_ms(time_ns))

    def time_of(self, mono_ns: int) -> int:
        """The common time at which the monotonic clock shows this, unless the machine sleeps before."""
        return mono_ns + self.slept_ns

    def drift(self, time_ns: int, ppm: int) -> None:
        """From now on."""
        self.skew_ms += self._drifted_ms(time_ns)
        self.drift_ppm, self.since_ns = ppm, time_ns

    def _drifted_ms(self, time_ns: int) -> int:
        return (time_ns - self.since_ns) * self.drift_ppm // (MILLION * MS)
