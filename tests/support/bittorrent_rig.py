"""A client of BitTorrent in virtual time at the gateway of a node: it says what a test wants and notes what it hears.

It is on its own beside the codec: its rules are those of the BEPs, so that a translator which is wrong the same way
both times is noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from apps.files.core.bittorrent import extension
from apps.files.core.bittorrent.connection import ByteStream
from apps.files.core.bittorrent.extension import PartData, PartRequest
from apps.files.core.bittorrent.gateway import Gateway
from apps.files.core.bittorrent.handshake import HANDSHAKE_BYTES, Handshake, decode_handshake, encode_handshake
from apps.files.core.bittorrent.limits import BLOCK_BYTES, METADATA_PART_BYTES
from apps.files.core.bittorrent.messages import (
    Block,
    BlockData,
    BlockRequest,
    Extended,
    HashAnswer,
    HashReject,
    HashRequest,
    Message,
    MessageReader,
    encode,
)
from apps.files.core.info import make_info
from apps.files.core.layers import Layers
from apps.files.core.limits import BURST_BYTES
from apps.files.core.memory_disk import Made
from apps.files.core.merkle import answer_hashes
from apps.files.core.rates import Bucket
from overlay.errors import OverlayError, Refused
from overlay.runtime.address import Address, parse_address
from overlay.runtime.loop import Future, Loop
from overlay.streams import End, StreamEnded
from tests.support.files_rig import Node

HOME = parse_address("10.0.0.9:6881")
PEER_ID = b"-XX0001-abcdefghijkl"


@attrs.define(eq=False)
class Bytes:
    """This node's end of a connection: what is fed is read, what is sent goes to `on_sent`, unless nobody reads."""

    loop: Loop
    address: Address
    incoming: bool
    on_sent: Callable[[bytes], object]
    #: Bytes that the other side takes; the rest waits.
    room: int = 1 << 60
    over: bool = False
    _inbox: bytearray = attrs.Factory(bytearray)
    _news: Future[None] | None = None

    async def read(self, count: int) -> bytes:
        return await self._take(count, count)

    async def read_some(self, most: int) -> bytes:
        return await self._take(1, most)

    async def send(self, data: bytes) -> None:
        while len(data) > self.room and not self.over:
            await self._wait()
        if self.over:
            raise StreamEnded("over", end=End.DONE, here=False)
        self.room -= len(data)
        self.on_sent(bytes(data))

    def close(self, reason: str = "") -> None:
        self.over = True
        self._wake()

    def feed(self, data: bytes) -> None:
        self._inbox += data
        self._wake()

    @property
    def unread(self) -> int:
        return len(self._inbox)

    def more_room(self, count: int) -> None:
        self.room += count
        self._wake()

    async def _take(self, least: int, most: int) -> bytes:
        while len(self._inbox) < least:
            if self.over:
                raise StreamEnded("over", end=End.DONE, here=False)
            await self._wait()
        data = bytes(self._inbox[:most])
        del self._inbox[:most]
        return data

    async def _wait(self) -> None:
        if self._news is None or self._news.done:
            self._news = self.loop.future()
        await self._news

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()


def hybrid_of(made: Made) -> Made:
    """The same files for clients of v1, too; the SHA-1 hashes are none."""
    info = made.info
    pieces = bytes(20 * made.layout.pieces)
    twin = make_info(info.name, info.files, piece_length=info.piece_length, v1_pieces=pieces)
    return attrs.evolve(made, info=twin)


def gateway_of(
    node: Node, dial: Callable[[Address], ByteStream] | None = None, *, network: bytes = b"a network"
) -> Gateway:
    async def connect(address: Address) -> ByteStream:
        if dial is None:
            raise Refused("nobody is there")
        return dial(address)

    def shares() -> list[Any]:
        return [node.share] if node.share.running else []

    return Gateway(node.around, connect, shares, Bucket(None, BURST_BYTES, 0), network)


