"""The bodies of messages: one class a kind, and the array in an envelope that it becomes.

decode.py reads and checks them, padding.py makes requests as long as what they may bring about.
"""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from overlay.wire.gossip import Call, Graft, Have, Prune, Publish
from overlay.wire.gossip import Gossiped as Gossiped
from overlay.wire.registry import AppStatus as AppStatus
from overlay.wire.registry import GossipStatus as GossipStatus
from overlay.wire.registry import Kind
from overlay.wire.registry import RecordType as RecordType
from overlay.wire.registry import Role as Role
from overlay.wire.registry import StoreStatus as StoreStatus

#: Bits of `families` in FIND_NODE and FIND_VALUE: which addresses the asker can use.
V4, V6 = 1, 2
#: Bytes of one contact in NODES: key, ip, port.
PACKED_V4, PACKED_V6 = 38, 50


@attrs.frozen(slots=True)
class Ping:
    KIND: ClassVar[Kind] = Kind.PING
    padding: bytes | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return _with_padding([], self.padding)


@attrs.frozen(slots=True)
class Pong:
    KIND: ClassVar[Kind] = Kind.PONG
    #: 8 bytes for the asker's next requests from this address.
    token: bytes
    #: Packed address (6 or 18 bytes) from which the request came.
    seen: bytes
    role: int

    def encode_body(self) -> list[Any]:
        return [self.token, self.seen, self.role]


@attrs.frozen(slots=True)
class Retry:
    KIND: ClassVar[Kind] = Kind.RETRY
    token: bytes

    def encode_body(self) -> list[Any]:
        return [self.token]


@attrs.frozen(slots=True)
class FindNode:
    KIND: ClassVar[Kind] = Kind.FIND_NODE
    #: 32 bytes.
    target: bytes
    families: int
    padding: bytes | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return _with_padding([self.target, self.families], self.padding)


@attrs.frozen(slots=True)
class Nodes:
    KIND: ClassVar[Kind] = Kind.NODES
    token: bytes
    role: int
    #: n x 38 and m x 50 bytes, n + m <= 20: see `split_packed`.
    v4: bytes
    v6: bytes

    def encode_body(self) -> list[Any]:
        return [self.token, self.role, self.v4, self.v6]


@attrs.frozen(slots=True)
class FindValue:
    KIND: ClassVar[Kind] = Kind.FIND_VALUE
    key: bytes
    families: int
    padding: bytes | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return _with_padding([self.key, self.families], self.padding)


@attrs.frozen(slots=True)
class Value:
    KIND: ClassVar[Kind] = Kind.VALUE
    token: bytes
    #: A number of RecordType.
    type: int
    #: The blob itself, or a signed record (records.decode_record); at most 1,000 bytes.
    inner: bytes
    #: What is left of its life at the sender.
    ttl_s: int

    def encode_body(self) -> list[Any]:
        return [self.token, self.type, self.inner, self.ttl_s]


@attrs.frozen(slots=True)
class Store:
    """The key is not sent: it follows from the inner bytes."""

    KIND: ClassVar[Kind] = Kind.STORE
    #: A number of RecordType.
    type: int
    inner: bytes
    ttl_s: int
    #: Compare-and-swap: the seq that it replaces; None for whatever is there.
    cas: int | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return [self.type, self.inner, self.ttl_s, self.cas]


@attrs.frozen(slots=True)
class Stored:
    KIND: ClassVar[Kind] = Kind.STORED
    status: StoreStatus
    #: Of what the sender holds now, if it holds a signed record there.
    seq: int | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return [self.status, self.seq]


@attrs.frozen(slots=True)
class Provide:
    KIND: ClassVar[Kind] = Kind.PROVIDE
    key: bytes
    #: A provider record (records.decode_provider).
    inner: bytes

    def encode_body(self) -> list[Any]:
        return [self.key, self.inner]


@attrs.frozen(slots=True)
class FindProviders:
    KIND: ClassVar[Kind] = Kind.FIND_PROVIDERS
    key: bytes
    #: 8-byte cursor of the page before, None for the first page.
    after: bytes | None = attrs.field(default=None, kw_only=True)
    padding: bytes | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return _with_padding([self.key, self.after], self.padding)


@attrs.frozen(slots=True)
class Providers:
    KIND: ClassVar[Kind] = Kind.PROVIDERS
    token: bytes
    #: (provider record, packed address that was proven by a token), at most 5.
    providers: tuple[tuple[bytes, bytes], ...]
    #: 8-byte cursor of the next page, None after the last.
    next: bytes | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return [self.token, [list(pair) for pair in self.providers], self.next]


@attrs.frozen(slots=True)
class AppRequest:
    KIND: ClassVar[Kind] = Kind.APP_REQUEST
    app: str
    #: At most 900 bytes; their meaning is the application's.
    body: bytes

    def encode_body(self) -> list[Any]:
        return [self.app, self.body]


@attrs.frozen(slots=True)
class AppReply:
    KIND: ClassVar[Kind] = Kind.APP_REPLY
    status: AppStatus
    body: bytes = attrs.field(default=b"", kw_only=True)

    def encode_body(self) -> list[Any]:
        return [self.status, self.body]


@attrs.frozen(slots=True)
class DialBack:
    KIND: ClassVar[Kind] = Kind.DIALBACK
    #: None: "have somebody dial me"; a packed address: "PING this address, a peer asks for it".
    address: bytes | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return [self.address]


@attrs.frozen(slots=True)
class FindKeys:
    """Keys that share at least `prefix_bits` bits with `near`, in the order of keys, above `after`."""

    KIND: ClassVar[Kind] = Kind.FIND_KEYS
    near: bytes
    prefix_bits: int
    #: Last key of the page before, None for the first page.
    after: bytes | None = attrs.field(default=None, kw_only=True)
    padding: bytes | None = attrs.field(default=None, kw_only=True)

    def encode_body(self) -> list[Any]:
        return _with_padding([self.near, self.prefix_bits, self.after], self.padding)


@attrs.frozen(slots=True)
class Keys:
    KIND: ClassVar[Kind] = Kind.KEYS
    token: bytes
    #: n x 32 bytes, ascending, n <= 32; fewer than 32: the last page.
    keys: bytes

    def encode_body(self) -> list[Any]:
        return [self.token, self.keys]


@attrs.frozen(slots=True)
class Leave:
    KIND: ClassVar[Kind] = Kind.LEAVE

    def encode_body(self) -> list[Any]:
        return []


Message = (
    Ping
    | Pong
    | Retry
    | FindNode
    | Nodes
    | FindValue
    | Value
    | Store
    | Stored
    | Provide
    | FindProviders
    | Providers
    | AppRequest
    | AppReply
    | DialBack
    | FindKeys
    | Keys
    | Leave
    | Publish
    | Graft
    | Prune
    | Have
    | Call
    | Gossiped
)


def split_packed(v4: bytes, v6: bytes) -> list[bytes]:
    """The 38 or 50 bytes of each contact in NODES, IPv4 first."""
    pieces = [v4[at : at + PACKED_V4] for at in range(0, len(v4), PACKED_V4)]
    if v6:
        pieces += [v6[at : at + PACKED_V6] for at in range(0, len(v6), PACKED_V6)]
    return pieces


def _with_padding(body: list[Any], padding: bytes | None) -> list[Any]:
    return body if padding is None else [*body, padding]
