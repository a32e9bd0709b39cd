"""Bytes as text that people can read aloud and type: ids, tickets and network keys share it.

Crockford's base32 (https://www.crockford.com/base32.html) in lower case: no i, l, o, u; on input
case does not matter, i and l are read as 1, o as 0, hyphens and spaces are skipped. Instead of his
one check symbol four check characters (20 bits) follow: a typing error passes once in 2**20.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from overlay.errors import LocalError

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
CHECK_CHARS = 4

_RFC_4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_OURS = str.maketrans(_RFC_4648, ALPHABET, "=")
_TO_RFC = str.maketrans(ALPHABET, _RFC_4648)
_TYPED = str.maketrans("ilo", "110", "- \t\r\n")
_LETTERS = frozenset(ALPHABET)


def encode(data: bytes) -> str:
    """ceil(8 n / 5) characters; unused low bits of the last one are zero."""
    return base64.b32encode(data).decode("ascii").translate(_TO_OURS)


def decode(text: str) -> bytes:
    """The inverse of `encode` for normalised text; LocalError if no bytes encode to it."""
    bad = first_bad(text)
    if bad is not None:
        raise LocalError(f"{bad!r} is not a letter of this alphabet ({ALPHABET})")
    try:
        data = base64.b32decode(text.translate(_TO_RFC) + "=" * (-len(text) % 8))
    except binascii.Error:
        raise LocalError(f"{len(text)} characters do not make whole bytes") from None
    if encode(data) != text:
        raise LocalError("the last character has bits that must be zero")
    return data


def normalise(text: str) -> str:
    """What was typed, in the letters of `encode`: lower case, aliases replaced, hyphens gone."""
    return text.lower().translate(_TYPED)


def first_bad(text: str) -> str | None:
    """The first character of normalised text that is not a letter of the alphabet."""
    return next((letter for letter in text if letter not in _LETTERS), None)


def check_of(label: bytes, data: bytes) -> str:
    """Four check characters: the first 20 bits of SHA-256(label || data)."""
    return encode(hashlib.sha256(label + data).digest()[:5])[:CHECK_CHARS]


def grouped(text: str) -> str:
    """Groups of four letters with hyphens between."""
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))
