"""One share and all its peers: what is here, who may have it, and what the others tell."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from apps.files.core import bits
from apps.files.core.conduct import Conducts
from apps.files.core.download import Download
from apps.files.core.firsts import Firsts
from apps.files.core.hearing import Hearing
from apps.files.core.info import Info
from apps.files.core.info_quest import InfoQuest
from apps.files.core.layers import Layers
from apps.files.core.layout import Layout, layout_of
from apps.files.core.limits import MAX_BANNED
from apps.files.core.places import Places
from apps.files.core.serving import Serving
from apps.files.core.slots import Slots
from apps.files.core.telling import Telling
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
from overlay.runtime.loop import Loop

if TYPE_CHECKING:
    from apps.files.core.bans import Bans
    from apps.files.core.channel import Channel
    from apps.files.core.header import Headers
    from apps.files.core.merkle import Tree


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
    places: Places = attrs.field(init=False)
    hearing: Hearing = attrs.field(init=False)
    telling: Telling = attrs.field(init=False)
    conducts: Conducts = attrs.field(init=False)
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

    def __attrs_post_init__(self) -> None:
        self.slots, self.serving, self.firsts = Slots(self), Serving(self), Firsts(self)
        self.places, self.hearing, self.telling = Places(self), Hearing(self), Telling(self)
        self.conducts = Conducts(self)

    @property
    def now_ns(self) -> int:
        return self.around.loop.now.mono_ns

    @property
    def running(self) -> bool:
        return self.state in (State.FINDING, State.CHECKING, State.DOWNLOADING, State.COMPLETE)

    @property
    def looked(self) -> bool:
        """It is known what a unit is, and which are here."""
        return self.layout is not None and self.state not in (State.FINDING, State.CHECKING)

    @property
    def needy(self) -> bool:
        return self.state in (State.FINDING, State.DOWNLOADING)

    @property
    def whole(self) -> bool:
        return self.state is State.COMPLETE and self.have == self.all

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
        self.hearing.known()

    def keep_tree(self, file: int, tree: Tree) -> None:
        """Its root was checked. Others go if there are too many, but those that check what is on its way."""
        if self.layers is not None:
            self.layers.keep(file, tree)
            download = self.download
            self.layers.trim(lambda other: other == file or (download is not None and download.awaits(other)))

    # --- peers ------------------------------------------------------------------------------

    def takes(self, peer: bytes, *, ours: bool) -> bool:
        """`ours`: this side asks."""
        banned = peer in self.banned or self.around.bans.holds(peer)
        return self.running and not banned and self.places.room(peer, ours=ours)

    def join(self, channel: Channel) -> None:
        """It `takes` the peer."""
        before = self.channels.get(channel.peer)
        if before is not None:
            before.session.close_share(before)
        self.places.make_room(channel)
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
        self.hearing.forget(channel)
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
                self.hearing.on_held(channel, held, first)
            case Have(_, units):
                self.hearing.on_have(channel, units)
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
                    if not channel.conduct.chokes.take(self.now_ns, 1):
                        raise BadMessage("a flood of chokes")
                    channel.choked = message.choked
                if self.download is not None:
                    self.download.on_message(channel, message)

    # --- giving ---------------------------------------------------------------------------

    def on_sent(self, channel: Channel, n: int) -> None:
        self.uploaded += n
        self.slots.on_sent(channel)
        channel.up.add(self.now_ns, n)
        channel.sent_ns = self.now_ns

    def lose(self, units: int) -> None:
        """The disk has them no more. Nobody can be told that; who asks for one hears REJECT."""
        units &= self.have
        if self.layout is not None:
            self.done_bytes -= self.layout.bytes_of(units & self.wanted)
        self.have &= ~units

    def got(self, units: int) -> None:
        """These were verified and written."""
        self.have |= units
        self.telling.soon()
