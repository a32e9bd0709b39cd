"""Tokens: proof that whoever asks can receive at the address it asks from.

A token is a MAC over key and address under a secret that rotates, so the node that gives
tokens out remembers none of them (as BEP 5 does for announce_peer).
"""

from __future__ import annotations

import hashlib
import hmac

from overlay.limits import TOKEN_ROTATION_S
from overlay.runtime.ports import SECOND, Entropy

TOKEN_BYTES = 8


class TokenMint:
    """Valid for one to two rotations: 10 to 20 minutes."""

    __slots__ = ("_current", "_entropy", "_previous", "_rotate_ns")

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._current = entropy(32)
        self._previous = self._current
        self._rotate_ns: int | None = None

    def mint(self, packed: bytes, now_ns: int) -> bytes:
        """For whom `packed` names: `Contact.packed`, key and address."""
        self._rotate(now_ns)
        return _mac(self._current, packed)

    def valid(self, token: bytes | None, packed: bytes, now_ns: int) -> bool:
        if token is None:
            return False
        self._rotate(now_ns)
        return hmac.compare_digest(token, _mac(self._current, packed)) or hmac.compare_digest(
            token, _mac(self._previous, packed)
        )

    def _rotate(self, now_ns: int) -> None:
        if self._rotate_ns is None:
            self._rotate_ns = now_ns + TOKEN_ROTATION_S * SECOND
        elif now_ns >= self._rotate_ns:
            # After a sleep longer than a rotation both secrets are too old.
            idle = now_ns >= self._rotate_ns + TOKEN_ROTATION_S * SECOND
            self._current, self._previous = self._entropy(32), self._current
            if idle:
                self._previous = self._current
            self._rotate_ns = now_ns + TOKEN_ROTATION_S * SECOND


def _mac(secret: bytes, packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=TOKEN_BYTES, key=secret).digest()
