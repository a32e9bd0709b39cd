"""Messages of an application as bytes, and back: what it publishes, asks, answers and hears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import attrs

from overlay.errors import BadMessage, LocalError, Refused
from overlay.gossip.service import Subscription
from overlay.limits import MAX_APP_BODY
from overlay.typed import decode_message, encode_message

M = TypeVar("M")


@attrs.define(slots=True, eq=False)
class Messages(Generic[M]):
    """`async for author, said in ctx.subscribe("chat", Say)`: what is none of the types is counted and left out."""

    subscription: Subscription
    types: tuple[type[M], ...]
    #: Messages of the topic that were none of the types: anybody may publish anything.
    refused: int = 0

    def __aiter__(self) -> Messages[M]:
        return self

    async def __anext__(self) -> tuple[bytes, M]:
        while True:
            delivered = await self.subscription.__anext__()
            try:
                return delivered.author_id, decode_message(delivered.body, *self.types)
            except BadMessage:
                self.refused += 1

    def close(self) -> None:
        self.subscription.close()


def bytes_of(value: object) -> bytes:
    """The bytes of a message, or bytes as they are. LocalError if it is neither."""
    return value if isinstance(value, bytes) else encode_message(value)


def body_of(value: object) -> bytes:
    """The bytes of a message, or bytes as they are. LocalError if it is neither, or too long for a datagram."""
    body = bytes_of(value)
    if len(body) > MAX_APP_BODY:
        raise LocalError(
            f"the message has {len(body)} bytes, at most {MAX_APP_BODY} fit into a datagram: send the key of a record"
        )
    return body


def read_body(body: bytes, types: Sequence[type]) -> Any:
    """What a handler gets; raises Refused if it is none of the types."""
    if not types:
        return body
    try:
        return decode_message(body, *types)
    except BadMessage as error:
        raise Refused(error.reason) from None
