"""How messages of "/files/1" are written and read; what they mean is in apps.files.core.wire.

Everything read is a stranger's: each item is checked for its type and its bound before a message is made of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import attrs

from apps.files.core import wire
from apps.files.core.limits import (
    INFO_PART_BYTES,
    MAX_ASKED_UNITS,
    MAX_CHANNEL,
    MAX_CONTROL_ITEMS,
    MAX_CONTROL_MESSAGE,
    MAX_HASHES_ASKED,
    MAX_HAVE_UNITS,
    MAX_HEADER,
    MAX_HOLD_BYTES,
    MAX_INFO_BYTES,
    MAX_PEERS_TOLD,
    MAX_REASON,
    MAX_RUNS,
    MAX_UNITS,
    UNIT_BYTES,
)
from apps.files.core.wire import ID_BYTES, Held, Message, Peers, Piece, Run
from overlay.errors import BadMessage, LocalError
from overlay.runtime.address import Address, unpack_address
from overlay.wire import cbor

_PIECE = 32
_piece_head = struct.Struct(">BHIIB")
#: Without the signed header, which follows it, and the unit.
PIECE_HEAD_BYTES = _piece_head.size
#: Hashes of a HASHES: those asked for, and two uncles for each level.
_MAX_HASH_BYTES = ID_BYTES * (MAX_HASHES_ASKED + 64)

#: IPv4 and IPv6, with port.
_ADDRESS_BYTES = (6, 18)


# --- encoding ------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """LocalError for what `decode` of a peer would refuse by its length."""
    if isinstance(message, Piece):
        head = _piece_head.pack(_PIECE, message.channel, message.unit, message.offset, len(message.header))
        return b"".join((head, message.header, message.data))
    body: list[Any] = [getattr(message, field.name) for field in attrs.fields(type(message))]
    if isinstance(message, Peers):
        body[1] = [[peer, address.packed] for peer, address in message.peers]
    data = bytes((_TYPES[type(message)],)) + cbor.encode(body)
    if len(data) > MAX_CONTROL_MESSAGE:
        raise LocalError(f"a {type(message).__name__} of {len(data)} bytes, at most {MAX_CONTROL_MESSAGE}")
    return data


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
    if len(data) <= PIECE_HEAD_BYTES:
        raise BadMessage("a piece without a unit")
    _, channel, unit, offset, signed = _piece_head.unpack_from(data)
    begin = PIECE_HEAD_BYTES + signed
    if signed > MAX_HEADER or not begin < len(data) <= begin + UNIT_BYTES:
        raise BadMessage(f"a piece of {len(data) - begin} bytes with a header of {signed}")
    return Piece(channel, unit, offset, memoryview(data)[begin:], header=bytes(data[PIECE_HEAD_BYTES:begin]))


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
    runs, total = [], 0
    for run in _list(item, MAX_RUNS):
        match run:
            case [int(first), int(count)] if type(first) is int and type(count) is int:
                total += count
                if first < 0 or count < 1 or first + count > MAX_UNITS or total > MAX_ASKED_UNITS:
                    raise BadMessage("a range of units that no share has, or more than may be asked for")
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
    1: _Decoder(wire.Open, (_channel, _id, _info_bytes, _held)),
    2: _Decoder(wire.Opened, (_channel, _info_bytes, _held)),
    3: _Decoder(wire.Refused, (_channel, _reason)),
    4: _Decoder(wire.CloseShare, (_channel,)),
    5: _Decoder(wire.GetInfo, (_channel, _part)),
    6: _Decoder(wire.InfoPart, (_channel, _part, _bytes(INFO_PART_BYTES))),
    7: _Decoder(wire.GetHashes, (_channel, _id, _height, _index, _count, _height)),
    8: _Decoder(wire.Hashes, (_channel, _id, _height, _index, _count, _bytes(_MAX_HASH_BYTES))),
    9: _Decoder(wire.Hold, (_channel, _info_bytes, _holdings, _unit)),
    10: _Decoder(wire.Have, (_channel, _units)),
    11: _Decoder(wire.Interest, (_channel, _bool)),
    12: _Decoder(wire.Choke, (_channel, _bool)),
    13: _Decoder(wire.Request, (_channel, _runs)),
    14: _Decoder(wire.Reject, (_channel, _runs)),
    15: _Decoder(wire.Cancel, (_channel, _runs)),
    16: _Decoder(Peers, (_channel, _peers)),
}
_TYPES = {decoder.kind: number for number, decoder in _DECODERS.items()}
