"""How much to ask of one peer at once, and when to stop waiting for it.

Asked and not come should be what is on its way while an answer travels: bandwidth times round trip. Twice that is
asked, so that a window which was the limit doubles with every round trip until something else is the limit (as TCP's
slow start, RFC 5681 3.1). What comes later than four times its expected time is asked of somebody else.
"""

from __future__ import annotations

import attrs

from apps.files.core.limits import (
    MAX_DEADLINE_S,
    MAX_WINDOW_BYTES,
    MIN_DEADLINE_S,
    MIN_WINDOW_BYTES,
    SNUB_S,
)
from apps.files.core.rates import Rate
from overlay.runtime.ports import MS, SECOND

#: A unit is read from disk, hashed and written as well, and processes wait for a core: below this a round trip is more
#: of that than of the network. With 5 ms a busy machine with two cores had nothing under way half of the time.
_MIN_RTT_NS = 20 * MS
#: The shortest round trip is believed for so long; routes change.
_RTT_LIFE_NS = 60 * SECOND


@attrs.define(slots=True, eq=False)
class Pipeline:
    """What is under way from one peer for one download. Times in nanoseconds, sizes in bytes."""

    _now: int
    rate: Rate = attrs.field(init=False)
    #: Asked and not come.
    asked: int = attrs.field(default=0, init=False)
    _rtt: int = attrs.field(default=0, init=False)
    _rtt_since: int = attrs.field(default=0, init=False)
    #: When something came last, or was asked for first after nothing was awaited.
    _waiting_since: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.rate = Rate(self._now)

    def window(self, now: int) -> int:
        """Bytes that may be under way: 512 KiB to 4 MiB."""
        rtt = max(self._rtt, _MIN_RTT_NS)
        return min(max(2 * self.rate.at(now) * rtt // SECOND, MIN_WINDOW_BYTES), MAX_WINDOW_BYTES)

    def room(self, now: int) -> int:
        """Bytes to ask for now. None until a quarter of the window is free, so that one request asks for several."""
        window = self.window(now)
        free = window - self.asked
        return free if 4 * free >= window else 0

    def on_asked(self, now: int, count: int) -> None:
        if not self.asked:
            self._waiting_since = now
        self.asked += count

    def on_came(self, now: int, count: int, *, rtt: int | None = None) -> None:
        """What was asked for came. `rtt`: since it was asked, if nothing was under way then: the rest waited in a
        queue, which is no round trip."""
        self.asked = max(self.asked - count, 0)
        self.rate.add(now, count)
        self._waiting_since = now
        if rtt is not None and (not self._rtt or rtt < self._rtt or now - self._rtt_since > _RTT_LIFE_NS):
            self._rtt, self._rtt_since = rtt, now

    def on_dropped(self, count: int) -> None:
        """It was cancelled or rejected, or is asked of somebody else."""
        self.asked = max(self.asked - count, 0)

    def deadline(self, now: int) -> int | None:
        """When what is awaited counts as late if nothing comes until then; None if nothing is awaited."""
        if not self.asked:
            return None
        expected = 4 * self.asked * SECOND // max(self.rate.at(now), 1)
        return self._waiting_since + min(max(expected, MIN_DEADLINE_S * SECOND), MAX_DEADLINE_S * SECOND)

    def snubbed(self, now: int) -> bool:
        """Nothing came for a minute although it was asked for (Cohen 2003, 3.4)."""
        return self.asked > 0 and now - self._waiting_since >= SNUB_S * SECOND
