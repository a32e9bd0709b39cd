"""Gives the slots of one share anew: every ten seconds, when one becomes free, and when a gift is used up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core.choker import Choker, Standing
from apps.files.core.limits import CHOKE_ROUND_S, RANDOM_FIRST, SOON_MS
from overlay.runtime.loop import Timer
from overlay.runtime.ports import MS, SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Slots:
    share: Share
    choker: Choker[bytes] = attrs.field(init=False)
    _round_ns: int = attrs.field(default=0, init=False)
    _timer: Timer | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.choker = Choker(self.share.around.rng)

    async def run(self) -> None:
        while True:
            for _ in range(CHOKE_ROUND_S):
                await self.share.around.loop.sleep(SECOND)
                self.share.firsts.expire()
            self.round()

    def offer(self, channel: Channel) -> None:
        """Its interest changed: a free slot waits for no round."""
        if not channel.interested:
            freed = not channel.choking
            self.share.serving.choke(channel, True)
            if freed:
                self._soon()
        elif sum(not other.choking for other in self.share.channels.values()) < self.choker.slots:
            self._soon()

    def _soon(self) -> None:
        """At once, but for whoever changes its mind all the time."""
        next_ns = self._round_ns + SOON_MS * MS
        if self.share.now_ns >= next_ns:
            self.round()
        elif self._timer is None:
            self._timer = self.share.around.loop.call_at(next_ns, self.round)

    def on_sent(self, channel: Channel) -> None:
        """Whoever has used up a gift makes room."""
        if not self._seeding and self.choker.spent(self._standing(channel)):
            self.share.serving.choke(channel, True)
            self._soon()

    def round(self) -> None:
        self._round_ns = self.share.now_ns
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        channels = tuple(self.share.channels.values())
        line = [self._standing(channel) for channel in channels]
        choice = self.choker.round(self._round_ns, line, seeding=self._seeding)
        for channel in channels:
            self.share.serving.choke(channel, channel.peer not in choice.regular and channel.peer != choice.optimistic)

    @property
    def _seeding(self) -> bool:
        return not self.share.wanted & ~self.share.have

    def _standing(self, channel: Channel) -> Standing[bytes]:
        return Standing(
            channel.peer, channel.interested, channel.opened_ns, rate=channel.pipeline.rate.at(self.share.now_ns),
            given=channel.sent, received=channel.got, snubbed=channel.snubbed,
            debtor=self.share.firsts.is_debtor(channel.peer),
            poor=channel.held.bit_count() < RANDOM_FIRST,
        )  # fmt: skip