class Client:
    """It came to the gateway of a node. `given`: which hash, what it can do."""

    def __init__(
        self, node: Node, gateway: Gateway, *, address: Address = HOME, helpful: bool = True, greets: bool = True,
        incoming: bool = True, **given: Any,
    ) -> None:  # fmt: skip
        self.node, self.made, self.helpful, self.gateway = node, node.made, helpful, gateway
        self.handshake = Handshake(**({"share": node.made.info.id[:20], "peer_id": PEER_ID} | given))
        self.heard: list[Message] = []
        self.answer: Handshake | None = None
        #: Blocks asked of it and not cancelled.
        self.asked: dict[Block, None] = {}
        self.data: dict[tuple[int, int], bytes] = {}
        self._reader, self._first = MessageReader(), b""
        self.layers = Layers(self.made.info, self.made.layout.unit_bytes)
        self.end = Bytes(node.loop, address, incoming, self._on_sent)
        self.failure: Exception | None = None
        if incoming:
            node.loop.spawn_root(self._attend(gateway), name="gateway")
            if greets:
                self.feed(encode_handshake(self.handshake))
            node.loop.drain()

    async def _attend(self, gateway: Gateway) -> None:
        try:
            await gateway.on_stream(self.end)
        except OverlayError as error:
            self.failure = error
        self.end.close()

    @property
    def gone(self) -> bool:
        return self.end.over

    def feed(self, data: bytes) -> None:
        self.end.feed(data)
        self.node.loop.drain()

    def say(self, *messages: Message) -> None:
        self.feed(b"".join(map(encode, messages)))

    def heard_of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def introduce(self, metadata_size: int = 0) -> None:
        said = b"d1:md11:ut_metadatai7ee"
        self.say(Extended(0, said + (b"13:metadata_sizei%de" % metadata_size if metadata_size else b"") + b"e"))

    def ask(self, piece: int, begin: int, length: int) -> None:
        self.say(BlockRequest(Block(piece, begin, length)))

    def right(self, block: Block, *, padded: bool = False) -> bytes:
        """What a block holds, behind the file zeros."""
        units = self.made.layout.units_of_piece(block.piece)
        place = self.made.layout.unit(units[0])
        length = self.made.info.files[place.file].length
        start = place.offset + block.begin
        data = self.made.read(place.file, start, max(min(block.length, length - start), 0))
        return data + bytes(block.length - len(data)) if padded else data

    def give(self, block: Block, *, data: bytes | None = None) -> None:
        self.asked.pop(block, None)
        good = self.right(block) if data is None else data
        self.say(BlockData(block.piece, block.begin, memoryview(good)))

    def give_all(self) -> None:
        while self.asked and not self.gone:
            self.give(next(iter(self.asked)))

    def _on_sent(self, data: bytes) -> None:
        if self.answer is None:
            self._first += data
            if len(self._first) < HANDSHAKE_BYTES:
                return
            self.answer = decode_handshake(self._first[:HANDSHAKE_BYTES])
            data = self._first[HANDSHAKE_BYTES:]
            if not self.end.incoming:
                self.end.feed(encode_handshake(self.handshake))
        for message in self._reader.read(data):
            self._hear(message)

    def _hear(self, message: Message) -> None:
        if isinstance(message, BlockData):
            message = BlockData(message.piece, message.begin, memoryview(bytes(message.data)))
            self.data[message.piece, message.begin] = bytes(message.data)
        self.heard.append(message)
        match message:
            case BlockRequest(block):
                self.asked[block] = None
            case HashRequest(asked) if self.helpful:
                self.end.feed(encode(self._hashes(asked)))
            case Extended(7, body) if self.helpful:
                match extension.decode_metadata(body):
                    case PartRequest(part):
                        raw = self.made.info.raw
                        piece = raw[part * METADATA_PART_BYTES : (part + 1) * METADATA_PART_BYTES]
                        answer = extension.encode_metadata(PartData(part, len(raw), piece))
                        self.end.feed(encode(Extended(extension.UT_METADATA, answer)))

    def _hashes(self, asked: Any) -> Message:
        for file, tree in zip(self.made.info.files, self.made.trees, strict=True):
            if file.root == asked.root and tree is not None:
                hashes = answer_hashes(tree, asked.base, asked.index, asked.count, asked.proofs)
                return HashReject(asked) if hashes is None else HashAnswer(asked, hashes)
        return HashReject(asked)

    def blocks_of_all(self) -> list[Block]:
        layout = self.made.layout
        blocks = []
        for piece in range(layout.pieces):
            length = layout.bytes_of(sum(1 << unit for unit in layout.units_of_piece(piece)))
            blocks += [Block(piece, at, min(BLOCK_BYTES, length - at)) for at in range(0, length, BLOCK_BYTES)]
        return blocks


class Dialled:
    """A gateway whose node dials clients: each address is one of these."""

    def __init__(self, node: Node, **given: Any) -> None:
        self.node, self.given = node, given
        self.clients: list[Client] = []
        self.failures: list[OverlayError] = []
        self.gateway = gateway_of(node, self._dial)

    def reach(self, address: Address = HOME) -> Client:
        """The client that the node has dialled there, to exchange its share."""

        async def go() -> None:
            try:
                session = await self.gateway.reach(self.node.share, address)
                session.open_share(self.node.share)
            except OverlayError as error:
                self.failures.append(error)

        self.node.loop.spawn_root(go(), name="reach")
        self.node.loop.drain()
        self.node.pass_time(0.1)
        return self.clients[-1]

    def _dial(self, address: Address) -> ByteStream:
        given = {"peer_id": b"-XX0001-%012d" % len(self.clients)} | self.given
        self.clients.append(Client(self.node, self.gateway, address=address, incoming=False, **given))
        return self.clients[-1].end
