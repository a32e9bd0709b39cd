"""Ids for clients of BitTorrent, which have no keys. They mean something within one share of one node alone."""

from __future__ import annotations

import hashlib
from typing import Final

from overlay.runtime.address import Address

_CONTEXT: Final = b"p2pnode/files/bittorrent"


def pseudonym(share: bytes, address: Address, peer_id: bytes = b"") -> bytes:
    """32 bytes, where others have a NodeId. Whoever was dialled is known by address and port; whoever came, with a port
    of the moment, by address and its own id."""
    where = address.ip if peer_id else address.packed
    return hashlib.sha256(b"\0".join((_CONTEXT, share, where.hex().encode(), peer_id))).digest()
