"""What one share gives to others: units, hashes, parts of the info dictionary, each only if it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core import merkle, wire
from apps.files.core.judging import header_of, must_sign
from apps.files.core.limits import (
    INFO_PART_BYTES,
    MAX_ASKED_UNITS,
    MAX_RUNS,
    READ_AGAIN_S,
)
from apps.files.core.merkle import HASH_BYTES
from apps.files.core.wire import Choke, GetHashes, InfoPart, Message, Piece, Reject
from overlay.errors import BadMessage, LocalError
from overlay.runtime.loop import Future
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.header import Header
    from apps.files.core.layout import Unit
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Serving:
    share: Share
    #: Files whose tree the disk has not, and whether all of their units were here when it was asked.
    _lacking: dict[int, bool] = attrs.field(factory=dict, init=False)
    #: The tree of one file is being read; set when that is over.
    _loading: Future[None] | None = attrs.field(default=None, init=False)

    def known(self, runs: tuple[wire.Run, ...]) -> list[int]:
        """Their units; BadMessage if the share has not as many."""
        count = self.share.layout.units if self.share.layout is not None else 0
        if any(first + n > count for first, n in runs):
            raise BadMessage("units that the share has not")
        return list(wire.units_in(runs))

    def on_request(self, channel: Channel, runs: tuple[wire.Run, ...]) -> None:
        if self.share.layout is None:
            return channel.session.say(Reject(channel.number, runs))
        rejected = []
        for unit in self.known(runs):
            if channel.choking or not self.share.have >> unit & 1 or len(channel.serving) >= MAX_ASKED_UNITS:
                rejected.append(unit)
            else:
                channel.serving[unit] = None
        if rejected:
            self._reject(channel, rejected)
        channel.session.wake()
        return None

    def _reject(self, channel: Channel, units: list[int]) -> None:
        runs = wire.runs_of(units)
        for at in range(0, len(runs), MAX_RUNS):
            channel.session.say(Reject(channel.number, runs[at : at + MAX_RUNS]))

    def choke(self, channel: Channel, choked: bool) -> None:
        if channel.choking is not choked:
            channel.choking = choked
            if choked:
                channel.serving.clear()
            channel.session.say(Choke(channel.number, choked))

    def length_of(self, unit: int) -> int:
        return self.share.layout.length(unit) if self.share.layout is not None else 0

    async def read(self, channel: Channel, units: list[int]) -> list[Piece | None]:
        """What is on the disk and has the right hash, signed. What has not is no longer here: others hear no lie.

        Of a unit whose hash is not proved here (a download that began anew) nothing is said, and it is not lost. Nor
        is one if the disk cannot be asked at this moment: the peer is told a little later that it is still here."""
        assert self.share.layout is not None
        places = [self.share.layout.unit(unit) for unit in units]
        trues = [header_of(self.share, place) or await self._load(channel, place) for place in places]
        known = [
            (place, unit, true) for place, unit, true in zip(places, units, trues, strict=True) if true is not None
        ]
        ranges = tuple((place.file, place.offset, place.length, place.height, true.node) for place, _, true in known)
        try:
            found = await self.share.around.operate("read", self.share.id, ranges) if ranges else ()
        except LocalError as error:
            self.share.around.emit("cannot read", share=self.share.id, error=str(error))
            self._tell_again(channel, [unit for _, unit, _ in known])
            return [None] * len(units)
        pieces: dict[int, Piece] = {}
        for (place, unit, true), data in zip(known, found, strict=True):
            if data is None or len(data) != place.length:
                self._withdraw(place, unit)
            else:
                header = self.share.around.headers.sign(true) if must_sign(channel, place.length) else b""
                pieces[unit] = Piece(channel.number, unit, 0, data, header=header)
        return [pieces.get(unit) for unit in units]

    def _tell_again(self, channel: Channel, units: list[int]) -> None:
        """They are rejected now; with the next HAVE they may be asked for once more."""
        for unit in units:
            channel.said &= ~(1 << unit)
        loop = self.share.around.loop
        loop.call_at(loop.now.mono_ns + READ_AGAIN_S * SECOND, lambda: self.share.got(0))

    def _withdraw(self, place: Unit, unit: int) -> None:
        self.share.lose(1 << unit)
        if self.share.download is not None:
            self.share.download.picker.lost(unit)
        self.share.around.emit("withdrawn", share=self.share.id, file=place.file, unit=place.index)

    async def _load(self, channel: Channel, place: Unit) -> Header | None:
        await self.load_tree(place.file, channel)
        return header_of(self.share, place)

    def info_part(self, channel: Channel, index: int) -> InfoPart:
        raw = self.share.info.raw if self.share.info is not None else b""
        return InfoPart(channel.number, index, raw[index * INFO_PART_BYTES : (index + 1) * INFO_PART_BYTES])

    async def hashes(self, channel: Channel, message: GetHashes) -> Message:
        if self.share.layers is None or self.share.info is None:
            return wire.Hashes(channel.number, message.root, message.base, message.index, message.count, b"")
        file = self.share.layers.file_of(message.root)
        if file is not None:
            await self.load_tree(file, channel)
        return self.share.layers.answer(message)

    async def load_tree(self, file: int, channel: Channel | None) -> None:
        """The tree above the units of a file, if the disk has it and it leads to the root.

        One question makes the disk read and hash all of a layer, 13 MB of 100 GiB, whatever comes of it. So one is read
        at a time, a peer waits once much was read for it, and what is not there is asked for again only when it may
        have come. `channel`: of the peer that asks; None: this node needs it."""
        layers, loop = self.share.layers, self.share.around.loop
        while layers is not None and not layers.has_tree(file) and not self._lacks(file):
            bucket, now_ns = None if channel is None else channel.conduct.layers, loop.now.mono_ns
            if bucket is not None and (wait_ns := bucket.wait(now_ns)):
                await loop.sleep(wait_ns)
            elif self._loading is not None:
                await self._loading
            else:
                if bucket is not None:
                    bucket.take(now_ns, HASH_BYTES * self._units(file))
                return await self._read_tree(file)
        return None

    def _lacks(self, file: int) -> bool:
        """The disk was asked, and nothing that changes the answer has happened since."""
        whole = self._lacking.get(file)
        return whole is not None and whole is self._is_whole(file)

    def _is_whole(self, file: int) -> bool:
        assert self.share.layout is not None
        units = self.share.layout.units_of(file)
        some = (1 << len(units)) - 1
        return self.share.have >> units.start & some == some

    def _units(self, file: int) -> int:
        assert self.share.layout is not None
        return len(self.share.layout.units_of(file))

    def kept(self, file: int) -> None:
        """The disk has its layer from now on."""
        self._lacking.pop(file, None)

    async def _read_tree(self, file: int) -> None:
        share, around = self.share, self.share.around
        assert share.layers is not None
        assert share.info is not None
        loading = self._loading = around.loop.future()
        whole = self._is_whole(file)
        try:
            layer = await around.operate("layer", share.id, file)
            length, height = share.info.files[file].length, share.layers.height(file)
            tree = await around.compute("tree", layer, length, height) if layer else None
            if tree is not None and tree.root == share.info.files[file].root:
                share.keep_tree(file, tree)
            else:
                self._lacking[file] = whole
        except LocalError as error:
            around.emit("cannot read", share=share.id, error=str(error))
        finally:
            self._loading = None
            loading.set()


def make_tree(layer: bytes, length: int, height: int) -> merkle.Tree | None:
    """For `ctx.compute`; None if a file of this length has no such layer."""
    try:
        return merkle.make_tree(layer, length, height)
    except BadMessage:
        return None
