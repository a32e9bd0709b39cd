"""What a peer signs when it gives a unit: "in the file (root, length) the node at this place is this one".

COSE_Sign1, context chunk, over [root, length, height, index, node]; no unknown trailing items. It is true or false by
itself, at any time and whatever bytes came beside it: the root decides. So it says at which height the unit is a node,
for one file is cut differently in shares with pieces of different lengths, and no time. Who signs only nodes that were
proved up to the root can sign nothing false, whatever becomes of its disk, its clock or its process.
"""

from __future__ import annotations

import enum

import attrs

from apps.files.core.limits import MAX_FILE_BYTES, MAX_HEADER, MAX_HEADERS_KEPT
from apps.files.core.merkle import HASH_BYTES, nodes_at, tree_height
from overlay.errors import BadMessage
from overlay.identity.keys import Signer, Verifier
from overlay.identity.network import Context, Network
from overlay.identity.node_id import node_id_of
from overlay.wire import cbor, cose

_ITEMS = 5


@attrs.frozen(slots=True)
class Header:
    #: Of the file: 32 bytes, and how long it is.
    root: bytes
    length: int
    #: Of the unit's node, counted from the leaves, and its index among those of this height.
    height: int
    index: int
    node: bytes


def encode_header(signer: Signer, network: Network, header: Header) -> bytes:
    """At most MAX_HEADER bytes."""
    items = [header.root, header.length, header.height, header.index, header.node]
    return cose.sign1(signer, network.aad(Context.CHUNK), cbor.encode(items))


def peek_header(raw: bytes) -> tuple[bytes, Header]:
    """(public key, what it says), the signature NOT checked. BadMessage for what is no place of any file."""
    if len(raw) > MAX_HEADER:
        raise BadMessage(f"a header of {len(raw)} bytes, at most {MAX_HEADER}")
    key, payload = cose.parse1(raw)
    items = cbor.decode(payload, max_items=_ITEMS)
    if type(items) is not list or len(items) != _ITEMS:
        raise BadMessage(f"a header has {_ITEMS} items")
    root, length, height, index, node = items
    if not all(type(item) is bytes and len(item) == HASH_BYTES for item in (root, node)):
        raise BadMessage(f"root and node of a header have {HASH_BYTES} bytes")
    if not all(type(item) is int for item in (length, height, index)):
        raise BadMessage("length, height and index of a header are numbers")
    if not (
        0 < length <= MAX_FILE_BYTES and 0 <= height <= tree_height(length) and 0 <= index < nodes_at(length, height)
    ):
        raise BadMessage("a header of a place that its file has not")
    return key, Header(root, length, height, index, node)


def check_header(raw: bytes, network: Network, verify: Verifier) -> None:
    """BadMessage unless the signature of what `peek_header` accepts is valid in this network."""
    cose.check1(raw, network.aad(Context.CHUNK), verify)


class Finding(enum.Enum):
    #: Signed by who sent it, for this place, and true.
    TRUE = enum.auto()
    #: Signed by who sent it, for this place, and another node than the true one.
    FALSE = enum.auto()
    #: Not there, not readable, for another place, of somebody else, or not signed.
    NONE = enum.auto()


@attrs.define(slots=True, eq=False)
class Headers:
    """Signs those of this node and judges those of others."""

    signer: Signer
    network: Network
    verifier: Verifier
    #: What was signed, oldest first: a signature costs 20 us, and many may ask for the same units.
    _kept: dict[Header, bytes] = attrs.field(factory=dict, init=False)

    def sign(self, header: Header) -> bytes:
        """Only of a node that was proved up to the root."""
        raw = self._kept.get(header)
        if raw is None:
            raw = self._kept[header] = encode_header(self.signer, self.network, header)
            if len(self._kept) > MAX_HEADERS_KEPT:
                del self._kept[next(iter(self._kept))]
        return raw

    def judge(self, raw: bytes, peer: bytes, true: Header) -> Finding:
        """Of what the peer of this node id sent with the unit at the place of `true`. A signature is checked last."""
        try:
            key, said = peek_header(raw)
            if attrs.evolve(said, node=true.node) != true or node_id_of(key) != peer:
                return Finding.NONE
            check_header(raw, self.network, self.verifier)
        except BadMessage:
            return Finding.NONE
        return Finding.TRUE if said == true else Finding.FALSE
