"""Units on their way out to one peer: read when there is room for them, sent when limits allow it.

What a peer has cancelled when it is read was read in vain: so much of that is done for it, and then it waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core import codec
from apps.files.core.limits import (
    AHEAD_MS,
    BATCH_BYTES,
    BATCH_UNITS,
    MAX_AHEAD_BYTES,
    MAX_VAIN_BYTES,
    MIN_AHEAD_BYTES,
    VAIN_BYTES_PER_S,
)
from apps.files.core.rates import Bucket
from apps.files.core.wire import Reject
from overlay.errors import OverlayError
from overlay.runtime.loop import Future

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.session import Session


@attrs.define(slots=True, eq=False)
class Giver:
    session: Session
    #: Bytes that may still be read in vain.
    _vain: Bucket = attrs.field(init=False)
    #: Somebody asks, or asks no more.
    _asking: Future[None] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._vain = Bucket(VAIN_BYTES_PER_S, MAX_VAIN_BYTES, self._now_ns)

    async def run(self) -> None:
        """Until the stream ends."""
        try:
            while True:
                channel = self.session.next_to_give()
                if channel is not None:
                    await self._give(channel)
                else:
                    self._asking = self.session.loop.future()
                    await self._asking
        except OverlayError:
            return

    def wake(self) -> None:
        if self._asking is not None:
            self._asking.set()

    async def _give(self, channel: Channel) -> None:
        """Some of the units that were asked for on this channel."""
        session, share, size = self.session, channel.share, 0
        await session.stream.drain(self._ahead(channel))  # nothing is read for who does not take what was
        if wait_ns := self._vain.wait(self._now_ns):
            await session.loop.sleep(wait_ns)
        units: list[int] = []
        for unit in channel.serving:
            size += share.serving.length_of(unit)
            if units and (size > BATCH_BYTES or len(units) == BATCH_UNITS):
                break
            units.append(unit)
        for unit, piece in zip(units, await share.serving.read(channel, units), strict=True):
            await session.stream.drain(self._ahead(channel))
            while unit in channel.serving and (wait_ns := session.uploads.wait(self._now_ns)):
                self._asking = session.loop.future()
                with session.loop.move_on_after(wait_ns):
                    await self._asking
            if unit not in channel.serving:  # cancelled, choked or closed meanwhile
                self._vain.owe(self._now_ns, share.serving.length_of(unit))
                continue
            del channel.serving[unit]
            if piece is None or not share.firsts.give(channel, unit):
                session.say(Reject(channel.number, ((unit, 1),)))
                continue
            size = len(piece.data)
            session.uploads.take(self._now_ns, size)
            await session.stream.send(codec.encode(piece))
            channel.sent += size
            share.on_sent(channel, size)

    def _ahead(self, channel: Channel) -> int:
        """Bytes that may wait for the network when the next unit is sent: what is gone in a moment. What has not been
        sent can still be cancelled, or go to somebody else."""
        return min(max(channel.up.at(self._now_ns) * AHEAD_MS // 1000, MIN_AHEAD_BYTES), MAX_AHEAD_BYTES)

    @property
    def _now_ns(self) -> int:
        return self.session.loop.now.mono_ns
