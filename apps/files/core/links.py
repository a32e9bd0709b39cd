"""Links to shares: magnet URIs (BEP 9, BEP 52) with where to find peers of ours.

    magnet:?xt=urn:btmh:1220<64 hex>  the id; with xt=urn:btih:<40 hex> before it if the share is hybrid
        &dn=<name>                    for display only
        &x.pe=<ip:port>               peers of BitTorrent (BEP 9)
        &x.p2pnode=<hint>             peers of this network, any of three forms:
              <id>                    56 letters, hyphens or none
              <id>@<ip:port>          and where it was
              p2pnode1:...            a ticket, for somebody who is in no network yet

Any client reads its own part and skips the rest. A link is pasted from anywhere: what it says is bounded, only its
id is believed, and what cannot be read beside the id is left out. Names of hosts are not resolved.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import quote, unquote

import attrs

from apps.files.core.limits import (
    MAX_LINK_CHARS,
    MAX_LINK_HINTS,
    MAX_LINK_NAME,
    MAX_LINK_PARAMETERS,
    MAX_LINK_PEERS,
)
from overlay.errors import LocalError
from overlay.identity.node_id import format_id, parse_id
from overlay.runtime.address import Address, parse_address
from overlay.wire.ticket import Ticket, parse_ticket

#: Multihash: SHA-256 (0x12), 32 bytes (0x20).
_V2 = "urn:btmh:"
_SHA256 = "1220"
_V1 = "urn:btih:"
_HINT = "x.p2pnode"
_SCHEME = "magnet:?"
_ID = re.compile(r"[0-9a-fA-F]{64}")
_V1_HEX = re.compile(r"[0-9a-fA-F]{40}")
#: `xt.1`, `xt.2`: the form for several of a sort.
_NUMBERED = re.compile(r"(xt|x\.pe|x\.p2pnode)\.\d{1,3}")
_HOW = "make one with: p2pnode files share PATH"

T = TypeVar("T")


@attrs.frozen(slots=True)
class Hint:
    """A peer of this network that had the share, and where it was if that is known."""

    peer: bytes
    address: Address | None = None


@attrs.frozen(slots=True)
class Link:
    #: The v2 info-hash.
    id: bytes
    v1_id: bytes | None = None
    #: As somebody wrote it: for display once made safe, never for a path.
    name: str = ""
    #: Peers of BitTorrent.
    peers: tuple[Address, ...] = ()
    hints: tuple[Hint, ...] = ()
    tickets: tuple[Ticket, ...] = ()

    @property
    def foreign(self) -> tuple[Address, ...]:
        """Of `peers`, where nobody of this network is said to be: to the others nobody need speak in the clear."""
        ours = {hint.address for hint in self.hints}
        return tuple(address for address in self.peers if address not in ours)


def make_link(
    share_id: bytes,
    *,
    v1_id: bytes | None = None,
    name: str = "",
    peers: Sequence[Address] = (),
    hints: Sequence[Hint] = (),
    tickets: Sequence[str] = (),
) -> str:
    """One line without spaces. Of peers, hints and tickets the first ones count, as many as are read back."""
    parts = [f"xt={_V1}{v1_id.hex()}"] if v1_id is not None else []
    parts.append(f"xt={_V2}{_SHA256}{share_id.hex()}")
    if name:
        parts.append("dn=" + quote(_shortened(name).encode(errors="replace"), safe=""))
    parts += [f"x.pe={quote(str(attrs.evolve(address, zone=0)), safe='[]:')}" for address in peers[:MAX_LINK_PEERS]]
    said = [hint_text(hint) for hint in hints[:MAX_LINK_HINTS]]
    parts += [f"{_HINT}={quote(text, safe='@[]:-')}" for text in [*said, *tickets[:MAX_LINK_HINTS]]]
    return _SCHEME + "&".join(parts)


def parse_link(text: str) -> Link:
    """What a magnet link, or a bare id of 64 hex digits, names; LocalError says what is wrong with it."""
    line = text.strip()
    if _ID.fullmatch(line):
        return Link(bytes.fromhex(line))
    if len(line) > MAX_LINK_CHARS:
        raise LocalError(f"not a link: {len(line)} characters, at most {MAX_LINK_CHARS}")
    if line[: len(_SCHEME)].lower() != _SCHEME:
        raise LocalError(f"not a link: neither {_SCHEME!r} nor an id of 64 hex digits ({_HOW})")
    given: dict[str, list[str]] = {}
    for part in line[len(_SCHEME) :].split("&", MAX_LINK_PARAMETERS)[:MAX_LINK_PARAMETERS]:
        key, _, value = part.partition("=")
        key = key.lower()
        if numbered := _NUMBERED.fullmatch(key):
            key = numbered[1]
        given.setdefault(key, []).append(unquote(value.replace("+", " "), errors="replace"))
    said = given.get(_HINT, [])
    tickets = [hint for hint in said if ":" in hint and "@" not in hint]
    return Link(
        *_ids(given.get("xt", [])),
        _shortened(given.get("dn", [""])[0]),
        _readable(_peer, given.get("x.pe", []), MAX_LINK_PEERS),
        _readable(parse_hint, (hint for hint in said if hint not in tickets), MAX_LINK_HINTS),
        _readable(parse_ticket, tickets, MAX_LINK_HINTS),
    )


def _ids(topics: list[str]) -> tuple[bytes, bytes | None]:
    ids: list[bytes] = []
    v1: list[bytes] = []
    for topic in topics:
        kind, value = topic[: len(_V2)].lower(), topic[len(_V2) :]
        if kind == _V2:
            if value[:4] != _SHA256 or not _ID.fullmatch(value[4:]):
                raise LocalError(f"not a link: {value[:72]!r} is no SHA-256 ('1220' and 64 hex digits)")
            ids.append(bytes.fromhex(value[4:]))
        elif kind == _V1:
            v1.append(_v1_id(value))
    if len(set(ids)) > 1 or len(set(v1)) > 1:
        raise LocalError("not a link: it names several shares")
    if not ids:
        reason = "it names a share of BitTorrent v1 only; v2 or hybrid is needed" if v1 else "it names no share"
        raise LocalError(f"cannot be fetched: {reason}" if v1 else f"not a link: {reason} ({_HOW})")
    return ids[0], v1[0] if v1 else None


def _v1_id(value: str) -> bytes:
    if _V1_HEX.fullmatch(value):
        return bytes.fromhex(value)
    try:
        # BEP 9: old links have base32.
        raw = base64.b32decode(value.upper()) if value.isascii() and len(value) == 32 else b""
    except binascii.Error:
        raw = b""
    if len(raw) != 20:
        raise LocalError(f"not a link: {value[:48]!r} is no SHA-1 (40 hex digits)")
    return raw


def _readable(read: Callable[[str], T], texts: Iterable[str], most: int) -> tuple[T, ...]:
    """What can be read, without what is twice; the first ones."""
    found: list[T] = []
    for text in texts:
        try:
            value = read(text)
        except LocalError:
            continue
        if value not in found:
            found.append(value)
        if len(found) == most:
            break
    return tuple(found)


def _peer(text: str) -> Address:
    address = parse_address(text)
    if not address.port or not address.scope:
        raise LocalError("nobody can be there")
    return attrs.evolve(address, zone=0)  # a zone is a number of this machine: nobody else can know it


def parse_hint(text: str) -> Hint:
    """`<id>` or `<id>@<ip:port>`; LocalError."""
    letters, at, where = text.partition("@")
    return Hint(parse_id(letters), _peer(where) if at else None)


def hint_text(hint: Hint) -> str:
    where = f"@{attrs.evolve(hint.address, zone=0)}" if hint.address is not None else ""
    return format_id(hint.peer).replace("-", "") + where


def _shortened(name: str) -> str:
    """At most 255 bytes, no character cut in two."""
    return name.encode(errors="replace")[:MAX_LINK_NAME].decode(errors="ignore")
