"""The first 68 bytes of a connection, both ways: which share, and what the sender can do (BEP 3, 6, 10, 52)."""

from __future__ import annotations

from typing import Final

import attrs

from overlay.errors import BadMessage

#: First byte of every connection of BitTorrent.
FIRST_BYTE: Final = b"\x13"
_NAME: Final = FIRST_BYTE + b"BitTorrent protocol"
HANDSHAKE_BYTES: Final = 68
HASH_BYTES: Final = 20
PEER_ID_BYTES: Final = 20
#: (byte, bit) of the eight reserved bytes.
_EXTENDED, _FAST, _V2 = (5, 0x10), (7, 0x04), (7, 0x10)


@attrs.frozen(slots=True)
class Handshake:
    #: The SHA-1 id of a share, or the first 20 bytes of its SHA-256 id.
    share: bytes
    peer_id: bytes
    #: BEP 10.
    extended: bool = True
    #: BEP 6.
    fast: bool = True
    #: BEP 52; libtorrent leaves it out in answers.
    v2: bool = True


def encode_handshake(handshake: Handshake) -> bytes:
    reserved = bytearray(8)
    for given, (byte, bit) in ((handshake.extended, _EXTENDED), (handshake.fast, _FAST), (handshake.v2, _V2)):
        reserved[byte] |= bit if given else 0
    return _NAME + reserved + handshake.share + handshake.peer_id


def decode_handshake(data: bytes) -> Handshake:
    """BadMessage unless these are 68 bytes of it."""
    if len(data) != HANDSHAKE_BYTES or not data.startswith(_NAME):
        raise BadMessage("no handshake of BitTorrent")
    reserved = data[20:28]
    extended, fast, v2 = (bool(reserved[byte] & bit) for byte, bit in (_EXTENDED, _FAST, _V2))
    return Handshake(data[28:48], data[48:68], extended, fast, v2)
