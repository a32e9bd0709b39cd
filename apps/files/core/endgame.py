"""How many copies of what others were asked for may be asked of one peer: the end of a download waits for nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core.limits import LATE_AT_FIRST_S, LATE_S, REPEATED_BYTES, REPEATED_PART
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Endgame:
    share: Share
    unit_bytes: int
    #: Bytes that came a second time.
    repeated: int = attrs.field(default=0, init=False)

    def copies(self, channel: Channel) -> int:
        """As many as there are units that come late elsewhere, as long as little came twice."""
        if channel.snubbed or self.repeated > self.share.downloaded // REPEATED_PART + REPEATED_BYTES:
            return 0
        now_ns = self.share.now_ns
        slow = [other for other in self.share.channels.values() if other is not channel and other.asked]
        slow = [other for other in slow if self._is_slow(other, channel, now_ns)]
        return sum(channel.held >> unit & 1 for other in slow for unit in other.asked)

    def _is_slow(self, other: Channel, channel: Channel, now_ns: int) -> bool:
        """What is under way from the other takes much longer than a unit from this one would, or nothing comes."""
        rate, own = other.pipeline.rate.at(now_ns), channel.pipeline.rate.at(now_ns)
        silent_ns = now_ns - other.heard_ns
        if other.snubbed:
            return True
        if not rate or not own:
            return silent_ns > LATE_AT_FIRST_S * SECOND
        unit_ns = self.unit_bytes * SECOND // rate
        left_ns = other.pipeline.asked * SECOND // rate - 4 * self.unit_bytes * SECOND // own
        return silent_ns > 4 * unit_ns + LATE_S * SECOND or left_ns > LATE_S * SECOND
