"""How long requests without a token are made, so that what they bring about is not longer.

Whoever did not prove its address gets at most as many bytes as it sent (overlay/rpc/endpoint.py).
"""

from __future__ import annotations

from typing import Any

from overlay.limits import PADDED_FIND, PADDED_PING
from overlay.wire import cbor, cose
from overlay.wire.messages import Message
from overlay.wire.registry import Kind

#: An envelope's payload before the body: array, kind, request id, stamp of full length.
_PAYLOAD_FRONT = 1 + 1 + 9 + 9
_SIZES: dict[Kind, int] = {
    Kind.PING: PADDED_PING,
    Kind.FIND_NODE: PADDED_FIND,
    Kind.FIND_VALUE: PADDED_FIND,
    Kind.FIND_PROVIDERS: PADDED_FIND,
    Kind.FIND_KEYS: PADDED_FIND,
    # A RETRY must not be longer than what it answers.
    Kind.STORE: PADDED_PING,
    Kind.APP_REQUEST: PADDED_PING,
    Kind.DIALBACK: PADDED_PING,
    Kind.GOSSIP: PADDED_PING,
}


def padded_body(message: Message, to: bytes | None) -> list[Any]:
    """The body of a request without token, so long that its datagram (before sealing) has the size
    of its kind; other kinds, and what is longer already, stay as they are.

    Exact for stamps of 2**32 and more, which wall-clock milliseconds are since February 1970;
    a smaller stamp makes the datagram up to 8 bytes shorter, never longer.
    """
    body = message.encode_body()
    size = _SIZES.get(message.KIND)
    if size is None:
        return body
    # ... to, token null, body. One item more needs no longer head: bodies have fewer than 23.
    payload = _PAYLOAD_FRONT + (1 if to is None else 9) + 1 + len(cbor.encode(body))
    unpadded = cose.size_of(payload)
    if unpadded >= size:
        return body
    # Heads of 3 bytes instead of 2 for what is long: count down from the most that may fit.
    zeros = size - unpadded - 1
    while zeros and cose.size_of(payload + len(cbor.head(2, zeros)) + zeros) > size:
        zeros -= 1
    return [*body, bytes(zeros)]
