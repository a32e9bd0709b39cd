"""One share and all its peers: what is here, who may have it, and what the others tell."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from apps.files.core import bits, wire
from apps.files.core.download import Download
from apps.files.core.firsts import Firsts
from apps.files.core.info import Info
from apps.files.core.info_quest import InfoQuest
from apps.files.core.layers import Layers
from apps.files.core.layout import Layout, layout_of
from apps.files.core.limits import (
    MAX_BANNED,
    MAX_HAVE_UNITS,
    MAX_HOLD_BYTES,
    MAX_IDLE_HAVES,
    MAX_QUEUED_ANSWERS,
    MAX_SOURCES,
    TELL_MS,
)
from apps.files.core.serving import Serving
from apps.files.core.slots import Slots
from apps.files.core.wire import (
    Cancel,
    Choke,
    GetHashes,
    GetInfo,
    Have,
    Hold,
    InfoPart,
    Interest,
    Message,
    Peers,
    Request,
)
from overlay.errors import BadMessage
from overlay.runtime.chance import Rng
from overlay.runtime.loop import Loop, Timer
from overlay.runtime.ports import MS

if TYPE_CHECKING:
    from apps.files.core.bans import Bans
    from apps.files.core.channel import Channel
    from apps.files.core.header import Headers


class Surroundings(Protocol):
    """What a share needs of its application."""

    @property
    def loop(self) -> Loop: ...
    @property
    def rng(self) -> Rng: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def bans(self) -> Bans: ...
    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str = "") -> None: ...
    async def operate(self, operation: str, /, *args: Any) -> Any: ...
    async def compute(self, function: str, /, *args: Any) -> Any: ...
    def emit(self, event: str, /, **fields: object) -> None: ...


class State(enum.Enum):
    #: The info dictionary is being looked for.
    FINDING = "finding"
    #: The disk is looking what is there already.
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    #: All that is wanted is here.
    COMPLETE = "complete"
    #: By a person, until resumed by one.
    PAUSED = "paused"
    #: No room on the disk; resumed by a person.
    FULL = "full"
    #: Something else went wrong; `Share.trouble` says what.
    FAILED = "failed"


@attrs.define(slots=True, eq=False)
class Share:
    id: bytes
    around: Surroundings
    #: (channel, peers told): where others are said to be.
    on_peers: Callable[[Channel, Peers], object]
    #: A peer is gone, or would not deal with this share.
    #: With why, if it would not.
    on_left: Callable[[bytes, str], object]
    state: State = State.FINDING
    trouble: str = ""
    info: Info | None = None
    layout: Layout | None = None
    layers: Layers | None = None
    #: Where it is on this machine; "" until it is known.
    path: str = ""
    #: Units that are here, verified.
    have: int = 0
    wanted: int = 0
    download: Download | None = None
    #: While the info dictionary is asked for.
    quest: InfoQuest | None = None
    slots: Slots = attrs.field(init=False)
    serving: Serving = attrs.field(init=False)
    firsts: Firsts = attrs.field(init=False)
    #: By peer.
    channels: dict[bytes, Channel] = attrs.Factory(dict)
    banned: dict[bytes, None] = attrs.Factory(dict)
    #: By peer: how many corrupt units it sent, and which; it cannot shake that off by coming back.
    strikes: dict[bytes, tuple[int, int]] = attrs.Factory(dict)
    #: Who sent what was good.
    givers: set[bytes] = attrs.Factory(set)
    #: Bytes of what is wanted, and of that what is here.
    wanted_bytes: int = 0
    done_bytes: int = 0
    uploaded: int = 0
    downloaded: int = 0
    #: Bytes of units that are zeros, and did not have to come.
    zeros: int = 0
    #: Bytes that came and were of no use: twice, corrupt, late.
    wasted: int = 0
    _tell_timer: Timer | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.slots, self.serving, self.firsts = Slots(self), Serving(self), Firsts(self)

    @property
    def now_ns(self) -> int:
        return self.around.loop.now.mono_ns

    @property
    def running(self) -> bool:
        return self.state in (State.FINDING, State.CHECKING, State.DOWNLOADING, State.COMPLETE)

    @property
    def info_bytes(self) -> int:
        return len(self.info.raw) if self.info is not None else 0

    @property
    def all(self) -> int:
        return bits.all_of(self.layout.units) if self.layout is not None else 0

    # --- becoming known ---------------------------------------------------------------------

    def know(self, info: Info) -> None:
        """The info dictionary is there and has the right id. LimitError if the share is too large."""
        layout = layout_of(info)
        self.info, self.layout, self.layers = info, layout, Layers(info, layout.unit_bytes)

    def start(self, path: str, held: int, wanted: int) -> None:
        """The disk is ready: tell everybody what is here."""
        self.path, self.have, self.wanted = path, held, wanted
        if self.layout is not None:  # counted once: there may be 100,000 files
            self.wanted_bytes, self.done_bytes = self.layout.bytes_of(wanted), self.layout.bytes_of(wanted & held)
        self.state = State.DOWNLOADING if wanted & ~held else State.COMPLETE
        for channel in tuple(self.channels.values()):
            early, channel.early = channel.early, []
            try:
                for first, part in early:
                    self.on_held(channel, part, first)
            except BadMessage as error:
                self.drop(channel, error.reason)
                continue
            self._say_held(channel)

    def held_to_tell(self) -> wire.Held:
        if self.layout is None or self.state in (State.FINDING, State.CHECKING):
            return None
        if self.have == self.all:
            return True
        field = bits.to_bitfield(self.have, self.layout.units)
        return field if self.have and len(field) <= MAX_HOLD_BYTES else False

    def told_held(self, channel: Channel, held: wire.Held) -> None:
        channel.said = self.have if held else 0
        channel.said_any = held is not None
        channel.said_once = held is not None and channel.told

    def _say_held(self, channel: Channel) -> None:
        """All of it, once the peer knows how many units there are."""
        if self.layout is None or not channel.agreed or channel.session.over:
            return
        number, size = channel.number, self.info_bytes
        if self.have == self.all or not self.have:
            channel.session.say(Hold(number, size, self.have == self.all, 0))
        else:
            field = bits.to_bitfield(self.have, self.layout.units)
            for at in range(0, len(field), MAX_HOLD_BYTES):
                channel.session.say(Hold(number, size, field[at : at + MAX_HOLD_BYTES], at * 8))
        channel.said, channel.said_any, channel.said_once = self.have, True, channel.told

    # --- peers ------------------------------------------------------------------------------

    def takes(self, peer: bytes) -> bool:
        banned = peer in self.banned or self.around.bans.holds(peer)
        return self.running and not banned and len(self.channels) < MAX_SOURCES

    def join(self, channel: Channel) -> None:
        before = self.channels.get(channel.peer)
        if before is not None:
            before.session.close_share(before)
        self.channels[channel.peer] = channel
        if self.quest is not None:
            self.quest.on_news()
        channel.corrupt, channel.unfit = self.strikes.get(channel.peer, (0, 0))
        if self.download is not None:
            self.download.joined(channel)

    def leave(self, channel: Channel) -> None:
        if self.channels.get(channel.peer) is not channel:
            return
        del self.channels[channel.peer]
        self.firsts.left(channel)
        if self.download is not None:
            self.download.left(channel)
        if self.quest is not None:
            self.quest.on_news()
        self.on_left(channel.peer, "")

    def on_refused(self, peer: bytes, reason: str) -> None:
        self.on_left(peer, reason)

    def drop(self, channel: Channel, reason: str) -> None:
        """Deal no more with this peer for this share."""
        self.banned.pop(channel.peer, None)
        self.banned[channel.peer] = None
        if len(self.banned) > MAX_BANNED:
            del self.banned[next(iter(self.banned))]
        self.around.emit("peer dropped", share=self.id, peer=channel.peer, reason=reason)
        channel.session.close_share(channel)

    def close_all(self) -> None:
        for channel in tuple(self.channels.values()):
            channel.session.close_share(channel)

    # --- hearing ----------------------------------------------------------------------------

    def on_message(self, channel: Channel, message: Message) -> None:
        """BadMessage for what no correct peer says."""
        match message:
            case Hold(_, info_bytes, held, first):
                channel.info_bytes = channel.info_bytes or info_bytes
                if self.quest is not None:
                    self.quest.on_news()
                self.on_held(channel, held, first)
            case Have(_, units):
                self._on_have(channel, units)
            case Interest(_, interested):
                if channel.interested is not interested:
                    channel.interested = interested
                    self.slots.offer(channel)
            case Request(_, runs):
                self.serving.on_request(channel, runs)
            case Cancel(_, runs):
                for unit in self.serving.known(runs):
                    channel.serving.pop(unit, None)
            case GetInfo(_, index):
                channel.session.say(self.serving.info_part(channel, index))
            case GetHashes():
                channel.session.say(lambda: self.serving.hashes(channel, message))
            case Peers():
                self.on_peers(channel, message)
            case InfoPart():
                if self.quest is not None:
                    self.quest.on_part(channel, message)
            case _:
                if isinstance(message, Choke):
                    if not channel.chokes.take(self.now_ns, 1):
                        raise BadMessage("a flood of chokes")
                    channel.choked = message.choked
                if self.download is not None:
                    self.download.on_message(channel, message)

    def on_held(self, channel: Channel, held: bool | bytes, first: int) -> None:
        if self.layout is None or self.state in (State.FINDING, State.CHECKING):
            if len(channel.early) <= 1:  # two parts have the bits of the largest share
                channel.early.append((first, held))
            channel.told = True
            return
        count = self.layout.units
        if held is True:
            units, channel.whole = self.all, True
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
            if not channel.said_any or channel.said != self.have or count > 8 * MAX_HOLD_BYTES:
                self._say_held(channel)
            channel.said_once = True

    def _on_have(self, channel: Channel, units: tuple[int, ...]) -> None:
        if self.layout is None or not channel.told:
            return
        if max(units) >= self.layout.units:
            raise BadMessage("a unit that the share has not")
        marks = bytearray((max(units) >> 3) + 1)  # not one shift for each: a set of 4,000,000 units has 512 KiB
        for unit in units:
            marks[unit >> 3] |= 1 << (unit & 7)
        told = int.from_bytes(marks, "little")
        if idle := len(units) - (told & ~channel.held).bit_count():
            self._count_idle(channel, idle)
        self._holds(channel, told)

    def _count_idle(self, channel: Channel, n: int) -> None:
        channel.idle_haves += n
        if channel.idle_haves > MAX_IDLE_HAVES:
            raise BadMessage("a flood of HAVE")

    def _holds(self, channel: Channel, units: int) -> None:
        new = units & ~channel.held
        channel.held |= units
        if new:
            self.firsts.holds(channel, new)
        if self.download is not None and new:
            self.download.holds(channel, new)
        if self.state is State.COMPLETE and self.have == self.all == channel.held:  # two seeds have nothing to say
            channel.session.close_share(channel)

    # --- giving ---------------------------------------------------------------------------

    def on_sent(self, channel: Channel, n: int) -> None:
        self.uploaded += n
        self.slots.on_sent(channel)
        channel.up.add(self.now_ns, n)

    def lose(self, units: int) -> None:
        """The disk has them no more. Nobody can be told that; who asks for one hears REJECT."""
        units &= self.have
        if self.layout is not None:
            self.done_bytes -= self.layout.bytes_of(units & self.wanted)
        self.have &= ~units

    # --- telling ----------------------------------------------------------------------------

    def got(self, units: int) -> None:
        """These were verified and written."""
        self.have |= units
        if self._tell_timer is None:
            self._tell_timer = self.around.loop.call_at(self.now_ns + TELL_MS * MS, self._tell)

    def _tell(self) -> None:
        self._tell_timer = None
        late = False
        for channel in tuple(self.channels.values()):
            new = self.have & ~channel.said
            if not channel.told or not new:
                continue
            if channel.session.backlog > MAX_QUEUED_ANSWERS // 2:
                late = True
                continue
            if self.have == self.all:
                self._say_held(channel)
                if channel.held == self.all:
                    channel.session.close_share(channel)
                continue
            units = list(bits.first_from(new & (~channel.held | self._evidence(channel, new)), 0))
            for at in range(0, len(units), MAX_HAVE_UNITS):
                channel.session.say(Have(channel.number, tuple(units[at : at + MAX_HAVE_UNITS])))
            channel.said |= new
        if late:
            self.got(0)

    def _evidence(self, channel: Channel, units: int) -> int:
        """Of these, what a peer who has all hears nevertheless: that somebody passes on what it gave to one alone
        (apps.files.core.firsts). What several have, others have told it of."""
        if not channel.whole or self.download is None:
            return 0
        return self.download.picker.scarce(units)
