"""What peers of one share are told of what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core import bits, wire
from apps.files.core.limits import MAX_HAVE_UNITS, MAX_HOLD_BYTES, MAX_QUEUED_ANSWERS, TELL_MS
from apps.files.core.wire import Have, Hold
from overlay.runtime.loop import Timer
from overlay.runtime.ports import MS

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Telling:
    share: Share
    _timer: Timer | None = attrs.field(default=None, init=False)

    def held(self) -> wire.Held:
        """For the first word of a channel."""
        share = self.share
        if not share.looked:
            return None
        if share.have == share.all:
            return True
        assert share.layout is not None
        field = bits.to_bitfield(share.have, share.layout.units)
        return field if share.have and len(field) <= MAX_HOLD_BYTES else False

    def told(self, channel: Channel, held: wire.Held) -> None:
        channel.said = self.share.have if held else 0
        channel.said_any = held is not None
        channel.said_once = held is not None and channel.told

    def all(self, channel: Channel) -> None:
        """All of it, once the peer knows how many units there are."""
        share = self.share
        if share.layout is None or not channel.agreed or channel.session.over:
            return
        number, size = channel.number, share.info_bytes
        if share.have == share.all or not share.have:
            channel.session.say(Hold(number, size, share.have == share.all, 0))
        else:
            field = bits.to_bitfield(share.have, share.layout.units)
            for at in range(0, len(field), MAX_HOLD_BYTES):
                channel.session.say(Hold(number, size, field[at : at + MAX_HOLD_BYTES], at * 8))
        channel.said, channel.said_any, channel.said_once = share.have, True, channel.told

    def soon(self) -> None:
        """There is more than before."""
        if self._timer is None:
            self._timer = self.share.around.loop.call_at(self.share.now_ns + TELL_MS * MS, self._news)

    def _news(self) -> None:
        self._timer = None
        share, late = self.share, False
        for channel in tuple(share.channels.values()):
            new = share.have & ~channel.said
            if not channel.told or not new:
                continue
            if channel.session.backlog > MAX_QUEUED_ANSWERS // 2:
                late = True
                continue
            if share.have == share.all:
                self.all(channel)
                if channel.held == share.all:
                    channel.session.close_share(channel)
                continue
            units = list(bits.first_from(new & (~channel.held | self._evidence(channel, new)), 0))
            for at in range(0, len(units), MAX_HAVE_UNITS):
                channel.session.say(Have(channel.number, tuple(units[at : at + MAX_HAVE_UNITS])))
            channel.said |= new
        if late:
            self.soon()

    def _evidence(self, channel: Channel, units: int) -> int:
        """Of these, what a peer who has all hears nevertheless: that somebody passes on what it gave to one alone
        (apps.files.core.firsts). What several have, others have told it of."""
        if not channel.whole or self.share.download is None:
            return 0
        return self.share.download.picker.scarce(units)
