"""Bodies of extended messages: their handshake (BEP 10) and parts of the info dictionary (BEP 9)."""

from __future__ import annotations

from typing import Any, Final

import attrs

from apps.files.core import bencode
from apps.files.core.bittorrent.limits import BLOCKS_ASKED, MAX_BLOCKS_ASKED, MAX_BLOCKS_OUT, METADATA_PART_BYTES
from apps.files.core.limits import MAX_INFO_BYTES
from overlay.errors import BadMessage

#: What this side wants messages of BEP 9 to be numbered.
UT_METADATA: Final = 1
_REQUEST, _DATA, _REJECT = 0, 1, 2
_CLIENT = b"p2pnode"


@attrs.frozen(slots=True)
class ExtendedHandshake:
    #: What the sender wants messages of BEP 9 to be numbered; 0: it does not speak it.
    ut_metadata: int = 0
    #: Bytes of its info dictionary; 0: it has none, or one that is too large.
    metadata_size: int = 0
    #: Requests that it remembers.
    reqq: int = BLOCKS_ASKED


def encode_handshake(metadata_size: int) -> bytes:
    """`metadata_size`: 0 if the info dictionary is not here."""
    said: dict[bytes, Any] = {b"m": {b"ut_metadata": UT_METADATA}, b"reqq": MAX_BLOCKS_ASKED, b"v": _CLIENT}
    if metadata_size:
        said[b"metadata_size"] = metadata_size
    return bencode.encode(said)


def decode_handshake(body: bytes) -> ExtendedHandshake:
    """BadMessage only for what is no dictionary; what makes no sense in it is as if it were not there."""
    said = bencode.decode(body)
    if type(said) is not dict:
        raise BadMessage("an extended handshake that is no dictionary")
    numbers = said.get(b"m")
    return ExtendedHandshake(
        _number(numbers if type(numbers) is dict else {}, b"ut_metadata", 255, 0),
        _number(said, b"metadata_size", MAX_INFO_BYTES, 0),
        min(_number(said, b"reqq", 2**63, 0) or BLOCKS_ASKED, MAX_BLOCKS_OUT),
    )


def _number(said: dict[bytes, Any], key: bytes, most: int, otherwise: int) -> int:
    value = said.get(key)
    return value if type(value) is int and 0 <= value <= most else otherwise


@attrs.frozen(slots=True)
class PartRequest:
    part: int


@attrs.frozen(slots=True)
class PartData:
    part: int
    #: Bytes of the whole info dictionary.
    total: int
    data: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class PartReject:
    part: int


MetadataMessage = PartRequest | PartData | PartReject


def encode_metadata(message: MetadataMessage) -> bytes:
    match message:
        case PartRequest(part):
            return bencode.encode({b"msg_type": _REQUEST, b"piece": part})
        case PartData(part, total, data):
            return bencode.encode({b"msg_type": _DATA, b"piece": part, b"total_size": total}) + data
        case PartReject(part):
            return bencode.encode({b"msg_type": _REJECT, b"piece": part})


def decode_metadata(body: bytes) -> MetadataMessage | None:
    """None for a type that is not known here. BadMessage."""
    said, end = bencode.decode_prefix(body, max_bytes=len(body))
    if type(said) is not dict:
        raise BadMessage("a message of BEP 9 that is no dictionary")
    kind, part = said.get(b"msg_type"), said.get(b"piece")
    if type(kind) is not int or type(part) is not int or not 0 <= part <= MAX_INFO_BYTES // METADATA_PART_BYTES:
        raise BadMessage("a part of an info dictionary that no such has")
    data = body[end:]
    if kind == _DATA:
        if len(data) > METADATA_PART_BYTES:
            raise BadMessage(f"a part of an info dictionary with {len(data)} bytes")
        return PartData(part, 0, data)
    if data:
        raise BadMessage("bytes follow a message of BEP 9 that has none")
    return PartRequest(part) if kind == _REQUEST else PartReject(part) if kind == _REJECT else None
