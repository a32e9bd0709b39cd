"""What peers say on a stream of gossip: bodies that are too long for a datagram, by their hash.

One dCBOR array to a message of the stream. Either side asks, whoever opened the stream; a number is the asker's own,
and answers carry it. All parts of a body have BODY_PART bytes, only its last one fewer. Further items are ignored.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from overlay.errors import BadMessage
from overlay.limits import BODY_PART
from overlay.wire import cbor, fields
from overlay.wire.registry import BodyAct, BodyRefusal

#: Protocol of the stream. No application may have its name.
PROTOCOL: Final = "/gossip/1"
_MAX_NUMBER: Final = (1 << 32) - 1
#: A later version may say more; it nests nothing.
_MAX_ITEMS: Final = 16


@attrs.frozen(slots=True)
class Ask:
    number: int
    #: publication.body_digest of what is wanted.
    digest: bytes


@attrs.frozen(slots=True)
class Part:
    number: int
    data: bytes = attrs.field(repr=False)


@attrs.frozen(slots=True)
class No:
    number: int
    reason: BodyRefusal


def encode_body_message(message: Ask | Part | No) -> bytes:
    match message:
        case Ask(number, digest):
            return cbor.encode([BodyAct.ASK, number, digest])
        case Part(number, data):
            return cbor.encode([BodyAct.PART, number, data])
        case No(number, reason):
            return cbor.encode([BodyAct.NO, number, reason])


def decode_body_message(data: bytes) -> Ask | Part | No:
    """BadMessage for anything that no peer of this version says."""
    items: Any = cbor.decode(data, max_items=_MAX_ITEMS)
    if type(items) is not list or len(items) < 3:
        raise BadMessage("what is said of a body has three items")
    act = BodyAct(fields.between(items[0], 1, len(BodyAct)))
    number = fields.between(items[1], 0, _MAX_NUMBER)
    if act is BodyAct.ASK:
        return Ask(number, fields.key(items[2]))
    if act is BodyAct.PART:
        part = fields.raw(items[2], most=BODY_PART)
        if not part:
            raise BadMessage("a part of a body has at least a byte")
        return Part(number, part)
    return No(number, BodyRefusal(fields.between(items[2], 0, len(BodyRefusal) - 1)))
