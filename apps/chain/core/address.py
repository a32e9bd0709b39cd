"""Addresses: the public key of an account as people copy it.

"xn" (a network) or "xs" (a simulation), "1", a letter for the version, 52 for the key and 6 that check: 62 characters.
"""

from __future__ import annotations

from apps.chain.core import bech32m
from overlay.errors import LocalError
from overlay.identity.sizes import KEY_BYTES

REAL, SIMULATED = "xn", "xs"
ADDRESS_CHARS = 62
_VERSION = 0


def format_address(key: bytes, *, hrp: str = REAL) -> str:
    if len(key) != KEY_BYTES:
        raise LocalError(f"an address is made from a key of {KEY_BYTES} bytes, not {len(key)}")
    return bech32m.encode(hrp, [_VERSION, *bech32m.to_values(key)])


def parse_address(text: str, *, hrp: str = REAL) -> bytes:
    """The key, 32 bytes; LocalError if it is mistyped, or of another sort of network."""
    found, values = bech32m.decode(text.strip())
    if found != hrp:
        raise LocalError(f"an address that begins with {found}1, not with {hrp}1: it is of another sort of network")
    if not values or values[0] != _VERSION:
        raise LocalError("an address of a version that this program does not know")
    key = bech32m.to_bytes(values[1:])
    if len(key) != KEY_BYTES:
        raise LocalError(f"an address of {len(key)} bytes, not {KEY_BYTES}")
    return key
