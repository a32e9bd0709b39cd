"""The envelope of every datagram: who says it, to whom, in answer to what, when.

COSE_Sign1, context dgram, over [kind, request id, stamp, to, token, body]: six items, always all.
A signature costs ten times what everything else here costs, so it can be checked last: first
`peek_envelope`, then whatever may drop the message, then `check_envelope`.
"""

from __future__ import annotations

from typing import Any

import attrs

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Context, Network
from overlay.limits import MAX_CBOR_ITEMS, MAX_PLAIN_DATAGRAM
from overlay.wire import cbor, cose
from overlay.wire.registry import KIND_OF_NUMBER, Kind

REQUEST_ID_BYTES = 8
TOKEN_BYTES = 8
#: `to` is so many first bytes of the receiver's NodeId.
TO_BYTES = 8

_MAX_KIND = 0xFFFF
_SIX = b"\x86"
#: Where the body begins at the earliest: array, kind, request id, stamp, two nulls.
_BODY_AT = 1 + 1 + 9 + 9 + 1 + 1 + 1


@attrs.frozen(slots=True)
class Envelope:
    """What a datagram says. Whether it is authentic depends on where you got it."""

    #: Public key of the sender, 32 bytes.
    key: bytes
    #: None if this version does not know the number.
    kind: Kind | None
    #: 8 bytes; a reply repeats the request's.
    request_id: bytes
    #: Grows with everything that the sender signs.
    stamp: int
    #: First 8 bytes of the receiver's NodeId; None if the sender knows only an address.
    to: bytes | None
    #: 8 bytes that the receiver gave to the sender's address.
    token: bytes | None
    #: Decode it with decode.decode_body.
    body: list[Any]


def encode_envelope(
    signer: Signer,
    network: Network,
    kind: int,
    request_id: bytes,
    stamp: int,
    to: bytes | None,
    token: bytes | None,
    body: list[Any],
) -> bytes:
    """A signed datagram (before sealing), LocalError if it is too large."""
    payload = b"".join(
        (
            _SIX,
            cbor.head(0, kind),
            cbor.bstr(request_id),
            cbor.head(0, stamp),
            b"\xf6" if to is None else cbor.bstr(to),
            b"\xf6" if token is None else cbor.bstr(token),
            cbor.encode(body),
        )
    )
    size = cose.size_of(len(payload))
    if size > MAX_PLAIN_DATAGRAM:
        raise LocalError(f"a message of {size} bytes does not fit into a datagram of {MAX_PLAIN_DATAGRAM}")
    return cose.sign1(signer, network.aad(Context.DGRAM), payload)


def decode_envelope(data: bytes, network: Network, verify: Verifier) -> Envelope:
    """An authentic envelope of this network; BadMessage for anything else."""
    envelope = peek_envelope(data)
    check_envelope(data, network, verify)
    return envelope


def peek_envelope(data: bytes) -> Envelope:
    """The envelope in these bytes, its signature NOT checked: anybody may have written it."""
    if len(data) > MAX_PLAIN_DATAGRAM:
        raise BadMessage("the datagram is too large")
    key, payload = cose.parse1(data)
    items = _usual(payload)
    if items is None:
        items = cbor.decode(payload)
    if type(items) is not list or len(items) != 6:
        raise BadMessage("an envelope has six items")
    number, request_id, stamp, to, token, body = items
    if type(number) is not int or not 0 <= number <= _MAX_KIND:
        raise BadMessage("the kind of a message is a number below 65,536")
    if type(request_id) is not bytes or len(request_id) != REQUEST_ID_BYTES:
        raise BadMessage("a request id has 8 bytes")
    if type(stamp) is not int or stamp < 0:
        raise BadMessage("a stamp is a number that is not negative")
    if to is not None and (type(to) is not bytes or len(to) != TO_BYTES):
        raise BadMessage("`to` is null or 8 bytes")
    if token is not None and (type(token) is not bytes or len(token) != TOKEN_BYTES):
        raise BadMessage("a token is null or 8 bytes")
    if type(body) is not list:
        raise BadMessage("a body is an array")
    return Envelope(key, KIND_OF_NUMBER.get(number), request_id, stamp, to, token, body)


def _usual(payload: bytes) -> list[Any] | None:
    """What `cbor.decode` gives for the form that nearly all envelopes have, at a third of its cost: kind
    below 24, stamp of 8 bytes. None for any other form, valid or not."""
    if (
        len(payload) < _BODY_AT
        or payload[0] != 0x86
        or payload[1] >= 24
        or payload[2] != 0x48
        or payload[11] != 0x1B
        or payload[12:16] == b"\0\0\0\0"
    ):
        return None
    at = 20
    pair: list[bytes | None] = []
    for _ in range(2):
        first = payload[at]
        if first == 0xF6:
            pair.append(None)
            at += 1
        elif first == 0x48 and at + 9 < len(payload):
            pair.append(payload[at + 1 : at + 9])
            at += 9
        else:
            return None
    stamp = int.from_bytes(payload[12:20], "big")
    return [payload[1], payload[3:11], stamp, *pair, cbor.decode(payload[at:], max_items=MAX_CBOR_ITEMS - 6, depth=1)]


def check_envelope(data: bytes, network: Network, verify: Verifier) -> None:
    """BadMessage unless the sender signed these bytes, which `peek_envelope` accepted, for this network."""
    cose.check1(data, network.aad(Context.DGRAM), verify)
