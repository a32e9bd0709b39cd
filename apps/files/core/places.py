"""Who may exchange a share, and who makes room for others: peers that come fill no places of those that this node
looks for, and who has been here for a while and is of no use to anybody goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core.limits import MAX_OUR_CHANNELS, MAX_THEIR_CHANNELS, SILENT_S, USELESS_S
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Places:
    share: Share

    def room(self, peer: bytes, *, ours: bool) -> bool:
        """Whether this peer finds a place, of those that this node opens or of those that others do."""
        before = self.share.channels.get(peer)
        if before is not None and before.ours is ours:
            return True  # it takes its own place
        return not self._full(ours=ours) or self._idlest(ours=ours) is not None

    def make_room(self, channel: Channel) -> None:
        """For this one. Somebody goes if all places of its sort are taken."""
        if self._full(ours=channel.ours) and (least := self._idlest(ours=channel.ours)) is not None:
            least.session.close_share(least)

    def useful(self) -> int:
        """Channels with peers that may give what is missing here: those that are new, and those that have some of it
        and gave something lately."""
        return sum(map(self._is_useful, self.share.channels.values()))

    def _is_useful(self, channel: Channel) -> bool:
        now_ns = self.share.now_ns
        since_ns = max(channel.got_ns, channel.opened_ns) if needed(channel) else channel.opened_ns
        return now_ns - since_ns < (SILENT_S if needed(channel) else USELESS_S) * SECOND

    def _full(self, *, ours: bool) -> bool:
        return len(self._alike(ours=ours)) >= (MAX_OUR_CHANNELS if ours else MAX_THEIR_CHANNELS)

    def _alike(self, *, ours: bool) -> list[Channel]:
        return [one for one in self.share.channels.values() if one.ours is ours]

    def _idlest(self, *, ours: bool) -> Channel | None:
        """Who has been idle for longest, of those that neither side wants anything of for a while, then of all for a
        long while. As long as something is missing here, a place of ours is for who may give it."""
        needy, now_ns = ours and self.share.needy, self.share.now_ns
        idle = [one for one in self._alike(ours=ours) if is_idle(one, now_ns) or (needy and not self._is_useful(one))]
        return min(idle, key=lambda one: (wanted(one), one.moved_ns, one.opened_ns), default=None)


def wanted(channel: Channel) -> bool:
    """Either side would ask the other for something."""
    return channel.interested or needed(channel)


def needed(channel: Channel) -> bool:
    """It has something of what is missing here; of a share that is not known yet, what is in it."""
    return channel.said_interested or (channel.share.info is None and channel.info_bytes > 0)


def is_idle(channel: Channel, now_ns: int) -> bool:
    return now_ns - max(channel.moved_ns, channel.opened_ns) >= patience_ns(channel)


def patience_ns(*channels: Channel) -> int:
    """So long nothing may go either way, until others count more."""
    return (SILENT_S if any(map(wanted, channels)) else USELESS_S) * SECOND
