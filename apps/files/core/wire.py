"""Messages of "/files/1", one to a message of the stream: a byte of type, then a dCBOR array, or raw bytes in PIECE.

One stream carries all shares of two peers. A share is opened under a channel, which is even if the dialler of the
stream chose it and odd if the other side did; it means the same share both ways. Items beyond those known here are
ignored, and so are types: both are for later versions.

A unit is a number within the share: its files in the order of the info dictionary, each cut into 256 KiB of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from apps.files.core.limits import (
    INFO_PART_BYTES,
    MAX_CHANNEL,
    MAX_CONTROL_ITEMS,
    MAX_CONTROL_MESSAGE,
    MAX_HASHES_ASKED,
    MAX_HAVE_UNITS,
    MAX_HOLD_BYTES,
    MAX_INFO_BYTES,
    MAX_PEERS_TOLD,
    MAX_REASON,
    MAX_RUNS,
    MAX_UNITS,
    UNIT_BYTES,
)
from overlay.errors import BadMessage, LocalError
from overlay.runtime.address import Address, unpack_address
from overlay.wire import cbor

#: Application and version of `ctx.connect` and `ctx.accept`.
PROTOCOL = "1"
ID_BYTES = 32
_PIECE = 32
_piece_head = struct.Struct(">BHII")
PIECE_HEAD_BYTES = _piece_head.size
#: Hashes of a HASHES: those asked for, and two uncles for each level.
_MAX_HASH_BYTES = ID_BYTES * (MAX_HASHES_ASKED + 64)

#: IPv4 and IPv6, with port.
_ADDRESS_BYTES = (6, 18)

#: All units (True), none (False), those whose bits are set, first unit in the highest bit; None: it cannot be said
#: yet, because the info dictionary is not there.
Held = bool | bytes | None
#: (first unit, how many).
Run = tuple[int, int]


@attrs.frozen(slots=True)
class Open:
    """I want to exchange this share with you."""

    channel: int
    share: bytes
    #: Bytes of the info dictionary; 0: I have none yet.
    info_bytes: int
    held: Held


@attrs.frozen(slots=True)
class Opened:
    channel: int
    info_bytes: int
    held: Held


@attrs.frozen(slots=True)
class Refused:
    """In place of Opened."""

    channel: int
    reason: str


@attrs.frozen(slots=True)
class CloseShare:
    """Nothing more of this channel; what was asked for on it will not come."""

    channel: int


@attrs.frozen(slots=True)
class GetInfo:
    """Part `index` of the info dictionary, counted in INFO_PART_BYTES."""

    channel: int
    index: int


@attrs.frozen(slots=True)
class InfoPart:
    channel: int
    index: int
    #: Empty: I cannot give it.
    data: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class GetHashes:
    """As `hash request` of BEP 52, the bounds of `merkle.answer_hashes`."""

    channel: int
    root: bytes
    base: int
    index: int
    count: int
    proofs: int


@attrs.frozen(slots=True)
class Hashes:
    channel: int
    root: bytes
    base: int
    index: int
    count: int
    #: Empty: I cannot give them.
    hashes: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class Hold:
    """What I have, now that my info dictionary is there or yours is; bits begin at unit `first`, a multiple of 8."""

    channel: int
    info_bytes: int
    held: bool | bytes = attrs.field(repr=False)
    first: int


@attrs.frozen(slots=True)
class Have:
    """These units are mine now, too. Only to a peer that told what it holds itself."""

    channel: int
    units: tuple[int, ...]


@attrs.frozen(slots=True)
class Interest:
    """Whether there is something that I would ask you for."""

    channel: int
    interested: bool


@attrs.frozen(slots=True)
class Choke:
    """Whether I answer requests: at first I do not. What was asked before a choke and did not come, will not."""

    channel: int
    choked: bool


@attrs.frozen(slots=True)
class Request:
    channel: int
    runs: tuple[Run, ...]


@attrs.frozen(slots=True)
class Reject:
    """Of a request: these will not come."""

    channel: int
    runs: tuple[Run, ...]


@attrs.frozen(slots=True)
class Cancel:
    """I need these no more; they may come nevertheless."""

    channel: int
    runs: tuple[Run, ...]


@attrs.frozen(slots=True)
class Peers:
    """Others who exchange this share, and where I saw them."""

    channel: int
    peers: tuple[tuple[bytes, Address], ...]


@attrs.frozen(slots=True)
class Piece:
    """A whole unit. `offset` is 0: it is kept for units that come in slices."""

    channel: int
    unit: int
    offset: int
    data: bytes | memoryview = attrs.field(repr=False)


Message = (
    Open | Opened | Refused | CloseShare | GetInfo | InfoPart | GetHashes | Hashes | Hold | Have | Interest | Choke
    | Request | Reject | Cancel | Peers | Piece
)  # fmt: skip


# --- encoding ------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """LocalError for what `decode` of a peer would refuse by its length."""
    if isinstance(message, Piece):
        return b"".join((_piece_head.pack(_PIECE, message.channel, message.unit, message.offset), message.data))
    body: list[Any] = [getattr(message, field.name) for field in attrs.fields(type(message))]
    if isinstance(message, Peers):
        body[1] = [[peer, address.packed] for peer, address in message.peers]
    data = bytes((_TYPES[type(message)],)) + cbor.encode(body)
    if len(data) > MAX_CONTROL_MESSAGE:
        raise LocalError(f"a {type(message).__name__} of {len(data)} bytes, at most {MAX_CONTROL_MESSAGE}")
    return data


def runs_of(units: Iterable[int]) -> tuple[Run, ...]:
    """Units in ascending order as ranges: a folder of small files is asked for in a few messages."""
    runs: list[list[int]] = []
    for unit in sorted(units):
        if runs and unit == runs[-1][0] + runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([unit, 1])
    return tuple((first, count) for first, count in runs)


def units_in(runs: Sequence[Run]) -> Iterable[int]:
    return (unit for first, count in runs for unit in range(first, first + count))


# --- decoding ------------------------------------------------------------------------------


def decode(data: bytes | memoryview) -> Message | None:
    """None for a type that is not known here. BadMessage. The data of a PIECE is a view of `data`."""
    if not data:
        raise BadMessage("an empty message")
    if data[0] == _PIECE:
        return _decode_piece(data)
    decoder = _DECODERS.get(data[0])
    if len(data) > MAX_CONTROL_MESSAGE:
        raise BadMessage(f"a message of {len(data)} bytes, at most {MAX_CONTROL_MESSAGE} but for pieces")
    if decoder is None:
        return None
    body = cbor.decode(bytes(data[1:]), max_items=MAX_CONTROL_ITEMS)
    if type(body) is not list or len(body) < decoder.least:
        raise BadMessage(f"{decoder.kind.__name__} has at least {decoder.least} items")
    message: Message = decoder.kind(*(check(item) for check, item in zip(decoder.checks, body, strict=False)))
    return message


def _decode_piece(data: bytes | memoryview) -> Piece:
    if len(data) <= PIECE_HEAD_BYTES or len(data) > PIECE_HEAD_BYTES + UNIT_BYTES:
        raise BadMessage(f"a piece of {len(data) - PIECE_HEAD_BYTES} bytes")
    _, channel, unit, offset = _piece_head.unpack_from(data)
    return Piece(channel, unit, offset, memoryview(data)[PIECE_HEAD_BYTES:])


def _uint(most: int) -> Callable[[Any], int]:
    def check(item: Any) -> int:
        if type(item) is not int or not 0 <= item <= most:
            raise BadMessage(f"expected a number up to {most}")
        return item

    return check


def _bytes(most: int, *, least: int = 0) -> Callable[[Any], bytes]:
    def check(item: Any) -> bytes:
        if type(item) is not bytes or not least <= len(item) <= most:
            raise BadMessage(f"expected {least} to {most} bytes")
        return item

    return check


def _bool(item: Any) -> bool:
    if type(item) is not bool:
        raise BadMessage("expected true or false")
    return item


def _reason(item: Any) -> str:
    if type(item) is not str or len(item) > MAX_REASON:
        raise BadMessage(f"expected a text of at most {MAX_REASON} characters")
    return item


def _held(item: Any) -> Held:
    return None if item is None else _holdings(item)


def _holdings(item: Any) -> bool | bytes:
    return item if type(item) is bool else _bits(item)


def _list(item: Any, most: int) -> list[Any]:
    if type(item) is not list or not 1 <= len(item) <= most:
        raise BadMessage(f"expected a list of 1 to {most}")
    return item


def _units(item: Any) -> tuple[int, ...]:
    return tuple(map(_unit, _list(item, MAX_HAVE_UNITS)))


def _runs(item: Any) -> tuple[Run, ...]:
    runs = []
    for run in _list(item, MAX_RUNS):
        match run:
            case [int(first), int(count)] if type(first) is int and type(count) is int:
                if first < 0 or count < 1 or first + count > MAX_UNITS:
                    raise BadMessage("a range of units that no share has")
                runs.append((first, count))
            case _:
                raise BadMessage("expected ranges of units")
    return tuple(runs)


def _peers(item: Any) -> tuple[tuple[bytes, Address], ...]:
    peers = []
    for pair in _list(item, MAX_PEERS_TOLD):
        match pair:
            case [bytes(peer), bytes(packed)] if len(peer) == ID_BYTES and len(packed) in _ADDRESS_BYTES:
                peers.append((peer, unpack_address(packed)))
            case _:
                raise BadMessage("expected ids and addresses of peers")
    return tuple(peers)


_channel = _uint(MAX_CHANNEL)
_unit = _uint(MAX_UNITS - 1)
_bits = _bytes(MAX_HOLD_BYTES)
_id = _bytes(ID_BYTES, least=ID_BYTES)
_part = _uint(MAX_INFO_BYTES // INFO_PART_BYTES)
_info_bytes = _uint(MAX_INFO_BYTES)
_height = _uint(64)
_index = _uint(1 << 49)
_count = _uint(MAX_HASHES_ASKED)


@attrs.frozen(slots=True)
class _Decoder:
    kind: type[Any]
    checks: tuple[Callable[[Any], Any], ...]

    @property
    def least(self) -> int:
        return len(self.checks)


_DECODERS: dict[int, _Decoder] = {
    1: _Decoder(Open, (_channel, _id, _info_bytes, _held)),
    2: _Decoder(Opened, (_channel, _info_bytes, _held)),
    3: _Decoder(Refused, (_channel, _reason)),
    4: _Decoder(CloseShare, (_channel,)),
    5: _Decoder(GetInfo, (_channel, _part)),
    6: _Decoder(InfoPart, (_channel, _part, _bytes(INFO_PART_BYTES))),
    7: _Decoder(GetHashes, (_channel, _id, _height, _index, _count, _height)),
    8: _Decoder(Hashes, (_channel, _id, _height, _index, _count, _bytes(_MAX_HASH_BYTES))),
    9: _Decoder(Hold, (_channel, _info_bytes, _holdings, _unit)),
    10: _Decoder(Have, (_channel, _units)),
    11: _Decoder(Interest, (_channel, _bool)),
    12: _Decoder(Choke, (_channel, _bool)),
    13: _Decoder(Request, (_channel, _runs)),
    14: _Decoder(Reject, (_channel, _runs)),
    15: _Decoder(Cancel, (_channel, _runs)),
    16: _Decoder(Peers, (_channel, _peers)),
}
_TYPES = {decoder.kind: number for number, decoder in _DECODERS.items()}
