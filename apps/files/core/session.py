"""One stream with one peer: the shares that are open on it, what waits to be said, and units on their way out.

What a peer asks for is answered in order, units by a task of their own; both tasks wait when the stream is full. While
too much waits, the peer is not read. So what a peer can make this node remember is bounded by MAX_QUEUED_ANSWERS and
MAX_ASKED_UNITS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs

from apps.files.core import codec, wire
from apps.files.core.channel import Channel
from apps.files.core.giver import Giver
from apps.files.core.limits import MAX_CHANNEL, MAX_CHANNELS, MAX_QUEUED_ANSWERS
from apps.files.core.places import patience_ns
from apps.files.core.rates import Bucket
from apps.files.core.share import Share
from apps.files.core.wire import CloseShare, Message, Open, Opened, Refused
from overlay.errors import BadMessage, OverlayError
from overlay.runtime.address import Address
from overlay.runtime.loop import Future, Loop


class MessageStream(Protocol):
    """What a session needs of overlay.streams.Stream."""

    peer: bytes
    address: Address
    #: The other side opened it.
    incoming: bool

    async def send(self, message: bytes, /) -> None: ...
    async def drain(self, most: int, /) -> None: ...
    async def receive(self) -> bytes: ...
    def close(self, reason: str = "") -> None: ...


#: A message, or what makes one when its turn comes; None: there is nothing to say.
Answer = Message | Callable[[], Awaitable[Message | None]]


@attrs.define(slots=True, eq=False)
class Session:
    loop: Loop
    stream: MessageStream
    #: The share of this id, if it may be exchanged.
    find: Callable[[bytes], Share | None]
    #: Of all that this node gives.
    uploads: Bucket
    #: What the peer did that no correct one does; the stream then ends.
    blame: Callable[[bytes, str], object]
    #: Units come and go with a header that their sender signed. Peers of BitTorrent have no keys.
    signs: bool = attrs.field(default=True, kw_only=True)
    over: bool = attrs.field(default=False, init=False)
    #: When a unit went either way last, on channels that are closed; when it was opened, before.
    moved_ns: int = attrs.field(init=False)
    _channels: dict[int, Channel] = attrs.field(factory=dict, init=False)
    _by_share: dict[bytes, Channel] = attrs.field(factory=dict, init=False)
    _next: int = attrs.field(init=False)
    _answers: deque[Answer] = attrs.field(factory=deque, init=False)
    _news: Future[None] | None = attrs.field(default=None, init=False)
    _room: Future[None] | None = attrs.field(default=None, init=False)
    _giver: Giver = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.parity
        self.moved_ns = self._now_ns
        self._giver = Giver(self)

    @property
    def peer(self) -> bytes:
        return self.stream.peer

    @property
    def idle_ns(self) -> int:
        """For how long it has been of no use, if it might be of some; 0: it is of use."""
        channels = self.channels()
        quiet_ns = self._now_ns - max(self.moved_ns, *(channel.moved_ns for channel in channels), 0)
        return quiet_ns if quiet_ns >= patience_ns(*channels) else 0

    def channels(self) -> tuple[Channel, ...]:
        return tuple(self._channels.values())

    # --- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until the stream ends, or this side closes it."""
        reason = ""
        try:
            async with self.loop.group(name="session") as group:
                for task, name in ((self._say_all(), "writer"), (self._giver.run(), "giver")):
                    group.spawn(task, name=f"session: {name}").add_callback(group.cancel)
                reason = await self._read()
                group.cancel()
        finally:
            self.over = True
            for channel in self.channels():
                self._drop(channel)
            self.stream.close(reason)

    async def _read(self) -> str:
        while (reason := await self._hear()) is None:
            while len(self._answers) >= MAX_QUEUED_ANSWERS:
                self._room = self.loop.future()
                await self._room
        return reason

    async def _hear(self) -> str | None:
        """One message; why nothing more is heard. What came is not kept while the next one is awaited: of all peers
        together that is 100 MiB."""
        try:
            data = await self.stream.receive()
        except OverlayError:
            return ""
        try:
            message = codec.decode(data)
            if message is not None:
                self._on_message(message)
        except BadMessage as error:
            self.blame(self.peer, error.reason)
            return error.reason
        return None

    def open_share(self, share: Share) -> None:
        """Ask the peer to exchange it, unless that is open."""
        if self._own(share) is not None or self.over or len(self._channels) >= MAX_CHANNELS:
            return
        if self._next > MAX_CHANNEL:
            self.stream.close("all channels are used up")
            return
        channel = Channel(self._next, self, share, self.loop.now.mono_ns)
        self._next += 2
        self._enter(channel)
        held = share.telling.held()
        self.say(Open(channel.number, share.id, share.info_bytes, held))
        share.telling.told(channel, held)

    def _own(self, share: Share) -> Channel | None:
        """Its channel. One of the same share from before it was stopped is closed: nobody waits for its answer."""
        channel = self._by_share.get(share.id)
        if channel is not None and channel.share is not share:
            self.close_share(channel)
            return None
        return channel

    def close_share(self, channel: Channel) -> None:
        if self._drop(channel):
            self.say(CloseShare(channel.number))

    # --- saying -----------------------------------------------------------------------------

    def say(self, answer: Answer) -> None:
        self._answers.append(answer)
        if self._news is not None:
            self._news.set()

    def wake(self) -> None:
        """Something was asked for, or is not any more."""
        self._giver.wake()

    def next_to_give(self) -> Channel | None:
        """One on which something is asked for; then it is another one's turn."""
        channel = next((one for one in self._channels.values() if one.serving), None)
        if channel is not None:
            self._channels[channel.number] = self._channels.pop(channel.number)
        return channel

    @property
    def backlog(self) -> int:
        """Messages that wait."""
        return len(self._answers)

    async def _say_all(self) -> None:
        """All but units. What is asked and told passes them: it must not wait until one of them has left."""
        try:
            while True:
                while not self._answers:
                    self._news = self.loop.future()
                    await self._news
                await self._say(self._answers.popleft())
        except OverlayError:
            return  # the reader sees the end, too

    async def _say(self, answer: Answer) -> None:
        message = await answer() if callable(answer) else answer
        if self._room is not None and len(self._answers) < MAX_QUEUED_ANSWERS // 2:
            self._room.set()
        if message is not None:
            await self.stream.send(codec.encode(message))

    @property
    def _now_ns(self) -> int:
        return self.loop.now.mono_ns

    # --- hearing ----------------------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        match message:
            case Open():
                self._on_open(message)
            case Opened() | Refused():
                channel = self._channels.get(message.channel)
                if channel is None or channel.agreed or message.channel % 2 != self.parity:
                    return  # given up meanwhile
                if isinstance(message, Refused):
                    self._drop(channel)
                    channel.share.on_refused(self.peer, message.reason)
                elif not channel.share.takes(self.peer, ours=True):  # it was stopped meanwhile, or others came
                    self.close_share(channel)
                else:
                    self._agree(channel, message.info_bytes, message.held)
            case CloseShare(number):
                if (channel := self._channels.get(number)) is not None:
                    self._drop(channel)
            case _:
                channel = self._channels.get(message.channel)
                if channel is not None and channel.agreed:
                    channel.share.on_message(channel, message)

    @property
    def parity(self) -> int:
        """Of the numbers of channels that this side opens."""
        return 1 if self.stream.incoming else 0

    def _on_open(self, message: Open) -> None:
        if message.channel % 2 == self.parity or message.channel in self._channels:
            raise BadMessage("a channel that is not the peer's to open")
        share = self.find(message.share)
        own = None if share is None else self._own(share)
        if own is not None and not own.agreed and self.stream.incoming:
            self._drop(own)  # both asked at once: that of who dialled the stream counts
            own = None
        if share is None or own is not None:
            return self.say(Refused(message.channel, wire.NOT_HERE if share is None else "open already"))
        if not share.conducts.of(self.peer).opens.take(self._now_ns, 1):
            return self.say(Refused(message.channel, "too often"))
        if len(self._channels) >= MAX_CHANNELS or not share.takes(self.peer, ours=False):
            return self.say(Refused(message.channel, "no room"))
        channel = Channel(message.channel, self, share, self.loop.now.mono_ns)
        self._enter(channel)
        held = share.telling.held()
        self.say(Opened(message.channel, share.info_bytes, held))
        self._agree(channel, message.info_bytes, message.held)
        share.telling.told(channel, held)
        return None

    def _agree(self, channel: Channel, info_bytes: int, held: wire.Held) -> None:
        channel.agreed = True
        channel.info_bytes = info_bytes
        channel.share.join(channel)
        if held is not None:
            channel.share.hearing.on_held(channel, held, 0)

    def _enter(self, channel: Channel) -> None:
        self._channels[channel.number] = channel
        self._by_share[channel.share.id] = channel

    def _drop(self, channel: Channel) -> bool:
        """False if it was dropped before."""
        if self._channels.pop(channel.number, None) is None:
            return False
        del self._by_share[channel.share.id]
        channel.serving.clear()
        self.moved_ns = max(self.moved_ns, channel.moved_ns)
        if channel.agreed:
            channel.share.leave(channel)
        return True
