"""A posting: "I have all of this share, and call it so", signed by who says it, for a lease.

COSE_Sign1, context posting, over [share id, name, size, files, tags, expires]; no unknown trailing items. It is signed,
though its author gives it away itself, so that others can keep it and answer with it (super-peers).
"""

from __future__ import annotations

from typing import Any

import attrs

from apps.files.core.limits import MAX_FILE_BYTES, MAX_FILES, MAX_NAME, MAX_POSTING, MAX_TAG_BYTES, MAX_TAGS
from apps.files.core.terms import terms
from apps.files.core.wire import ID_BYTES
from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Context, Network
from overlay.identity.node_id import node_id_of
from overlay.wire import cbor, cose
from overlay.wire.records import signed_items

_ITEMS = 6


@attrs.frozen(slots=True)
class Posting:
    #: Public key of who says so.
    author: bytes
    share: bytes
    #: As the info dictionary has it, at most 255 bytes of it: for display once made safe, never for a path.
    name: str
    #: Bytes and number of all files.
    size: int
    files: int
    tags: tuple[str, ...]
    #: Wall clock, ms.
    expires_ms: int
    #: The signed object as it is sent.
    raw: bytes = attrs.field(repr=False)

    @property
    def author_id(self) -> bytes:
        return node_id_of(self.author)


def words_of(name: str, tags: tuple[str, ...]) -> tuple[str, ...]:
    """Words by which a share is found: those of its tags, then those of its name."""
    return tuple(dict.fromkeys(term for text in (*tags, name) for term in terms(text)))


def check_tags(given: Any) -> tuple[str, ...]:
    """Tags as a person gave them, without what is twice; LocalError if they are none, too many or too long."""
    if not isinstance(given, list | tuple) or not all(isinstance(tag, str) for tag in given):
        raise LocalError('"tags" is a list of words')
    tags = tuple(dict.fromkeys(tag.strip() for tag in given))
    for tag in tags:
        if not terms(tag) or not tag.isprintable():
            raise LocalError(f"not a tag: {tag!r} (nobody could search for it: it needs a letter or a number)")
        if len(tag.encode()) > MAX_TAG_BYTES:
            raise LocalError(f"tag {tag!r} has {len(tag.encode())} bytes, at most {MAX_TAG_BYTES}")
    if len(tags) > MAX_TAGS:
        raise LocalError(f"{len(tags)} tags: a share has at most {MAX_TAGS}")
    return tags


def encode_posting(
    signer: Signer, network: Network, *, share: bytes, name: str, size: int, files: int, tags: tuple[str, ...],
    expires_ms: int,
) -> bytes:  # fmt: skip
    """The signed object. A name that is too long is cut."""
    short = name.encode(errors="replace")[:MAX_NAME].decode(errors="ignore")
    return cose.sign1(
        signer, network.aad(Context.POSTING), cbor.encode([share, short, size, files, list(tags), expires_ms])
    )


def decode_posting(raw: bytes, network: Network, verify: Verifier) -> Posting:
    """An authentic posting; BadMessage for anything else. Whether its lease runs, its reader decides."""
    if len(raw) > MAX_POSTING:
        raise BadMessage(f"a posting has at most {MAX_POSTING} bytes")
    author, items = signed_items(raw, network, Context.POSTING, _ITEMS, verify)
    share, name, size, files, tags, expires_ms = items
    if type(share) is not bytes or len(share) != ID_BYTES:
        raise BadMessage("the id of a share has 32 bytes")
    if not _is_text(name, MAX_NAME) or type(tags) is not list or len(tags) > MAX_TAGS:
        raise BadMessage("the name of a posting is too long, or it has too many tags")
    if not all(_is_text(tag, MAX_TAG_BYTES) for tag in tags):
        raise BadMessage("a tag of a posting is too long, or no text")
    for number, most in ((size, MAX_FILE_BYTES), (files, MAX_FILES), (expires_ms, 1 << 62)):
        if type(number) is not int or not 0 <= number <= most:
            raise BadMessage("a number of a posting that no share has")
    return Posting(author, share, name, size, files, tuple(tags), expires_ms, raw)


def _is_text(value: object, most: int) -> bool:
    return type(value) is str and len(value.encode()) <= most
