"""Who may exchange a share, and who makes room for others: peers that come fill no places of those that this node
looks for, and who has been here for a while and is of no use to anybody goes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs

from apps.files.core.limits import MAX_SOURCES, MAX_THEIR_CHANNELS, SILENT_S, USELESS_S
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Places:
    share: Share

    def room(self, peer: bytes, *, ours: bool) -> bool:
        """Whether this peer finds a place, of those that this node opens or of those that others do."""
        return peer in self.share.channels or not self._full(ours=ours) or self._one_to_go(ours=ours) is not None

    def make_room(self, channel: Channel) -> None:
        """For this one. Somebody goes if all places are taken."""
        if self._full(ours=channel.ours) and (least := self._one_to_go(ours=channel.ours)) is not None:
            least.session.close_share(least)

    def useful(self) -> int:
        """Channels with peers that give what is missing here, or may: who gave nothing for long does not count."""
        since_ns = self.share.now_ns - SILENT_S * SECOND
        young_ns = self.share.now_ns - USELESS_S * SECOND
        return sum(
            channel.opened_ns > young_ns if not channel.told and not channel.info_bytes
            else needed(channel) and max(channel.got_ns, channel.opened_ns) > since_ns
            for channel in self.share.channels.values()
        )  # fmt: skip

    def _full(self, *, ours: bool) -> bool:
        channels = self.share.channels
        theirs = sum(not channel.ours for channel in channels.values())
        return len(channels) >= MAX_SOURCES or (not ours and theirs >= MAX_THEIR_CHANNELS)

    def _one_to_go(self, *, ours: bool) -> Channel | None:
        """Those that others opened go first, and make room for each other alone."""
        channels = self.share.channels.values()
        least = idlest((one for one in channels if not one.ours), self.share.now_ns)
        if least is None and ours:
            least = idlest(channels, self.share.now_ns)
        return least


def wanted(channel: Channel) -> bool:
    """Either side would ask the other for something."""
    return channel.interested or needed(channel)


def needed(channel: Channel) -> bool:
    """It has something of what is missing here; of a share that is not known yet, what is in it."""
    return channel.said_interested or (channel.share.info is None and channel.info_bytes > 0)


def idlest(channels: Iterable[Channel], now_ns: int) -> Channel | None:
    """Who has been idle for longest, of those that neither side wants anything of for a while, then of all for a long
    while."""
    idle = [channel for channel in channels if is_idle(channel, now_ns)]
    return min(idle, key=lambda one: (wanted(one), one.moved_ns, one.opened_ns), default=None)


def is_idle(channel: Channel, now_ns: int) -> bool:
    return now_ns - max(channel.moved_ns, channel.opened_ns) >= patience_ns(channel)


def patience_ns(*channels: Channel) -> int:
    """So long nothing may go either way, until others count more."""
    return (SILENT_S if any(map(wanted, channels)) else USELESS_S) * SECOND
