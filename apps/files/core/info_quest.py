"""Gets the info dictionary of a share from its peers, from one at a time: its hash says only at the end who lied."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import attrs

from apps.files.core.info import Info, decode_info
from apps.files.core.limits import ANSWER_S, INFO_PART_BYTES, INFO_PARTS_AHEAD
from apps.files.core.wire import GetInfo, InfoPart
from overlay.errors import BadMessage, LocalError
from overlay.runtime.loop import Future
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.share import Share


def read_info(raw: bytes, share_id: bytes) -> Info | str | None:
    """For `ctx.compute`: the info dictionary, None if it is not the one of this id, a text if nobody can use it."""
    if hashlib.sha256(raw).digest() != share_id:
        return None
    try:
        return decode_info(raw)
    except BadMessage as error:
        return error.reason


@attrs.define(slots=True, eq=False)
class InfoQuest:
    share: Share
    _news: Future[None] | None = attrs.field(default=None, init=False)
    _channel: Channel | None = attrs.field(default=None, init=False)
    _parts: dict[int, bytes] = attrs.field(factory=dict, init=False)
    #: Peers that did not answer, or not in time; when all are, they get another chance.
    _slow: set[bytes] = attrs.field(factory=set, init=False)

    async def run(self) -> Info:
        """LocalError if what has the right hash is no share."""
        loop = self.share.around.loop
        while True:
            self._news = loop.future()
            channel = self._next_peer()
            if channel is None:
                await self._news
                continue
            raw = await self._fetch(channel)
            if raw is None:
                self._slow.add(channel.peer)
                continue
            info = await self.share.around.compute("read_info", raw, self.share.id)
            if isinstance(info, Info):
                return info
            if isinstance(info, str):
                raise LocalError(f"this is no share: {info}")
            if self.share.channels.get(channel.peer) is channel:
                self.share.drop(channel, "it sent another info dictionary")

    def on_news(self) -> None:
        if self._news is not None:
            self._news.set()

    def on_part(self, channel: Channel, part: InfoPart) -> None:
        """Of the peer that was asked, and of the length that is missing; all else is ignored."""
        if channel is self._channel and part.index not in self._parts and len(part.data) <= INFO_PART_BYTES:
            self._parts[part.index] = part.data
            self.on_news()

    def _next_peer(self) -> Channel | None:
        able = [channel for channel in self.share.channels.values() if channel.info_bytes and channel.agreed]
        fresh = [channel for channel in able if channel.peer not in self._slow]
        if able and not fresh:
            self._slow.clear()
        return self.share.around.rng.choice(fresh or able) if able else None

    async def _fetch(self, channel: Channel) -> bytes | None:
        """None if the peer left, refused or took too long for a part."""
        loop = self.share.around.loop
        count = -(-channel.info_bytes // INFO_PART_BYTES)
        self._channel, self._parts = channel, {}
        asked = 0
        try:
            while len(self._parts) < count:
                while asked < min(count, len(self._parts) + INFO_PARTS_AHEAD):
                    channel.session.say(GetInfo(channel.number, asked))
                    asked += 1
                before = len(self._parts)
                with loop.move_on_after(ANSWER_S * SECOND) as scope:
                    while len(self._parts) == before and self.share.channels.get(channel.peer) is channel:
                        self._news = loop.future()
                        await self._news
                if scope.cancelled_caught or len(self._parts) == before or b"" in self._parts.values():
                    return None
            if any(index >= count for index in self._parts):
                return None
            return b"".join(self._parts[index] for index in range(count))
        finally:
            self._channel, self._parts = None, {}
