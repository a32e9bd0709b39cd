"""Messages of a connection behind the handshake: a length of four bytes, a byte of kind, the rest (BEP 3, 6, 10, 52).

Everything read is a stranger's. The length is looked at before anything is kept: each kind has its own bound.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import attrs

from apps.files.core.bittorrent.limits import MAX_BITFIELD_BYTES, MAX_BLOCK_BYTES, METADATA_PART_BYTES
from apps.files.core.limits import MAX_BENCODE_BYTES, MAX_HASHES_ASKED
from overlay.errors import BadMessage

#: Held by a peer: all pieces, none, or those of a bit field.
Pieces = bool | bytes


@attrs.frozen(slots=True)
class Choking:
    choked: bool


@attrs.frozen(slots=True)
class Interested:
    interested: bool


@attrs.frozen(slots=True)
class HavePiece:
    piece: int


@attrs.frozen(slots=True)
class Holds:
    """bitfield, have all, have none."""

    pieces: Pieces = attrs.field(repr=False)


class Block(NamedTuple):
    """Where a block is. Nothing here says that there is such a piece. There are 65,536 in a GiB."""

    piece: int
    begin: int
    length: int


@attrs.frozen(slots=True)
class BlockRequest:
    block: Block


@attrs.frozen(slots=True)
class BlockCancel:
    block: Block


@attrs.frozen(slots=True)
class BlockReject:
    block: Block


@attrs.frozen(slots=True)
class BlockData:
    piece: int
    begin: int
    data: memoryview = attrs.field(repr=False)


@attrs.frozen(slots=True)
class Extended:
    """BEP 10: `number` 0 is its handshake, others are what the receiver said there."""

    number: int
    body: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class HashRange:
    """Nodes of a tree (BEP 52): what apps.files.core.wire.GetHashes names."""

    root: bytes
    base: int
    index: int
    count: int
    proofs: int


@attrs.frozen(slots=True)
class HashRequest:
    range: HashRange


@attrs.frozen(slots=True)
class HashAnswer:
    range: HashRange
    hashes: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class HashReject:
    range: HashRange


Message = (
    Choking | Interested | HavePiece | Holds | BlockRequest | BlockCancel | BlockReject | BlockData | Extended
    | HashRequest | HashAnswer | HashReject
)  # fmt: skip

(_CHOKE, _UNCHOKE, _INTERESTED, _NOT_INTERESTED, _HAVE, _BITFIELD, _REQUEST, _PIECE, _CANCEL) = range(9)
_HAVE_ALL, _HAVE_NONE, _REJECT, _EXTENDED, _HASH_REQUEST, _HASHES, _HASH_REJECT = 14, 15, 16, 20, 21, 22, 23

_length = struct.Struct(">I")
_head = struct.Struct(">IB")
_piece = struct.Struct(">I")
_block = struct.Struct(">III")
_block_head = struct.Struct(">IBII")
_place = struct.Struct(">II")
_range = struct.Struct(">32s4I")

KEEP_ALIVE: Final = bytes(4)
#: Bytes of a message without its length: (least, most) of each kind that is read.
_BOUNDS: Final = {
    **dict.fromkeys((_CHOKE, _UNCHOKE, _INTERESTED, _NOT_INTERESTED, _HAVE_ALL, _HAVE_NONE), (1, 1)),
    **dict.fromkeys((_REQUEST, _CANCEL, _REJECT), (1 + _block.size, 1 + _block.size)),
    _HAVE: (1 + _piece.size, 1 + _piece.size),
    _BITFIELD: (1, 1 + MAX_BITFIELD_BYTES),
    _PIECE: (1 + _place.size + 1, 1 + _place.size + MAX_BLOCK_BYTES),
    _EXTENDED: (2, 2 + MAX_BENCODE_BYTES + METADATA_PART_BYTES),
    _HASH_REQUEST: (1 + _range.size, 1 + _range.size),
    _HASHES: (1 + _range.size, 1 + _range.size + 32 * (MAX_HASHES_ASKED + 64)),
    _HASH_REJECT: (1 + _range.size, 1 + _range.size),
}
#: Of other kinds: port of a DHT (BEP 5), suggest and allowed fast (BEP 6), and what is not invented yet.
_MOST_UNKNOWN: Final = 1024


# --- encoding ------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    match message:
        case Choking(choked):
            return _head.pack(1, _CHOKE if choked else _UNCHOKE)
        case Interested(interested):
            return _head.pack(1, _INTERESTED if interested else _NOT_INTERESTED)
        case HavePiece(piece):
            return _head.pack(5, _HAVE) + _piece.pack(piece)
        case Holds(bytes(field)):
            return _head.pack(1 + len(field), _BITFIELD) + field
        case Holds(every):
            return _head.pack(1, _HAVE_ALL if every else _HAVE_NONE)
        case BlockRequest(block):
            return _encode_block(_REQUEST, block)
        case BlockCancel(block):
            return _encode_block(_CANCEL, block)
        case BlockReject(block):
            return _encode_block(_REJECT, block)
        case BlockData(piece, begin, data):
            return block_head(piece, begin, len(data)) + data
        case Extended(number, body):
            return _head.pack(2 + len(body), _EXTENDED) + bytes((number,)) + body
        case HashRequest(asked):
            return _encode_range(_HASH_REQUEST, asked)
        case HashAnswer(asked, hashes):
            return _encode_range(_HASHES, asked, hashes)
        case HashReject(asked):
            return _encode_range(_HASH_REJECT, asked)


def block_head(piece: int, begin: int, length: int) -> bytes:
    """What stands before the `length` bytes of a block."""
    return _block_head.pack(1 + _place.size + length, _PIECE, piece, begin)


def _encode_block(kind: int, block: Block) -> bytes:
    return _head.pack(1 + _block.size, kind) + _block.pack(block.piece, block.begin, block.length)


def _encode_range(kind: int, asked: HashRange, hashes: bytes = b"") -> bytes:
    packed = _range.pack(asked.root, asked.base, asked.index, asked.count, asked.proofs)
    return _head.pack(1 + len(packed) + len(hashes), kind) + packed + hashes


# --- decoding ------------------------------------------------------------------------------


def decode_message(body: memoryview) -> Message | None:
    """A message without its length; None for a kind that is not known here. BadMessage. Data of a block is a view."""
    kind = body[0]
    _check_length(kind, len(body))
    decoder = _DECODERS.get(kind)
    message: Message | None = None if decoder is None else decoder(body[1:])
    return message


def _check_length(kind: int, length: int) -> None:
    least, most = _BOUNDS.get(kind, (1, _MOST_UNKNOWN))
    if not least <= length <= most:
        raise BadMessage(f"a message of kind {kind} with {length} bytes")


def _decode_block(body: memoryview) -> Block:
    return Block(*_block.unpack(body))


def _decode_range(body: memoryview) -> HashRange:
    return HashRange(*_range.unpack_from(body))


def _decode_data(body: memoryview) -> BlockData:
    piece, begin = _place.unpack_from(body)
    return BlockData(piece, begin, body[_place.size :])


_DECODERS: Final[dict[int, Callable[[memoryview], Any]]] = {
    _CHOKE: lambda body: Choking(True),
    _UNCHOKE: lambda body: Choking(False),
    _INTERESTED: lambda body: Interested(True),
    _NOT_INTERESTED: lambda body: Interested(False),
    _HAVE: lambda body: HavePiece(*_piece.unpack(body)),
    _BITFIELD: lambda body: Holds(bytes(body)),
    _HAVE_ALL: lambda body: Holds(True),
    _HAVE_NONE: lambda body: Holds(False),
    _REQUEST: lambda body: BlockRequest(_decode_block(body)),
    _CANCEL: lambda body: BlockCancel(_decode_block(body)),
    _REJECT: lambda body: BlockReject(_decode_block(body)),
    _PIECE: _decode_data,
    _EXTENDED: lambda body: Extended(body[0], bytes(body[1:])),
    _HASH_REQUEST: lambda body: HashRequest(_decode_range(body)),
    _HASHES: lambda body: HashAnswer(_decode_range(body), bytes(body[_range.size :])),
    _HASH_REJECT: lambda body: HashReject(_decode_range(body)),
}


@attrs.define(slots=True, eq=False)
class MessageReader:
    """Cuts what comes into messages, wherever it was cut on its way. Keeps less than one message."""

    _rest: bytearray = attrs.Factory(bytearray)
    #: Bytes until something can be said of what is kept.
    _needed: int = 0

    def read(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now, keep-alives and unknown kinds left out. BadMessage."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:  # looked at only once there is enough: a dribble costs no more
                return
            view = memoryview(self._rest)
        else:
            view = memoryview(data)
        at, end = 0, len(view)
        while True:
            length = _length.unpack_from(view, at)[0] if end - at >= _length.size else -1
            body = at + _length.size
            if length > 0 and end > body:
                _check_length(view[body], length)
            if length < 0 or end < body + length:
                # The kind stands behind the length, and says whether so much may come.
                self._needed = _length.size + (length if length > 0 and end > body else 1)
                break
            if length and (message := decode_message(view[body : body + length])) is not None:
                yield message
            at = body + length
        self._rest = bytearray(view[at:])
