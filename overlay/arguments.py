"""Arguments of commands, checked: whatever a caller gives becomes a value of the right type or a UsageError."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from overlay.errors import LocalError, NotFound
from overlay.identity.node_id import id_prefix_matches, is_id_prefix, node_id_of, parse_id
from overlay.limits import MAX_RECORD_TTL_MS, MAX_SALT

if TYPE_CHECKING:
    from overlay.peer import Peer

T = TypeVar("T")
Args = dict[str, Any]


class UsageError(LocalError):
    """The command was asked in a way that cannot be answered."""


def arg(args: Args, name: str, kind: type[T]) -> T:
    """Raises UsageError if it is missing or of another type; so do all below."""
    value = optional(args, name, kind)
    if value is None:
        raise UsageError(f"{name} is missing")
    return value


def optional(args: Args, name: str, kind: type[T]) -> T | None:
    value = args.get(name)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool) != (kind is bool)):
        raise UsageError(f"{name}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def key_of(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UsageError(f"not a key: {text!r} (expected 64 hex digits)")
    return key


def id_of(peer: Peer, text: str) -> bytes:
    """A whole id, a public key as 64 hex digits, or a prefix that only one known peer has."""
    if len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text):
        return node_id_of(bytes.fromhex(text))
    try:
        return parse_id(text)
    except LocalError as error:
        if not is_id_prefix(text):
            raise UsageError(str(error)) from None
        ids = {contact.id: None for contact in (*peer.table.contacts(), *peer.endpoint.peers.contacts())}
        ids[peer.id] = None
        matches = [node_id for node_id in ids if id_prefix_matches(text, node_id)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise UsageError(f"{text!r} begins the ids of {len(matches)} known peers; type more of it") from None
        raise NotFound(f"no known peer has an id that begins with {text!r}; type the whole id") from None


def salt_of(args: Args) -> bytes | None:
    name, salt = optional(args, "name", str), optional(args, "salt", bytes)
    if name is not None:
        try:
            salt = name.encode()
        except UnicodeEncodeError:  # half of a surrogate pair: JSON and argv can hold one
            raise UsageError("the name is not Unicode text; give it as bytes (salt)") from None
    if salt is not None and len(salt) > MAX_SALT:
        raise UsageError(f"the name has {len(salt)} bytes, at most {MAX_SALT} are allowed")
    return salt


def ttl_of(args: Args) -> int | None:
    ttl_s = optional(args, "ttl_s", int)
    if ttl_s is not None and not 1 <= ttl_s <= MAX_RECORD_TTL_MS // 1000:
        raise UsageError(f"ttl: {ttl_s} s is not in 1..{MAX_RECORD_TTL_MS // 1000}; without it the record is kept")
    return ttl_s
