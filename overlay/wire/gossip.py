"""The bodies of GOSSIP: one class an act, and what answers four of them.

A topic is named by its key: who does not know the name learns only a hash of it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from overlay.errors import BadMessage
from overlay.limits import MAX_BACKOFF_S, MAX_HAVE, MAX_PASSED_ON, MESSAGE_ID
from overlay.wire import fields
from overlay.wire.registry import GossipAct, GossipStatus, Kind

#: Bytes of one contact: key, ip, port (as in NODES).
_PACKED_V4, _PACKED_V6 = 38, 50


@attrs.frozen(slots=True)
class Publish:
    """Not answered; whoever is not sure that it arrived says HAVE later."""

    KIND: ClassVar[Kind] = Kind.GOSSIP
    ACT: ClassVar[GossipAct] = GossipAct.PUBLISH
    #: What its author signed (publication.py).
    inner: bytes

    def encode_body(self) -> list[Any]:
        return [self.ACT, self.inner]


@attrs.frozen(slots=True)
class Graft:
    KIND: ClassVar[Kind] = Kind.GOSSIP
    ACT: ClassVar[GossipAct] = GossipAct.GRAFT
    #: Key of the topic, 32 bytes.
    topic: bytes

    def encode_body(self) -> list[Any]:
        return [self.ACT, self.topic]


@attrs.frozen(slots=True)
class Prune:
    KIND: ClassVar[Kind] = Kind.GOSSIP
    ACT: ClassVar[GossipAct] = GossipAct.PRUNE
    topic: bytes
    #: KNOWN, or STRANGER of who no longer subscribes.
    status: GossipStatus
    #: Do not GRAFT within so many seconds.
    backoff_s: int
    #: Other subscribers, n x 38 and m x 50 bytes, n + m <= 8.
    v4: bytes
    v6: bytes

    def encode_body(self) -> list[Any]:
        return [self.ACT, self.topic, self.status, self.backoff_s, self.v4, self.v6]


@attrs.frozen(slots=True)
class Have:
    """Also without ids: are you there, and what am I to you?"""

    KIND: ClassVar[Kind] = Kind.GOSSIP
    ACT: ClassVar[GossipAct] = GossipAct.HAVE
    topic: bytes
    status: GossipStatus
    #: n x 16 bytes.
    ids: bytes

    def encode_body(self) -> list[Any]:
        return [self.ACT, self.topic, self.status, self.ids]


@attrs.frozen(slots=True)
class Call:
    """Who said that it has a message is asked to open a stream to us: it may be where no stream of ours gets."""

    KIND: ClassVar[Kind] = Kind.GOSSIP
    ACT: ClassVar[GossipAct] = GossipAct.CALL
    topic: bytes
    #: Of the message whose body is wanted, 16 bytes.
    id: bytes

    def encode_body(self) -> list[Any]:
        return [self.ACT, self.topic, self.id]


@attrs.frozen(slots=True)
class Gossiped:
    KIND: ClassVar[Kind] = Kind.GOSSIPED
    token: bytes
    status: GossipStatus
    #: To a GRAFT that was refused.
    backoff_s: int
    #: Of the ids of HAVE, those to be sent.
    wanted: bytes
    v4: bytes
    v6: bytes

    def encode_body(self) -> list[Any]:
        return [self.token, self.status, self.backoff_s, self.wanted, self.v4, self.v6]


def decode_gossip(body: list[Any]) -> Publish | Graft | Prune | Have | Call:
    """A body of two items or more; BadMessage for anything that no peer of this version says."""
    act = GossipAct(fields.between(body[0], 1, len(GossipAct)))
    if act is GossipAct.PUBLISH:
        return Publish(fields.raw(body[1]))
    topic = fields.key(body[1])
    if act is GossipAct.GRAFT:
        return Graft(topic)
    if act is GossipAct.CALL:
        if len(body) < 3 or len(fields.raw(body[2])) != MESSAGE_ID:
            raise BadMessage("a CALL names one message")
        return Call(topic, body[2])
    if act is GossipAct.HAVE:
        if len(body) < 4:
            raise BadMessage("a HAVE has four items")
        return Have(topic, _status(body[2]), _ids(body[3]))
    if len(body) < 6:
        raise BadMessage("a PRUNE has six items")
    return Prune(topic, _status(body[2]), fields.between(body[3], 0, MAX_BACKOFF_S), *_contacts(body[4], body[5]))


def decode_gossiped(body: list[Any]) -> Gossiped:
    """A body of six items or more, BadMessage."""
    return Gossiped(
        fields.token(body[0]), _status(body[1]), fields.between(body[2], 0, MAX_BACKOFF_S), _ids(body[3]),
        *_contacts(body[4], body[5]),
    )  # fmt: skip


def split_ids(packed: bytes) -> list[bytes]:
    """The ids in HAVE or GOSSIPED, each once."""
    return list(dict.fromkeys(packed[at : at + MESSAGE_ID] for at in range(0, len(packed), MESSAGE_ID)))


def _status(value: Any) -> GossipStatus:
    return GossipStatus(fields.between(value, 0, len(GossipStatus) - 1))


def _ids(value: Any) -> bytes:
    packed = fields.raw(value, most=MAX_HAVE * MESSAGE_ID)
    if len(packed) % MESSAGE_ID:
        raise BadMessage("a part of a message's id")
    return packed


def _contacts(v4: Any, v6: Any) -> tuple[bytes, bytes]:
    v4, v6 = fields.raw(v4), fields.raw(v6)
    if len(v4) % _PACKED_V4 or len(v6) % _PACKED_V6:
        raise BadMessage("a part of a contact")
    if len(v4) // _PACKED_V4 + len(v6) // _PACKED_V6 > MAX_PASSED_ON:
        raise BadMessage(f"more than {MAX_PASSED_ON} contacts")
    return v4, v6
