"""Objects that are signed by themselves, since strangers keep and pass them on.

Both are COSE_Sign1 of at most 1,000 bytes: a signed record (context record) and a provider record
(context provider). They have no unknown trailing items: a new shape is a new context.
"""

from __future__ import annotations

import hashlib
from typing import Any

import attrs

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Context, Network
from overlay.identity.node_id import node_id_of
from overlay.limits import MAX_RECORD, MAX_SALT, MAX_VALUE
from overlay.wire import cbor, cose

RECORD_KEY_BYTES = 32


@attrs.frozen(slots=True)
class SignedRecord:
    """A value under (author, salt) that its author may replace by one with a higher seq."""

    #: Public key of the author.
    author: bytes
    #: At most 32 bytes; a name is its UTF-8.
    salt: bytes
    seq: int
    #: Wall clock, ms.
    expires_ms: int
    value: bytes
    #: The signed object as it is sent and stored.
    raw: bytes = attrs.field(repr=False)

    @property
    def author_id(self) -> bytes:
        return node_id_of(self.author)

    @property
    def key(self) -> bytes:
        """32 bytes: where the record lives in the DHT."""
        return signed_key(self.author_id, self.salt)


@attrs.frozen(slots=True)
class ProviderRecord:
    """`provider` says that it has what belongs to `key`. Where it is reached is not in here: the
    address that proved itself with a token is served, so that nobody can name a victim."""

    #: Public key of who says so.
    provider: bytes
    key: bytes
    seq: int
    #: Wall clock, ms.
    expires_ms: int
    #: The signed object as it is sent and stored.
    raw: bytes = attrs.field(repr=False)


def blob_key(value: bytes) -> bytes:
    """SHA-256("p2pnode/blob/1" || value)."""
    return hashlib.sha256(b"p2pnode/blob/1" + value).digest()


def signed_key(author_id: bytes, salt: bytes) -> bytes:
    """SHA-256("p2pnode/signed/1" || NodeId of the author || salt)."""
    return hashlib.sha256(b"p2pnode/signed/1" + author_id + salt).digest()


def newer(a: SignedRecord, b: SignedRecord) -> bool:
    """Whether `a` replaces `b`, of one author and salt, so that all holders end with the same one.

    The larger seq; else the value with the smaller SHA-256 (its author signed two values with one
    seq: which one wins must not depend on the order of arrival); else, for one value signed again,
    the later expiry.
    """
    if a.seq != b.seq:
        return a.seq > b.seq
    if a.value != b.value:
        return hashlib.sha256(a.value).digest() < hashlib.sha256(b.value).digest()
    return a.expires_ms > b.expires_ms


def encode_record(signer: Signer, network: Network, salt: bytes, seq: int, expires_ms: int, value: bytes) -> bytes:
    """A signed record."""
    if len(salt) > MAX_SALT:
        raise LocalError(f"a name has at most {MAX_SALT} bytes, not {len(salt)}")
    if len(value) > MAX_VALUE:
        raise LocalError(f"a value has at most {MAX_VALUE} bytes, not {len(value)} (larger ones: share a file)")
    return cose.sign1(signer, network.aad(Context.RECORD), cbor.encode([salt, seq, expires_ms, value]))


def decode_record(raw: bytes, network: Network, verify: Verifier) -> SignedRecord:
    """An authentic record; whether it is fresh or newer, its reader decides."""
    author, items = signed_items(raw, network, Context.RECORD, 4, verify)
    salt, seq, expires_ms, value = items
    if type(salt) is not bytes or len(salt) > MAX_SALT or type(value) is not bytes or len(value) > MAX_VALUE:
        raise BadMessage("salt or value of a record is too long, or not bytes")
    return SignedRecord(author, salt, _uint(seq), _uint(expires_ms), value, raw)


def encode_provider(signer: Signer, network: Network, key: bytes, seq: int, expires_ms: int) -> bytes:
    """A signed provider record."""
    if len(key) != RECORD_KEY_BYTES:
        raise LocalError(f"a key has {RECORD_KEY_BYTES} bytes, not {len(key)}")
    return cose.sign1(signer, network.aad(Context.PROVIDER), cbor.encode([key, seq, expires_ms]))


def decode_provider(raw: bytes, network: Network, verify: Verifier) -> ProviderRecord:
    """An authentic provider record; BadMessage for anything else."""
    provider, items = signed_items(raw, network, Context.PROVIDER, 3, verify)
    key, seq, expires_ms = items
    if type(key) is not bytes or len(key) != RECORD_KEY_BYTES:
        raise BadMessage("the key of a provider record has 32 bytes")
    return ProviderRecord(provider, key, _uint(seq), _uint(expires_ms), raw)


def signed_items(
    raw: bytes, network: Network, context: Context, count: int, verify: Verifier
) -> tuple[bytes, list[Any]]:  # fmt: skip
    """Author and items, which are `count`; the cheap checks come before the signature. BadMessage."""
    if len(raw) > MAX_RECORD:
        raise BadMessage(f"a signed object has at most {MAX_RECORD} bytes")
    author, payload = cose.parse1(raw)
    items = cbor.decode(payload)
    if type(items) is not list or len(items) != count:
        raise BadMessage(f"a {context} object has {count} items")
    cose.check1(raw, network.aad(context), verify)
    return author, items


def _uint(value: object) -> int:
    if type(value) is not int or value < 0:
        raise BadMessage("seq and expiry are numbers that are not negative")
    return value
