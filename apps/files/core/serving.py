"""What one share gives to others: units, hashes, parts of the info dictionary, each only if it is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core import merkle, wire
from apps.files.core.judging import header_of, must_sign
from apps.files.core.limits import INFO_PART_BYTES, MAX_ASKED_UNITS, MAX_RUNS
from apps.files.core.wire import Choke, GetHashes, InfoPart, Message, Piece, Reject
from overlay.errors import BadMessage, LocalError

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.header import Header
    from apps.files.core.layout import Unit
    from apps.files.core.share import Share


@attrs.define(slots=True, eq=False)
class Serving:
    share: Share

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

        Of a unit whose hash is not proved here (a download that began anew) nothing is said, and it is not lost."""
        assert self.share.layout is not None
        places = [self.share.layout.unit(unit) for unit in units]
        trues = [header_of(self.share, place) or await self._load(place) for place in places]
        known = [
            (place, unit, true) for place, unit, true in zip(places, units, trues, strict=True) if true is not None
        ]
        ranges = tuple((place.file, place.offset, place.length, place.height, true.node) for place, _, true in known)
        try:
            found = await self.share.around.operate("read", self.share.id, ranges) if ranges else ()
        except LocalError as error:
            self.share.around.emit("cannot read", share=self.share.id, error=str(error))
            found = (None,) * len(ranges)
        pieces: dict[int, Piece] = {}
        for (place, unit, true), data in zip(known, found, strict=True):
            if data is None or len(data) != place.length:
                self._withdraw(place, unit)
            else:
                header = self.share.around.headers.sign(true) if must_sign(channel, place.length) else b""
                pieces[unit] = Piece(channel.number, unit, 0, data, header=header)
        return [pieces.get(unit) for unit in units]

    def _withdraw(self, place: Unit, unit: int) -> None:
        self.share.lose(1 << unit)
        if self.share.download is not None:
            self.share.download.picker.lost(unit)
        self.share.around.emit("withdrawn", share=self.share.id, file=place.file, unit=place.index)

    async def _load(self, place: Unit) -> Header | None:
        await self._load_tree(place.file)
        return header_of(self.share, place)

    def info_part(self, channel: Channel, index: int) -> InfoPart:
        raw = self.share.info.raw if self.share.info is not None else b""
        return InfoPart(channel.number, index, raw[index * INFO_PART_BYTES : (index + 1) * INFO_PART_BYTES])

    async def hashes(self, channel: Channel, message: GetHashes) -> Message:
        if self.share.layers is None or self.share.info is None:
            return wire.Hashes(channel.number, message.root, message.base, message.index, message.count, b"")
        file = self.share.layers.file_of(message.root)
        if file is not None:
            await self._load_tree(file)
        return self.share.layers.answer(message)

    async def _load_tree(self, file: int) -> None:
        """The tree above the units of a file, if the disk has it and it leads to the root."""
        share, around = self.share, self.share.around
        if share.layers is None or share.info is None or share.layers.has_tree(file):
            return
        try:
            layer = await around.operate("layer", share.id, file)
            if layer:
                length, height = share.info.files[file].length, share.layers.height(file)
                tree = await around.compute("tree", layer, length, height)
                if tree is not None and tree.root == share.info.files[file].root:
                    share.layers.keep(file, tree)
                    share.layers.trim((file,))
        except LocalError as error:
            around.emit("cannot read", share=share.id, error=str(error))


def make_tree(layer: bytes, length: int, height: int) -> merkle.Tree | None:
    """For `ctx.compute`; None if a file of this length has no such layer."""
    try:
        return merkle.make_tree(layer, length, height)
    except BadMessage:
        return None
