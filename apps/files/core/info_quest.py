"""Gets the info dictionary of a share from its peers, all of it from one: its hash says only at the end who lied.

One is asked, and another one beside it soon if it gives little: of who is slow nobody knows whether he will ever come
to an end. Who claims less is asked first, so that a size that is made up makes nobody wait. A peer that gives less
than a least rate has failed. Who says that he has it and does not give it is asked again after a pause, each time a
longer one, and not at all in the end: a refusal costs him nothing, so questions must not follow it at once.
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
    INFO_RATE,
    INFO_SOON_S,
    LEAST_INFO_RATE,
    MAX_BANNED,
    MAX_INFO_ASKED,
    MAX_INFO_BYTES,
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
class _Asked:
    """One peer, and what it gave of its info dictionary."""

    channel: Channel
    #: Bytes that it claimed when it was asked.
    size: int
    since_ns: int
    #: When the last part came.
    heard_ns: int
    parts: dict[int, bytes] = attrs.Factory(dict)
    got: int = 0
    #: Parts that were asked for.
    asked: int = 0

    @property
    def count(self) -> int:
        return -(-self.size // INFO_PART_BYTES)

    def length(self, index: int) -> int:
        return min(INFO_PART_BYTES, self.size - index * INFO_PART_BYTES)

    def due_ns(self) -> int:
        """When it has failed if nothing comes before: nothing for a while, or less than the least rate in all."""
        return min(self.heard_ns + ANSWER_S * SECOND, self._at(LEAST_INFO_RATE, ANSWER_S))

    def slow_ns(self) -> int:
        """From when on it is too slow to be asked alone."""
        return self._at(INFO_RATE, INFO_SOON_S)

    def _at(self, rate: int, grace_s: int) -> int:
        return self.since_ns + grace_s * SECOND + self.got * SECOND // rate


@attrs.define(slots=True, eq=False)
class InfoQuest:
    share: Share
    _news: Future[None] | None = attrs.field(default=None, init=False)
    #: By peer, those that are asked at the moment.
    _asked: dict[bytes, _Asked] = attrs.field(factory=dict, init=False)
    #: By peer; it cannot shake that off by coming back.
    _failed: dict[bytes, _Failed] = attrs.field(factory=dict, init=False)

    async def run(self) -> Info:
        """LocalError if what has the right hash is no share."""
        loop = self.share.around.loop
        while True:
            self._news = loop.future()
            if (whole := self._drop_failed()) is not None:
                info = await self._read(whole)
                if info is not None:
                    return info
                continue
            wait_ns = self._ask_more()
            with loop.move_on_after(wait_ns):
                await self._news

    def on_news(self) -> None:
        if self._news is not None:
            self._news.set()

    def on_part(self, channel: Channel, part: InfoPart) -> None:
        """Of a peer that was asked; an empty one is a refusal, and so is one of another length. All else is
        ignored."""
        one = self._asked.get(channel.peer)
        if one is None or one.channel is not channel or part.index >= one.asked or part.index in one.parts:
            return
        if len(part.data) != one.length(part.index):
            self._fail(one)
        else:
            one.parts[part.index] = part.data
            one.got, one.heard_ns = one.got + len(part.data), self.share.now_ns
            self._ask_ahead(one)
        self.on_news()

    # --- asking -----------------------------------------------------------------------------

    def _drop_failed(self) -> _Asked | None:
        """One whose parts are all there; whoever left or is too late fails."""
        now_ns = self.share.now_ns
        for one in tuple(self._asked.values()):
            if len(one.parts) == one.count:
                del self._asked[one.channel.peer]
                return one
            if self.share.channels.get(one.channel.peer) is not one.channel or now_ns >= one.due_ns():
                self._fail(one)
        return None

    def _ask_more(self) -> int:
        """Ask another one if those that are asked are not enough. Nanoseconds until something is to be done."""
        now_ns = self.share.now_ns
        slow_ns = max((one.slow_ns() for one in self._asked.values()), default=now_ns)
        times = [one.due_ns() for one in self._asked.values()]
        if slow_ns > now_ns:
            times.append(slow_ns)
        channel, pause_ns = self._next_peer()
        if channel is None:
            times.append(now_ns + pause_ns)
        else:
            less = all(channel.info_bytes < one.size for one in self._asked.values())
            if (less or slow_ns <= now_ns) and self._make_room(channel):
                self._ask(channel)
                return 0
        return min(times, default=now_ns + ANSWER_S * SECOND) - now_ns

    def _make_room(self, channel: Channel) -> bool:
        """Whether it can be asked as well. Who claims more makes room for it: it is asked later."""
        while self._asked:
            sizes = [one.size for one in self._asked.values()]
            if len(sizes) < MAX_INFO_ASKED and sum(sizes) + channel.info_bytes <= 2 * MAX_INFO_BYTES:
                break
            most = max(self._asked.values(), key=lambda one: one.size)
            if self._rank(most.channel) <= self._rank(channel):
                return False
            del self._asked[most.channel.peer]
        return True

    def _next_peer(self) -> tuple[Channel | None, int]:
        """Whom to ask now; if nobody, the nanoseconds until somebody may be asked."""
        now_ns = self.share.now_ns
        able = [
            channel for channel in self.share.channels.values()
            if channel.info_bytes and channel.agreed and channel.peer not in self._asked
        ]  # fmt: skip
        waits = [(self._failed[one.peer].again_ns - now_ns if one.peer in self._failed else 0) for one in able]
        free = [channel for channel, wait in zip(able, waits, strict=True) if wait <= 0]
        if free:
            least = min(map(self._rank, free))
            return self.share.around.rng.choice([one for one in free if self._rank(one) == least]), 0
        return None, min(waits, default=MAX_RETRY_PEER_S * SECOND)

    def _rank(self, channel: Channel) -> tuple[int, int]:
        failed = self._failed.get(channel.peer)
        return (0 if failed is None else failed.tries), channel.info_bytes

    def _ask(self, channel: Channel) -> None:
        now_ns = self.share.now_ns
        one = self._asked[channel.peer] = _Asked(channel, channel.info_bytes, now_ns, now_ns)
        self._ask_ahead(one)

    def _ask_ahead(self, one: _Asked) -> None:
        while one.asked < min(one.count, len(one.parts) + INFO_PARTS_AHEAD):
            one.channel.session.say(GetInfo(one.channel.number, one.asked))
            one.asked += 1

    # --- what came of it --------------------------------------------------------------------

    async def _read(self, one: _Asked) -> Info | None:
        raw = b"".join(one.parts[index] for index in range(one.count))
        info: Info | str | None = await self.share.around.compute("read_info", raw, self.share.id)
        if isinstance(info, str):
            raise LocalError(f"this is no share: {info}")
        if info is None and self.share.channels.get(one.channel.peer) is one.channel:
            self.share.drop(one.channel, "it sent another info dictionary")
        return info

    def _fail(self, one: _Asked) -> None:
        channel = one.channel
        del self._asked[channel.peer]
        before = self._failed.pop(channel.peer, None)
        tries = 1 if before is None else before.tries + 1
        pause_s = min(FIRST_RETRY_S * 4 ** (tries - 1), MAX_RETRY_PEER_S)
        self._failed[channel.peer] = _Failed(tries, self.share.now_ns + pause_s * SECOND)
        if len(self._failed) > MAX_BANNED:
            del self._failed[next(iter(self._failed))]
        if tries >= MAX_INFO_TRIES and self.share.channels.get(channel.peer) is channel:
            self.share.drop(channel, "it did not give the info dictionary that it claimed to have")
