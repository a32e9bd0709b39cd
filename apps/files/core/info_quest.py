"""Gets the info dictionary of a share from its peers, from one at a time: its hash says only at the end who lied.

Who says that he has it and does not give it is asked again after a pause, each time a longer one, and not at all in
the end: a refusal costs him nothing, so questions must not follow it at once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import attrs

from apps.files.core.info import Info, decode_info
from apps.files.core.limits import (
    ANSWER_S,
    FIRST_RETRY_S,
    INFO_PART_BYTES,
    INFO_PARTS_AHEAD,
    MAX_BANNED,
    MAX_INFO_TRIES,
    MAX_RETRY_PEER_S,
)
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


@attrs.frozen(slots=True)
class _Failed:
    """A peer that left, did not answer in time, or could not give what it claimed to have."""

    tries: int
    #: It is not asked again before.
    again_ns: int


@attrs.define(slots=True, eq=False)
class InfoQuest:
    share: Share
    _news: Future[None] | None = attrs.field(default=None, init=False)
    _channel: Channel | None = attrs.field(default=None, init=False)
    _parts: dict[int, bytes] = attrs.field(factory=dict, init=False)
    #: By peer; it cannot shake that off by coming back.
    _failed: dict[bytes, _Failed] = attrs.field(factory=dict, init=False)

    async def run(self) -> Info:
        """LocalError if what has the right hash is no share."""
        loop = self.share.around.loop
        while True:
            self._news = loop.future()
            channel, pause_ns = self._next_peer()
            if channel is None:
                with loop.move_on_after(pause_ns):
                    await self._news
                continue
            raw = await self._fetch(channel)
            if raw is None:
                self._fail(channel)
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

    def _next_peer(self) -> tuple[Channel | None, int]:
        """Whom to ask now; if nobody, the nanoseconds until somebody may be asked."""
        now_ns = self.share.now_ns
        able = [channel for channel in self.share.channels.values() if channel.info_bytes and channel.agreed]
        waits = [(self._failed[one.peer].again_ns - now_ns if one.peer in self._failed else 0) for one in able]
        free = [channel for channel, wait in zip(able, waits, strict=True) if wait <= 0]
        if free:
            return self.share.around.rng.choice(free), 0
        return None, min(waits, default=MAX_RETRY_PEER_S * SECOND)

    def _fail(self, channel: Channel) -> None:
        before = self._failed.pop(channel.peer, None)
        tries = 1 if before is None else before.tries + 1
        pause_s = min(FIRST_RETRY_S * 4 ** (tries - 1), MAX_RETRY_PEER_S)
        self._failed[channel.peer] = _Failed(tries, self.share.now_ns + pause_s * SECOND)
        if len(self._failed) > MAX_BANNED:
            del self._failed[next(iter(self._failed))]
        if tries >= MAX_INFO_TRIES and self.share.channels.get(channel.peer) is channel:
            self.share.drop(channel, "it did not give the info dictionary that it claimed to have")

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
