"""Proof that a peer signed a false header: anybody can check it alone, at any time, without the file.

dCBOR, at most MAX_EVIDENCE bytes:

    ["chunk", header, node, uncles]     header: as it was signed (apps.files.core.header)
                                        node: the true one at its place
                                        uncles: what is beside the way up to the root, 32 bytes each

The root and the length in the header fix every node of the tree (SHA-256), so a true header has no such proof.
"""

from __future__ import annotations

import attrs

from apps.files.core import merkle
from apps.files.core.header import Header, check_header, peek_header
from apps.files.core.limits import MAX_EVIDENCE
from overlay.errors import BadMessage
from overlay.identity.keys import Verifier
from overlay.identity.network import Network
from overlay.wire import cbor

KIND = "chunk"


@attrs.frozen(slots=True)
class Fault:
    #: Public key of who signed.
    culprit: bytes
    #: What it said, and what is true.
    said: Header
    node: bytes


def make_evidence(header: bytes, node: bytes, uncles: bytes) -> bytes:
    return cbor.encode([KIND, header, node, uncles])


def verify(evidence: bytes, network: Network, verifier: Verifier) -> Fault | None:
    """None unless it convicts somebody. Never raises, whatever the bytes; a signature is checked last."""
    if len(evidence) > MAX_EVIDENCE:
        return None
    try:
        match cbor.decode(evidence, max_items=4):
            case [str(kind), bytes(raw), bytes(node), bytes(uncles)] if kind == KIND:
                key, said = peek_header(raw)
                if node == said.node or not _is_there(said, node, uncles):
                    return None
                check_header(raw, network, verifier)
                return Fault(key, said, node)
    except BadMessage:
        pass
    return None


def _is_there(place: Header, node: bytes, uncles: bytes) -> bool:
    if len(node) != merkle.HASH_BYTES or len(uncles) % merkle.HASH_BYTES:
        return False
    path = [uncles[at : at + merkle.HASH_BYTES] for at in range(0, len(uncles), merkle.HASH_BYTES)]
    return merkle.proves(place.root, place.length, place.height, place.index, node, path)
