"""What one share still needs: whom to ask for what, and what becomes of what comes.

A unit is asked of one peer. It is asked of another one when the first takes longer than its rate promises, or when
all that is left is on its way already and late (endgame); the slower one is told at once. Every unit is checked by
itself against a hash that leads to the root before it counts: a corrupt one is the fault of who sent it, alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.files.core import disk, wire
from apps.files.core.arrivals import Arrivals, Arrived
from apps.files.core.channel import Asked
from apps.files.core.endgame import Endgame
from apps.files.core.judging import must_sign
from apps.files.core.limits import MAX_ASKED_UNITS, MAX_RUNS, MAX_UNWRITTEN_BYTES, MAX_WITHDRAWN, WRITERS
from apps.files.core.picker import Picker
from apps.files.core.under_way import UnderWay
from apps.files.core.wire import Cancel, Choke, Hashes, Interest, Message, Piece, Reject, Request
from apps.files.core.zeros import Zeros
from overlay.errors import BadMessage, LocalError
from overlay.runtime.loop import Future
from overlay.runtime.ports import SECOND

if TYPE_CHECKING:
    from apps.files.core.channel import Channel
    from apps.files.core.layout import Layout
    from apps.files.core.rates import Bucket
    from apps.files.core.share import Share

#: Half of what a peer may be asked for: the answers to the other half may still be withdrawn ones.
_MOST_ASKED = MAX_ASKED_UNITS // 2


@attrs.define(slots=True, eq=False)
class Download:
    share: Share
    layout: Layout
    #: Limit of what this node asks for.
    downloads: Bucket
    picker: Picker[Channel] = attrs.field(init=False)
    arrivals: Arrivals = attrs.field(init=False)
    zeros: Zeros = attrs.field(init=False)
    endgame: Endgame = attrs.field(init=False)
    _under_way: UnderWay = attrs.field(factory=UnderWay, init=False)
    _done: Future[None] = attrs.field(init=False)
    _next_ask_ns: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        share = self.share
        self.picker = Picker(self.layout.units, share.around.rng, held=share.have, wanted=share.wanted)
        self.zeros = Zeros(share, self.layout, self.picker, self._on_claimed, self._on_zeros)
        under_way = self._under_way
        self.arrivals = Arrivals(
            share, self.layout, self._on_result, self._on_batch, lambda: under_way.awaited, self.zeros.known
        )
        self.endgame = Endgame(share, self.layout.unit_bytes)
        self._done = share.around.loop.future()
        for channel in share.channels.values():
            self.joined(channel)

    # --- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until all that is wanted is here, or LocalError; `Full` if the disk is."""
        loop = self.share.around.loop
        try:
            async with loop.group(name="download") as group:
                for _ in range(WRITERS):
                    group.spawn(self.arrivals.write(), name="download: writer")
                group.spawn(self.zeros.run(), name="download: zeros")
                group.spawn(self._watch(), name="download: watch")
                self._fill_all()
                if not self.picker.finished:
                    await self._done
                group.cancel()
        except* LocalError as failures:
            raise failures.exceptions[0] from None
        finally:
            for channel in tuple(self.share.channels.values()):
                self.withdraw(channel)
                self._show_interest(channel, False)

    def awaits(self, file: int) -> bool:
        """Units of it are on their way, or came and are not written."""
        return self._under_way.any_of(self.layout.units_of(file))

    # --- peers ------------------------------------------------------------------------------

    def joined(self, channel: Channel) -> None:
        self.picker.add(channel, channel.held & ~channel.unfit)

    def holds(self, channel: Channel, new: int) -> None:
        self.picker.has(channel, new & ~channel.unfit)
        self.fill(channel)

    def left(self, channel: Channel) -> None:
        """What it was asked for is free for others."""
        self._give_up(channel)
        self.picker.remove(channel)
        self.arrivals.hashes.left(channel)
        self._fill_all()

    def on_message(self, channel: Channel, message: Message) -> None:
        match message:
            case Piece():
                self._on_piece(channel, message)
            case Choke(_, choked):
                if choked:
                    self._give_up(channel)
                    self._fill_all()
                self.fill(channel)
            case Reject(_, runs):
                self._on_reject(channel, runs)
            case Hashes():
                self.arrivals.hashes.on_answer(channel, message)

    def _on_reject(self, channel: Channel, runs: tuple[wire.Run, ...]) -> None:
        rejected = [unit for unit in wire.units_in(runs) if self._forget(channel, unit)]
        for unit in rejected:
            if channel.choked:
                self.picker.put_back(channel, unit)
            else:
                self.picker.refused(channel, unit)
                channel.held &= ~(1 << unit)
                channel.refused |= 1 << unit
        if rejected:  # what nobody asked for costs nothing
            self._fill_all()

    # --- asking ----------------------------------------------------------------------------

    def fill(self, channel: Channel) -> None:
        """Ask for as much as the peer delivers in a while."""
        if self.share.channels.get(channel.peer) is not channel:
            return None
        self._show_interest(channel, self.picker.interesting(channel))
        if channel.choked or not channel.told or self.arrivals.unwritten >= MAX_UNWRITTEN_BYTES:
            return None
        now_ns = self.share.now_ns
        pipeline = channel.pipeline
        if not channel.got and channel.session.signs:  # of a stranger one unit is at stake, until it is verified
            room = int(not pipeline.asked and not channel.checking)
        else:
            room = int(not pipeline.asked) if channel.snubbed else pipeline.room(now_ns)
        if room <= 0 or now_ns < self._next_ask_ns:
            return None
        if wait_ns := self.downloads.wait(now_ns):
            return self._ask_later(wait_ns)
        alone = not pipeline.asked
        channel.heard_ns = now_ns if alone else channel.heard_ns
        units: list[int] = []
        size = 0
        while size < room and len(channel.asked) < _MOST_ASKED:
            most = -(-(room - size) // self.layout.unit_bytes)
            picked = self.picker.pick(channel, min(most, self._most_now(channel)))
            if not picked:
                break
            for unit in picked:
                length = self.layout.length(unit)
                channel.asked[unit] = Asked(now_ns, length, alone)
                alone = False
                self._under_way.asked(unit)
                size += length
            units += picked
        if units:
            pipeline.on_asked(now_ns, size)
            self.downloads.take(now_ns, size)
            self.arrivals.hashes.ask_for(channel, units)
            self._tell(channel, units, Request)
        return None

    def _most_now(self, channel: Channel) -> int:
        """At the end, when all is asked of somebody, only as many copies as there are units that come late there."""
        fresh = self.picker.wanted & ~self.picker.held & ~self._under_way.units & channel.held & ~channel.unfit
        if fresh:
            return min(fresh.bit_count(), _MOST_ASKED - len(channel.asked))
        return self.endgame.copies(channel)

    def _ask_later(self, wait_ns: int) -> None:
        loop = self.share.around.loop
        self._next_ask_ns = loop.now.mono_ns + wait_ns
        loop.call_at(self._next_ask_ns, self._fill_all)

    def _fill_all(self) -> None:
        for channel in sorted(self.share.channels.values(), key=lambda channel: channel.snubbed):
            self.fill(channel)

    @staticmethod
    def _tell(channel: Channel, units: list[int], kind: type[Request] | type[Cancel]) -> None:
        runs = wire.runs_of(units)
        for at in range(0, len(runs), MAX_RUNS):
            channel.session.say(kind(channel.number, runs[at : at + MAX_RUNS]))

    def _show_interest(self, channel: Channel, interested: bool) -> None:
        if channel.said_interested is not interested and channel.agreed and not channel.session.over:
            channel.said_interested = interested
            channel.session.say(Interest(channel.number, interested))

    # --- giving up --------------------------------------------------------------------------

    def _forget(self, channel: Channel, unit: int, *, came: bool = False) -> bool:
        asked = channel.asked.pop(unit, None)
        if asked is None:
            return False
        if came:
            now_ns = self.share.now_ns
            rtt = now_ns - asked.at_ns if asked.alone else None
            channel.pipeline.on_came(now_ns, asked.length, rtt=rtt)
        else:
            channel.pipeline.on_dropped(asked.length)
        self._under_way.unasked(unit)
        return True

    def _give_up(self, channel: Channel) -> list[int]:
        """Nothing is awaited from it; what still comes is welcome, and nobody is blamed for it."""
        units = list(channel.asked)
        self.picker.release(channel)
        for unit in units:
            self._late(channel, unit)
        return units

    def _late(self, channel: Channel, unit: int) -> None:
        self._forget(channel, unit)
        channel.withdrawn[unit] = channel.withdrawn.pop(unit, 0) + 1
        if len(channel.withdrawn) > MAX_WITHDRAWN:
            del channel.withdrawn[next(iter(channel.withdrawn))]

    def withdraw(self, channel: Channel) -> None:
        """As `_give_up`, and the peer is told."""
        if units := self._give_up(channel):
            self._tell(channel, units, Cancel)

    async def _watch(self) -> None:
        """Once a second: who was asked and says nothing?"""
        loop = self.share.around.loop
        while True:
            await loop.sleep(SECOND)
            now_ns = loop.now.mono_ns
            self.arrivals.hashes.watch(now_ns)
            for channel in tuple(self.share.channels.values()):
                deadline_ns = channel.pipeline.deadline(now_ns)
                if deadline_ns is not None and now_ns > deadline_ns:
                    if not channel.snubbed:
                        self.share.around.emit("snubbed", share=self.share.id, peer=channel.peer)
                    channel.snubbed = True
                    self.withdraw(channel)
            self._fill_all()

    # --- what came --------------------------------------------------------------------------

    def _on_piece(self, channel: Channel, piece: Piece) -> None:
        unit, size = piece.unit, len(piece.data)
        if unit >= self.layout.units or piece.offset or size != self.layout.length(unit):
            raise BadMessage("a piece that is no unit of the share")
        if must_sign(channel, size) and not piece.header:
            self.share.wasted += size
            return self.share.drop(channel, "it signed no header for a unit")
        if not self._forget(channel, unit, came=True):
            times = channel.withdrawn.pop(unit, 0)
            if not times:
                raise BadMessage("a unit that nobody asked for")
            if times > 1:
                channel.withdrawn[unit] = times - 1
            channel.pipeline.rate.add(self.share.now_ns, size)
        channel.snubbed, channel.heard_ns = False, self.share.now_ns
        others = self.picker.arrived(channel, unit)
        if others is None:
            self.share.wasted += size
            self.endgame.repeated += size
        else:
            for other in others:
                self._late(other, unit)
                self._tell(other, [unit], Cancel)
            self._under_way.units |= 1 << unit
            channel.checking += 1
            self.arrivals.add(Arrived(channel.peer, channel, unit, piece.data, piece.header))
        return self.fill(channel)

    def _on_result(self, arrived: Arrived, code: int) -> None:
        self._under_way.units &= ~(1 << arrived.unit)
        arrived.channel.checking -= 1
        if code == disk.GOOD:
            self.picker.verified(arrived.unit)
        elif code == disk.CORRUPT:
            self.picker.wrong(arrived.channel, arrived.unit)
        else:
            self.picker.lost(arrived.unit)

    def _on_claimed(self, units: int) -> None:
        self._under_way.units |= units

    def _on_zeros(self, units: int, good: bool) -> None:
        self._under_way.units &= ~units
        if not good:
            self.picker.given_up(units)
            raise self.arrivals.no_room()
        self.picker.kept(units)
        size = units.bit_count() * self.layout.unit_bytes
        self.share.done_bytes += size
        self.share.zeros += size
        self.share.got(units)
        self._on_batch()

    def _on_batch(self) -> None:
        if self.picker.finished:
            self._done.set()
        self._fill_all()
