"""What peers of one share say that they have, and what they said before anybody here knew what a unit is.

Until then it is kept as it came, and bounded for all of them together. Of whom something could not be kept the channel
is opened anew once the share is known: a new one begins with what the peer has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core import bits
from apps.files.core.limits import MAX_EARLY_BYTES, MAX_HOLD_BYTES
from overlay.errors import BadMessage

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share

#: Two parts have the bits of the largest share.
_PARTS = 2


@attrs.define(slots=True, eq=False)
class Hearing:
    share: Share
    #: What was said too early: (first unit, all or bits). None: it could not be kept.
    _early: dict[Channel, list[tuple[int, bool | bytes]] | None] = attrs.field(factory=dict, init=False)
    _early_bytes: int = attrs.field(default=0, init=False)

    @property
    def early_bytes(self) -> int:
        """That are kept of what was said too early."""
        return self._early_bytes

    def on_held(self, channel: Channel, held: bool | bytes, first: int) -> None:
        share = self.share
        if not share.looked:
            self._keep(channel, held, first)
            channel.told = True
            return
        assert share.layout is not None
        count = share.layout.units
        if held is True:
            units, channel.whole = share.all, True
        elif held is False:
            units = 0
        elif first % 8 or first >= count:
            raise BadMessage("bits of units that the share has not")
        else:
            units = bits.decode_bitfield(held, min(count - first, MAX_HOLD_BYTES * 8)) << first
        if channel.told and units & channel.held == units:
            self._count_idle(channel, 64)
        news, channel.told = not channel.told, True
        self._holds(channel, units)
        if news or not channel.said_once:
            if not channel.said_any or channel.said != share.have or count > 8 * MAX_HOLD_BYTES:
                share.telling.all(channel)
            channel.said_once = True

    def on_have(self, channel: Channel, units: tuple[int, ...]) -> None:
        if self.share.layout is None or not channel.told:
            return
        if max(units) >= self.share.layout.units:
            raise BadMessage("a unit that the share has not")
        marks = bytearray((max(units) >> 3) + 1)  # not one shift for each: a set of 4,000,000 units has 512 KiB
        for unit in units:
            marks[unit >> 3] |= 1 << (unit & 7)
        told = int.from_bytes(marks, "little")
        if idle := len(units) - (told & ~channel.held).bit_count():
            self._count_idle(channel, idle)
        self._holds(channel, told)

    def known(self) -> None:
        """What a unit is, and what is here: what was said before counts now."""
        for channel in tuple(self.share.channels.values()):
            early = self._early.get(channel, [])
            self.forget(channel)
            if early is None:
                channel.session.close_share(channel)
                channel.session.open_share(self.share)
                continue
            try:
                for first, part in early:
                    self.on_held(channel, part, first)
            except BadMessage as error:
                self.share.drop(channel, error.reason)
                continue
            self.share.telling.all(channel)

    def forget(self, channel: Channel) -> None:
        self._early_bytes -= _size(self._early.pop(channel, None))

    def _keep(self, channel: Channel, held: bool | bytes, first: int) -> None:
        early = self._early.setdefault(channel, [])
        if early is None or len(early) == _PARTS:
            return
        more = _size([(first, held)])
        if self._early_bytes + more > MAX_EARLY_BYTES:
            self.forget(channel)
            self._early[channel] = None
        else:
            early.append((first, held))
            self._early_bytes += more

    @staticmethod
    def _count_idle(channel: Channel, n: int) -> None:
        idle, now_ns = channel.conduct.idle_haves, channel.share.now_ns
        idle.owe(now_ns, n)
        if idle.wait(now_ns):
            raise BadMessage("a flood of HAVE")

    def _holds(self, channel: Channel, units: int) -> None:
        share = self.share
        new = units & ~channel.held
        channel.held |= units
        if new:
            share.firsts.holds(channel, new)
        if share.download is not None and new:
            share.download.holds(channel, new)
        if share.whole and channel.held == share.all:
            channel.session.close_share(channel)  # two seeds have nothing to say


def _size(early: list[tuple[int, bool | bytes]] | None) -> int:
    return sum(len(part) for _, part in early or () if not isinstance(part, bool))
