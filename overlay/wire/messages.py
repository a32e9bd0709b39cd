"""The bodies of messages: one class a kind, from and to the array in an envelope.

A body may be longer than its class knows: unknown trailing items are ignored, so that later
versions can append. What a class does know is checked here, so that nobody checks it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, ClassVar

import attrs

from overlay.errors import BadMessage
from overlay.limits import KEYS_PER_PAGE, MAX_APP_BODY, PADDED_FIND, PADDED_PING, PROVIDERS_PER_PAGE, K
from overlay.runtime.address import Address, unpack_address
from overlay.wire import cbor, cose, fields
from overlay.wire.registry import AppStatus as AppStatus
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
    #: n x 38 and m x 50 bytes, n + m <= 20: see `iter_packed`.
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
)


def decode_body(kind: Kind, body: list[Any]) -> Message:
    """The body of an envelope; BadMessage if it breaks a rule of its kind or the kind is reserved."""
    decode = _DECODERS.get(kind)
    if decode is None:
        raise BadMessage(f"kind {int(kind)} is reserved")
    if len(body) < kind.min_items:
        raise BadMessage(f"the body of {kind.name} is too short")
    return decode(body)


def split_packed(v4: bytes, v6: bytes) -> Iterator[bytes]:
    """The 38 or 50 bytes of each contact in NODES, IPv4 first."""
    for packed, size in ((v4, PACKED_V4), (v6, PACKED_V6)):
        for at in range(0, len(packed), size):
            yield packed[at : at + size]


def iter_packed(v4: bytes, v6: bytes) -> Iterator[tuple[bytes, Address]]:
    """(key, address) of each contact in NODES, IPv4 first; which of them may be used, the caller says.

    An IPv4 address that was mapped into IPv6 comes out as IPv4.
    """
    for packed, size in ((v4, PACKED_V4), (v6, PACKED_V6)):
        for at in range(0, len(packed), size):
            yield packed[at : at + 32], _address(packed[at + 32 : at + size])


#: The same peers are named again and again; classifying an address costs 3 us.
_address = lru_cache(maxsize=8192)(unpack_address)


# --- padding ---------------------------------------------------------------------------------

#: An envelope's payload before the body: array, kind, request id, stamp of full length.
_PAYLOAD_FRONT = 1 + 1 + 9 + 9
_PADDED_SIZE: dict[Kind, int] = {
    Kind.PING: PADDED_PING,
    Kind.FIND_NODE: PADDED_FIND,
    Kind.FIND_VALUE: PADDED_FIND,
    Kind.FIND_PROVIDERS: PADDED_FIND,
    Kind.FIND_KEYS: PADDED_FIND,
    # A RETRY must not be longer than what it answers.
    Kind.STORE: PADDED_PING,
    Kind.APP_REQUEST: PADDED_PING,
    Kind.DIALBACK: PADDED_PING,
}


def padded_body(message: Message, to: bytes | None) -> list[Any]:
    """The body of a request without token, so long that its datagram (before sealing) has the size
    above; other kinds, and what is longer already, stay as they are.

    Exact for stamps of 2**32 and more, which wall-clock milliseconds are since February 1970;
    a smaller stamp makes the datagram up to 8 bytes shorter, never longer.
    """
    body = message.encode_body()
    size = _PADDED_SIZE.get(message.KIND)
    if size is None:
        return body
    front = _PAYLOAD_FRONT + (1 if to is None else 9) + 1  # ... to, token null
    unpadded = cose.size_of(front + len(cbor.encode(body)))
    if unpadded >= size:
        return body
    # Heads of 3 bytes instead of 2 for what is long: count down from the most that may fit.
    zeros = size - unpadded - 1
    while zeros and cose.size_of(front + len(cbor.encode([*body, bytes(zeros)]))) > size:
        zeros -= 1
    return [*body, bytes(zeros)]


def _with_padding(body: list[Any], padding: bytes | None) -> list[Any]:
    return body if padding is None else [*body, padding]


# --- decoding ----------------------------------------------------------------------------------


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
}  # fmt: skip
