"""Units that came and are not here yet: each waits for its hash, is verified and written, and then counts.

Verifying and writing is one call of the disk for as much as a MiB. A corrupt unit is the fault of who sent it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from apps.files.core import disk
from apps.files.core.hashes import HashQuestions
from apps.files.core.judging import Judge
from apps.files.core.layers import Ask
from apps.files.core.limits import BATCH_BYTES, BATCH_UNITS, GATHER_MS, MAX_GIVERS, MIB
from overlay.errors import LocalError
from overlay.runtime.loop import Future
from overlay.runtime.ports import MS

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.layout import Layout
    from apps.files.core.share import Share


class Full(LocalError):
    """There is no room left on the disk."""


@attrs.frozen(slots=True, eq=False)
class Arrived:
    peer: bytes
    channel: Channel
    unit: int
    data: bytes | memoryview = attrs.field(repr=False)
    header: bytes = attrs.field(repr=False)


@attrs.define(slots=True, eq=False)
class Arrivals:
    share: Share
    layout: Layout
    #: What became of a unit: a code of apps.files.core.disk.
    on_result: Callable[[Arrived, int], object]
    #: Some results are there.
    on_batch: Callable[[], object]
    #: Whether more units are on their way.
    awaits: Callable[[], bool]
    #: The hashes of a range are known.
    on_hashes: Callable[[Ask], object]
    hashes: HashQuestions = attrs.field(init=False)
    judge: Judge = attrs.field(init=False)
    #: Bytes of what came and is not written; of that what waits for a writer.
    unwritten: int = attrs.field(default=0, init=False)
    _queued: int = attrs.field(default=0, init=False)
    _queue: deque[Arrived] = attrs.field(factory=deque, init=False)
    #: Units that wait for their hashes.
    _waiting: list[Arrived] = attrs.field(factory=list, init=False)
    _news: Future[None] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.hashes, self.judge = HashQuestions(self.share, self._hashes_came), Judge(self.share, self.layout)

    def add(self, arrived: Arrived) -> None:
        self.unwritten += len(arrived.data)
        self._enqueue(arrived)

    def _enqueue(self, arrived: Arrived) -> None:
        place = self.layout.unit(arrived.unit)
        assert self.share.layers is not None
        if self.share.layers.node(place.file, place.index) is None:
            self._waiting.append(arrived)
            self.hashes.ask_for(arrived.channel, [arrived.unit])
        else:
            self._queue.append(arrived)
            self._queued += len(arrived.data)
            if self._news is not None:
                self._news.set()

    def _hashes_came(self, ask: Ask) -> None:
        waiting, self._waiting = self._waiting, []
        for arrived in waiting:
            self._enqueue(arrived)
        self.on_hashes(ask)

    async def write(self) -> None:
        """Until it is cancelled; several may run. LocalError, `Full` if the disk is."""
        loop = self.share.around.loop
        while True:
            while not self._queue:
                await self._more()
            with loop.move_on_after(GATHER_MS * MS):  # a hop to a thread costs as much for one unit as for many
                while self._queued < BATCH_BYTES and len(self._queue) < BATCH_UNITS and self.awaits():
                    await self._more()
            if not self._queue:
                continue  # the other writer has taken it
            batch: list[Arrived] = []
            size = 0
            while self._queue and len(batch) < BATCH_UNITS and (not batch or size < BATCH_BYTES):
                if batch and size + len(self._queue[0].data) > BATCH_BYTES:
                    break
                batch.append(self._queue.popleft())
                size += len(batch[-1].data)
            self._queued -= size
            codes = await self.share.around.operate("write", self.share.id, tuple(map(self._place, batch)))
            self.unwritten -= size
            self._written(batch, codes)

    def no_room(self) -> Full:
        share = self.share
        return Full(
            f"the disk is full: {(share.wanted_bytes - share.done_bytes) // MIB + 1} MiB are still to come to"
            f" {share.path.rpartition('/')[0]}, and what is free there is left to others; make room, then resume it"
        )

    async def _more(self) -> None:
        if self._news is None or self._news.done:
            self._news = self.share.around.loop.future()
        await self._news

    def _place(self, arrived: Arrived) -> disk.Unit:
        place = self.layout.unit(arrived.unit)
        assert self.share.layers is not None
        node = self.share.layers.node(place.file, place.index)
        assert node is not None
        return place.file, place.offset, place.height, node, arrived.data

    def _written(self, batch: list[Arrived], codes: tuple[int, ...]) -> None:
        good = 0
        for arrived, code in zip(batch, codes, strict=True):
            self.on_result(arrived, code)
            if code == disk.GOOD:
                good |= 1 << arrived.unit
                self.share.downloaded += len(arrived.data)
                self.share.done_bytes += len(arrived.data)
                arrived.channel.got += len(arrived.data)
                arrived.channel.got_ns = self.share.now_ns
                self.judge.good(arrived)
                if len(self.share.givers) < MAX_GIVERS:
                    self.share.givers.add(arrived.peer)
            elif code == disk.CORRUPT:
                self.share.wasted += len(arrived.data)
                self.judge.corrupt(arrived)
        self.share.got(good)
        if disk.FULL in codes:
            raise self.no_room()
        self.on_batch()
