"""Whose account is meant by what a person types: an address, a key, a name, or the beginning of a known peer's id.

A name is whatever its owner chose, and costs a credit: one that looks like an id, or begins the id of a peer that is
known here, would take the payments of that peer. So neither is understood as a name, unless somebody says `name:`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from apps.chain.core.naming import NAME, begins_like_address, whole_address
from overlay.errors import LocalError, NotFound
from overlay.identity.keys import KEY_BYTES
from overlay.identity.node_id import format_id, id_prefix_matches, is_id_prefix, node_id_of

if TYPE_CHECKING:
    from apps.chain.core.app import Chain

#: Letters of an id between two "-"; tables show two such groups.
_GROUP = 4
_SAY = "say name:… or type an address"


@attrs.frozen(slots=True)
class Payee:
    key: bytes
    #: As a person reads it: "the name edge-3", "peer n7xk-4qfa-…".
    what: str


async def payee(chain: Chain, text: str) -> Payee:
    """NotFound if nobody is called so, LocalError if it is no way to name somebody, or could mean two."""
    text = text.strip()
    if begins_like_address(text):
        return Payee(whole_address(text, chain.params.hrp), "an address")
    if len(text) == 2 * KEY_BYTES and all(char in "0123456789abcdefABCDEF" for char in text):
        return Payee(bytes.fromhex(text), "a key")
    named = text.startswith(NAME)
    text = text.removeprefix(NAME)
    peers = [] if named else _peers(chain, text)
    if len(peers) > 1:
        raise LocalError(f"{text!r} begins the ids of {len(peers)} known peers; type more of it")
    if chain.light and not peers:
        raise LocalError("this node keeps headers alone: it knows no names, and cannot pay")
    found = None if chain.light else await chain.desk.do("name", text.encode())
    if peers:
        key = peers[0]
        if found is not None and found[0] != key:
            raise LocalError(f"{text!r} is a name, and begins the id of a known peer; {_SAY}")
        return Payee(key, f"peer {format_id(node_id_of(key))}")
    if found is None:
        raise NotFound(f"{text!r} is neither an address nor a claimed name, and begins the id of no known peer")
    if not named and _looks_like_an_id(text):
        raise LocalError(f"{text!r} is a name that looks like the id of a peer; {_SAY}")
    return Payee(found[0], f"the name {text}")


def _peers(chain: Chain, text: str) -> list[bytes]:
    """Keys of peers whose ids begin so, this one's too."""
    if not is_id_prefix(text):
        return []
    dht = chain.ctx.dht
    known = {contact.id: contact.key for contact in (*dht.table.contacts(), *dht.endpoint.peers.contacts())}
    known[dht.own_id] = dht.endpoint.signer.key
    return [key for node_id, key in known.items() if id_prefix_matches(text, node_id)]


def _looks_like_an_id(text: str) -> bool:
    groups = text.split("-")
    return len(groups) > 1 and all(len(group) == _GROUP for group in groups[:2]) and is_id_prefix(text)
