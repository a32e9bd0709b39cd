"""A message of a topic, signed by its author: whoever passes it on can change nothing in it.

COSE_Sign1, context publish, over [topic, seq, body]; no unknown trailing items. In place of a body that is too long for
a datagram stands [its hash, its length]: whoever lacks it asks for it by stream (bodies.py). A signature costs ten
times what everything else here costs: `peek_publication` first, then whatever may drop it, then `check_publication`.
"""

from __future__ import annotations

import hashlib

import attrs

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Context, Network
from overlay.limits import MAX_LARGE_BODY, MAX_PUBLISH_BODY, MAX_TOPIC, MESSAGE_ID, PUBLISH_ROOM
from overlay.wire import cbor, cose, fields

_MAX_SEQ = (1 << 64) - 1


@attrs.frozen(slots=True)
class Publication:
    #: Public key of the author.
    author: bytes
    topic: str
    #: A stamp of the author's: grows, and is at least wall milliseconds.
    seq: int
    #: Empty if it goes by stream.
    body: bytes = attrs.field(repr=False)
    #: The signed object as it is passed on.
    raw: bytes = attrs.field(repr=False)
    #: Hash and bytes of a body that goes by stream; else empty and 0.
    digest: bytes = b""
    size: int = 0


def topic_key(topic: str) -> bytes:
    """SHA-256("p2pnode/topic/1" || name in UTF-8): what messages call it, and where its subscribers are found."""
    return hashlib.sha256(b"p2pnode/topic/1" + topic.encode()).digest()


def message_id(raw: bytes) -> bytes:
    """First 16 bytes of SHA-256("p2pnode/publish/1" || signed object)."""
    return hashlib.sha256(b"p2pnode/publish/1" + raw).digest()[:MESSAGE_ID]


def is_topic(name: object) -> bool:
    """1 to MAX_TOPIC bytes of printable text without spaces at its ends."""
    if not isinstance(name, str) or not name.isprintable() or name != name.strip():
        return False
    return 1 <= len(name.encode()) <= MAX_TOPIC


def body_digest(body: bytes) -> bytes:
    """SHA-256("p2pnode/body/1" || body): by what a body that goes by stream is known."""
    return hashlib.sha256(b"p2pnode/body/1" + body).digest()


def room_for(topic: str) -> int:
    """Bytes of the largest body that goes by datagram: at most MAX_PUBLISH_BODY, less for a name above 11 bytes."""
    size = len(topic.encode())
    return min(MAX_PUBLISH_BODY, PUBLISH_ROOM - len(cbor.head(3, size)) - size)


def encode_publication(signer: Signer, network: Network, topic: str, seq: int, body: bytes) -> bytes:
    """Raises LocalError for a name that is none, or a body above MAX_LARGE_BODY."""
    if not is_topic(topic):
        raise LocalError(f"not a topic: {topic!r} (1 to {MAX_TOPIC} bytes of printable text)")
    if len(body) > MAX_LARGE_BODY:
        raise LocalError(
            f"the body has {len(body)} bytes, a message at most {MAX_LARGE_BODY}: share a file and publish its link"
        )
    said = body if len(body) <= room_for(topic) else [body_digest(body), len(body)]
    return cose.sign1(signer, network.aad(Context.PUBLISH), cbor.encode([topic, seq, said]))


def peek_publication(raw: bytes) -> Publication:
    """What the bytes say, their signature NOT checked: anybody may have written it."""
    author, payload = cose.parse1(raw)
    items = cbor.decode(payload, max_items=5)
    if type(items) is not list or len(items) != 3:
        raise BadMessage("a message of a topic has three items")
    topic, seq, said = items
    if not is_topic(topic):
        raise BadMessage("not the name of a topic")
    if type(seq) is not int or not 0 <= seq <= _MAX_SEQ:
        raise BadMessage("a seq is a number of at most 64 bits that is not negative")
    room = room_for(topic)
    if type(said) is list:
        if len(said) != 2:
            raise BadMessage("a body that goes by stream has a hash and a length")
        size = fields.between(said[1], room + 1, MAX_LARGE_BODY)
        return Publication(author, topic, seq, b"", raw, fields.key(said[0]), size)
    if type(said) is not bytes or len(said) > room:
        raise BadMessage("the body of a message is too long, or not bytes")
    return Publication(author, topic, seq, said, raw)


def check_publication(raw: bytes, network: Network, verify: Verifier) -> None:
    """BadMessage unless the author signed what `peek_publication` accepted, for this network."""
    cose.check1(raw, network.aad(Context.PUBLISH), verify)


def decode_publication(raw: bytes, network: Network, verify: Verifier) -> Publication:
    """An authentic message; BadMessage for anything else."""
    publication = peek_publication(raw)
    check_publication(raw, network, verify)
    return publication
