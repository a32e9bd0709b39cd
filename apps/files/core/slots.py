"""Whom one share gives to: a few peers at a time, those who give most, and one by lot (Cohen 2003, section 3).

While something is missing here, the peers with the highest rate towards this node have the slots. A stranger gets
what is left of them until it had GIFT_BYTES, so that it has something to give; who gives nothing afterwards has the
optimistic slot now and then, and nothing else. A seed gives first to those who had least of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core.limits import (
    CHOKE_ROUND_S,
    DEFAULT_SLOTS,
    GIFT_BYTES,
    NEWCOMER_S,
    NEWCOMER_TICKETS,
    OPTIMISTIC_S,
    ROTATE_BYTES,
)
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Slots:
    share: Share
    count: int = DEFAULT_SLOTS
    _lucky: bytes | None = attrs.field(default=None, init=False)
    _lucky_until_ns: int = attrs.field(default=0, init=False)

    async def run(self) -> None:
        while True:
            await self.share.around.loop.sleep(CHOKE_ROUND_S * SECOND)
            self.round()

    def offer(self, channel: Channel) -> None:
        """Its interest changed: a free slot waits for no round."""
        if not channel.interested:
            self.share.choke(channel, True)
            self._lucky = None if self._lucky == channel.peer else self._lucky
        elif sum(not other.choking for other in self.share.channels.values()) < self.count:
            self.round()

    def round(self) -> None:
        claimants = [channel for channel in self.share.channels.values() if channel.interested]
        chosen = self._seeding(claimants) if not self._needy else self._trading(claimants)
        lucky = self._draw([channel for channel in claimants if channel not in chosen])
        if lucky is not None:
            chosen.append(lucky)
        for channel in claimants:
            self.share.choke(channel, channel not in chosen)

    @property
    def _needy(self) -> bool:
        return bool(self.share.wanted & ~self.share.have)

    def _seeding(self, claimants: list[Channel]) -> list[Channel]:
        """Those who had least, in steps: else nobody would keep a slot for two rounds."""
        return sorted(claimants, key=lambda channel: channel.sent // ROTATE_BYTES)[: self.count - 1]

    def _trading(self, claimants: list[Channel]) -> list[Channel]:
        now_ns = self.share.now_ns
        givers = [channel for channel in claimants if channel.down.at(now_ns) or self._owes(channel)]
        givers.sort(key=lambda channel: -channel.down.at(now_ns))
        strangers = [channel for channel in claimants if channel not in givers and channel.sent < GIFT_BYTES]
        return (givers + strangers)[: self.count - 1]

    @staticmethod
    def _owes(channel: Channel) -> bool:
        """This node had more of it than it gave back, or nearly."""
        return channel.got > 0 and channel.sent < channel.got + GIFT_BYTES

    def _draw(self, others: list[Channel]) -> Channel | None:
        now_ns = self.share.now_ns
        if now_ns < self._lucky_until_ns:
            for channel in others:
                if channel.peer == self._lucky:
                    return channel
        tickets = []
        for channel in others:
            new = now_ns - channel.opened_ns < NEWCOMER_S * SECOND
            tickets += [channel] * (NEWCOMER_TICKETS if new else 1)
        if not tickets:
            return None
        lucky = self.share.around.rng.choice(tickets)
        self._lucky, self._lucky_until_ns = lucky.peer, now_ns + OPTIMISTIC_S * SECOND
        return lucky
