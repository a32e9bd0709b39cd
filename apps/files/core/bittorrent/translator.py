"""One connection with a client of BitTorrent, seen as a stream of "/files/1" on which one share is open.

The session (apps.files.core.session) says and hears messages of apps.files.core.wire; the client says and hears
BitTorrent. Nothing is decided here: who is served, what is asked of whom, what is right and who is to blame are the
affair of those who decide it for every other peer.

    client                              session
    handshake                           Open, Opened
    bitfield, have all, have none       Hold
    have                                Have: a piece is all of its units
    interested, choke                   Interest, Choke
    request of blocks                   Request of their unit, once
    blocks                              Piece, once all of a unit are there
    cancel, reject                      Cancel, Reject
    ut_metadata                         GetInfo, InfoPart
    hash request, hashes, hash reject   GetHashes, Hashes
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from apps.files.core import codec, wire
from apps.files.core.bittorrent import extension
from apps.files.core.bittorrent.giving import Giving
from apps.files.core.bittorrent.grain import Grain
from apps.files.core.bittorrent.handshake import Handshake
from apps.files.core.bittorrent.hash_ranges import HashRanges
from apps.files.core.bittorrent.holdings import Holdings, Pool
from apps.files.core.bittorrent.messages import (
    Block,
    BlockCancel,
    BlockData,
    BlockReject,
    BlockRequest,
    Choking,
    Extended,
    HashAnswer,
    HashReject,
    HashRequest,
    HavePiece,
    Holds,
    Interested,
    Message,
    encode,
)
from apps.files.core.bittorrent.metadata import Metadata
from apps.files.core.bittorrent.pipes import Inbox, Outbox
from apps.files.core.bittorrent.taking import Taking
from apps.files.core.share import Share
from overlay.errors import BadMessage
from overlay.runtime.address import Address
from overlay.runtime.loop import Future

#: The one channel of such a stream, opened by whoever opened the connection.
_CHANNEL = 0


@attrs.define(slots=True, eq=False)
class Translator:
    """A `MessageStream`. `peer`: an id made up for this client and this share; nobody has the key to it."""

    peer: bytes
    address: Address
    incoming: bool
    share: Share
    theirs: Handshake
    #: The client knows the share by its SHA-1 id, and no trees.
    by_v1: bool
    inbox: Inbox
    outbox: Outbox
    #: Counts bytes of pads for the limit of upload.
    pay: Callable[[int], object]
    pool: Pool
    #: What the client did that no correct one does; "" as long as there is nothing.
    fault: str = attrs.field(default="", init=False)
    #: Whether this side wants something of the client, and it something here.
    wanting: bool = attrs.field(default=False, init=False)
    wanted: bool = attrs.field(default=False, init=False)
    _metadata: Metadata = attrs.field(init=False)
    _holdings: Holdings = attrs.field(init=False)
    _ranges: HashRanges = attrs.field(init=False)
    #: From here on once the layout of the share is known.
    _grain: Grain | None = attrs.field(default=None, init=False)
    _giving: Giving | None = attrs.field(default=None, init=False)
    _taking: Taking | None = attrs.field(default=None, init=False)
    _choking: bool = attrs.field(default=True, init=False)
    #: The session knows the channel: from here on it hears what the client says.
    opened: Future[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._metadata = Metadata(_CHANNEL, self._tell, self._hear)
        self._holdings = Holdings(_CHANNEL, self.theirs.fast, self._tell, self._hear, self.pool)
        self._ranges = HashRanges(_CHANNEL, not self.by_v1, self._tell, self._hear)
        self.opened = self.inbox.loop.future()
        if self.incoming:
            self.opened.set()
            self._hear(wire.Open(_CHANNEL, self.share.id, 0, None))

    # --- for the session --------------------------------------------------------------------

    async def receive(self) -> bytes:
        """StreamEnded."""
        return await self.inbox.take()

    async def send(self, message: bytes) -> None:
        """Returns once there is room for more. StreamEnded."""
        said = codec.decode(message)
        if said is not None:
            try:
                self._say(said)
            except BadMessage as error:  # what it said long ago fits not the share
                self.blame(error.reason)
        await self.outbox.room()

    async def drain(self, most: int) -> None:
        """Returns once there is room; how much waits is bounded by the outbox. StreamEnded."""
        await self.outbox.room()

    def close(self, reason: str = "") -> None:
        self.outbox.close()
        self.inbox.close()
        self._holdings.forget()

    def blame(self, fault: str) -> None:
        self.fault = self.fault or fault
        self.close()

    # --- what the session says --------------------------------------------------------------

    def _say(self, message: wire.Message) -> None:
        match message:
            case wire.Open(_, _, info_bytes, held):
                self.opened.set()
                self._hear(wire.Opened(_CHANNEL, 0, None))
                self._greet(info_bytes, held)
            case wire.Opened(_, info_bytes, held):
                self._greet(info_bytes, held)
            case wire.Refused() | wire.CloseShare():
                self.close()
            case wire.Hold(_, info_bytes, held, first):
                self._introduce(info_bytes)
                self._holdings.on_hold(self._know(), held, first)
            case wire.Have(_, units):
                self._holdings.on_have(units)
            case wire.Interest(_, interested):
                self.wanting = interested
                self._tell(Interested(interested))
            case wire.Choke(_, choked):
                self._on_choke(choked)
            case wire.GetInfo(_, index):
                self._metadata.want(index)
            case wire.InfoPart(_, index, part):
                self._metadata.give(index, part)
            case wire.GetHashes():
                self._ranges.want(message)
            case wire.Hashes():
                self._ranges.give(message)
            case _:
                self._say_of_units(message)

    def _say_of_units(self, message: wire.Message) -> None:
        if self._giving is None or self._taking is None:
            return
        match message:
            case wire.Piece(_, unit, _, data):
                parts, again = self._giving.came(unit, memoryview(data))
                if parts:
                    self.outbox.put(b"".join(parts))  # all blocks of a unit are one part of what is sent
                if again:
                    self._hear(wire.Request(_CHANNEL, ((unit, 1),)))
            case wire.Reject(_, runs):
                for unit in wire.units_in(runs):
                    self._refuse(self._giving.refuse(unit))
            case wire.Request(_, runs):
                self._taking.want(wire.units_in(runs))
                self._ask(self._taking)
            case wire.Cancel(_, runs):
                self._cancel(self._taking.cancel(wire.units_in(runs)))
                self._ask(self._taking)

    def _greet(self, info_bytes: int, held: wire.Held) -> None:
        """The first words: what is here, then what this side can do."""
        if held is None:
            self._holdings.unknown()
        else:
            self._holdings.on_hold(self._know(), held, 0)
        if self.theirs.extended and not info_bytes:
            self._tell(Extended(0, extension.encode_handshake(0)))
        self._introduce(info_bytes)

    def _introduce(self, info_bytes: int) -> None:
        """That the info dictionary is here; a handshake of BEP 10 may be said again."""
        if info_bytes and not self._metadata.size:
            self._metadata.size = info_bytes
            if self.theirs.extended:
                self._tell(Extended(0, extension.encode_handshake(info_bytes)))

    def _know(self) -> Grain:
        if self._grain is None:
            assert self.share.layout is not None
            self._grain = Grain(self.share.layout)
            self._giving = Giving(self._grain, self._pay)
            self._taking = Taking(self._grain, self._metadata.theirs.reqq)
        return self._grain

    def _on_choke(self, choked: bool) -> None:
        self._choking = choked
        self._tell(Choking(choked))
        if choked and self._giving is not None:
            self._refuse(self._giving.stop())

    def _refuse(self, blocks: Iterable[Block]) -> None:
        """With BEP 6 every request is answered; without it silence is an answer."""
        if self.theirs.fast:
            for block in blocks:
                self._tell(BlockReject(block))

    def _pay(self, n: int) -> None:
        """Zeros that no unit has and that are given nevertheless."""
        self.pay(n)
        channel = self.share.channels.get(self.peer)
        if channel is not None:
            channel.sent += n
            self.share.on_sent(channel, n)

    def _cancel(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            self._tell(BlockCancel(block))

    def _ask(self, taking: Taking) -> None:
        for block in taking.next_blocks():
            self._tell(BlockRequest(block))

    # --- what the client says ---------------------------------------------------------------

    def on_message(self, message: Message) -> None:
        """BadMessage; LimitError if there is no room for what is no fault."""
        match message:
            case BlockRequest(block):
                self._on_request(block)
            case BlockData() | BlockReject() | BlockCancel():
                self._on_block(message)
            case Choking(choked):
                if choked and self._taking is not None:
                    self._taking.stop()
                self._hear(wire.Choke(_CHANNEL, choked))
            case Interested(interested):
                self.wanted = interested
                self._hear(wire.Interest(_CHANNEL, interested))
            case Holds(pieces):
                self._holdings.on_pieces(pieces)
            case HavePiece(piece):
                self._holdings.on_piece(piece)
            case Extended(0, body):
                self._on_introduced(extension.decode_handshake(body))
            case Extended(extension.UT_METADATA, body):
                self._metadata.on_message(body)
            case HashRequest() | HashAnswer() | HashReject():
                self._ranges.on_message(message)

    def _on_introduced(self, theirs: extension.ExtendedHandshake) -> None:
        self._metadata.theirs = theirs
        if self._taking is not None:
            self._taking.window = theirs.reqq
        if theirs.ut_metadata:
            self._holdings.on_info_bytes(theirs.metadata_size)

    def _on_request(self, block: Block) -> None:
        if self._giving is None or self._choking:
            return self._refuse([block])
        answer = self._giving.ask(block)
        if answer is None:
            self._refuse([block])
        elif isinstance(answer, tuple):
            self.outbox.put(*answer)
        elif answer >= 0:
            self._hear(wire.Request(_CHANNEL, ((answer, 1),)))
        return None

    def _on_block(self, message: BlockData | BlockReject | BlockCancel) -> None:
        if self._giving is None or self._taking is None:
            return
        match message:
            case BlockData():
                whole = self._taking.came(message)
                if whole is not None:
                    unit, data = whole
                    self._hear(wire.Piece(_CHANNEL, unit, 0, memoryview(data)))
                self._ask(self._taking)
            case BlockReject(block):
                refused = self._taking.refused(block)
                if refused is not None:
                    unit, others = refused
                    self._cancel(others)
                    self._hear(wire.Reject(_CHANNEL, ((unit, 1),)))
                self._ask(self._taking)
            case BlockCancel(block):
                free = self._giving.cancel(block)
                if free is not None:
                    self._refuse([block])
                    if free >= 0:
                        self._hear(wire.Cancel(_CHANNEL, ((free, 1),)))

    # --- both -------------------------------------------------------------------------------

    def _tell(self, message: Message) -> None:
        self.outbox.put(encode(message))

    def _hear(self, message: wire.Message) -> None:
        self.inbox.put(codec.encode(message))
