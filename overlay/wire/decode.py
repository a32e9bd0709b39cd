"""Reads the bodies of messages, however hostile: one decoder a kind.

A body may be longer than its class knows: unknown trailing items are ignored, so that later
versions can append. What a class does know is checked here, so that nobody checks it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from overlay.errors import BadMessage
from overlay.limits import KEYS_PER_PAGE, MAX_APP_BODY, PROVIDERS_PER_PAGE, K
from overlay.wire import fields
from overlay.wire.gossip import decode_gossip, decode_gossiped
from overlay.wire.messages import (
    PACKED_V4,
    PACKED_V6,
    V4,
    V6,
    AppReply,
    AppRequest,
    DialBack,
    FindKeys,
    FindNode,
    FindProviders,
    FindValue,
    Keys,
    Leave,
    Message,
    Nodes,
    Ping,
    Pong,
    Provide,
    Providers,
    Retry,
    Store,
    Stored,
    Value,
)
from overlay.wire.registry import Kind


def decode_body(kind: Kind, body: list[Any]) -> Message:
    """The body of an envelope; BadMessage if it breaks a rule of its kind or the kind is reserved."""
    decode = _DECODERS.get(kind)
    if decode is None:
        raise BadMessage(f"kind {int(kind)} is reserved")
    if len(body) < kind.min_items:
        raise BadMessage(f"the body of {kind.name} is too short")
    return decode(body)


def _decode_nodes(body: list[Any]) -> Nodes:
    v4, v6 = fields.raw(body[2]), fields.raw(body[3])
    if len(v4) % PACKED_V4 or len(v6) % PACKED_V6:
        raise BadMessage("NODES holds a part of a contact")
    if len(v4) // PACKED_V4 + len(v6) // PACKED_V6 > K:
        raise BadMessage(f"NODES holds more than {K} contacts")
    return Nodes(fields.token(body[0]), fields.role(body[1]), v4, v6)


def _decode_keys(body: list[Any]) -> Keys:
    packed = fields.raw(body[1], most=32 * KEYS_PER_PAGE)
    if len(packed) % 32:
        raise BadMessage("KEYS holds a part of a key")
    return Keys(fields.token(body[0]), packed)


def _decode_providers(body: list[Any]) -> Providers:
    listed = body[1]
    if type(listed) is not list or len(listed) > PROVIDERS_PER_PAGE:
        raise BadMessage(f"PROVIDERS holds at most {PROVIDERS_PER_PAGE} providers")
    for pair in listed:
        if type(pair) is not list or len(pair) != 2:
            raise BadMessage("a provider is a record and an address")
    providers = tuple((fields.inner(record), fields.address(address)) for record, address in listed)
    return Providers(fields.token(body[0]), providers, next=fields.cursor(body[2]))


_DECODERS: dict[Kind, Callable[[list[Any]], Message]] = {
    Kind.PING: lambda body: Ping(padding=fields.padding(body, 0)),
    Kind.PONG: lambda body: Pong(fields.token(body[0]), fields.address(body[1]), fields.role(body[2])),
    Kind.RETRY: lambda body: Retry(fields.token(body[0])),
    Kind.FIND_NODE: lambda body: FindNode(
        fields.key(body[0]), fields.between(body[1], V4, V4 | V6), padding=fields.padding(body, 2)
    ),
    Kind.NODES: _decode_nodes,
    Kind.FIND_VALUE: lambda body: FindValue(
        fields.key(body[0]), fields.between(body[1], V4, V4 | V6), padding=fields.padding(body, 2)
    ),
    Kind.VALUE: lambda body: Value(
        fields.token(body[0]), record_type := fields.record_type(body[1]), fields.record(record_type, body[2]),
        fields.ttl_s(body[3]),
    ),
    Kind.STORE: lambda body: Store(
        record_type := fields.record_type(body[0]), fields.record(record_type, body[1]), fields.ttl_s(body[2]),
        cas=fields.optional_uint(body[3]),
    ),
    Kind.STORED: lambda body: Stored(fields.store_status(body[0]), seq=fields.optional_uint(body[1])),
    Kind.PROVIDE: lambda body: Provide(fields.key(body[0]), fields.inner(body[1])),
    Kind.FIND_PROVIDERS: lambda body: FindProviders(
        fields.key(body[0]), after=fields.cursor(body[1]), padding=fields.padding(body, 2)
    ),
    Kind.PROVIDERS: _decode_providers,
    Kind.APP_REQUEST: lambda body: AppRequest(fields.app_name(body[0]), fields.raw(body[1], most=MAX_APP_BODY)),
    Kind.APP_REPLY: lambda body: AppReply(fields.app_status(body[0]), body=fields.raw(body[1], most=MAX_APP_BODY)),
    Kind.DIALBACK: lambda body: DialBack(address=None if body[0] is None else fields.address(body[0])),
    Kind.FIND_KEYS: lambda body: FindKeys(
        fields.key(body[0]), fields.between(body[1], 0, 256),
        after=None if body[2] is None else fields.key(body[2]), padding=fields.padding(body, 3),
    ),
    Kind.KEYS: _decode_keys,
    Kind.LEAVE: lambda body: Leave(),
    Kind.GOSSIP: decode_gossip,
    Kind.GOSSIPED: decode_gossiped,
}  # fmt: skip
