"""Seals and opens the records of a stream: Noise transport messages, each after its length (docs/protocol/streams.md).

The Noise Protocol Framework, revision 34: 5.1 (CipherState, REKEY), 12.3 and 12.4 (nonces of the two ciphers). Both
classes work in buffers of the caller, which are used again: a stream at full speed makes no garbage here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

#: A Noise message has at most so many bytes (Noise 3), tag included.
MAX_MESSAGE: Final = 65_535
TAG: Final = 16
LENGTH: Final = 2
MAX_PLAIN: Final = MAX_MESSAGE - TAG
#: What a record is longer than its plaintext.
OVERHEAD: Final = LENGTH + TAG
#: Records of one direction after which its key is replaced: 64 GiB of full ones, far below what AES-GCM bears
#: (RFC 8446 5.5: 2^24.5 full-size records), and below the 2^32 messages of SP 800-38D.
REKEY_AFTER: Final = 1 << 20

_LAST_NONCE: Final = (1 << 64) - 1


class DamagedRecord(Exception):
    """Somebody changed it on the way, or it was sealed with another key; or it is none."""


#: Number of the suite, as in StreamKeys -> cipher, and the nonce of a number.
_SUITES: dict[int, tuple[Callable[[bytes], AESGCM | ChaCha20Poly1305], Callable[[int], bytes]]] = {
    1: (AESGCM, lambda n: n.to_bytes(12, "big")),
    2: (ChaCha20Poly1305, lambda n: b"\0\0\0\0" + n.to_bytes(8, "little")),
}


class _Cipher:
    """The key of one direction, and how many records it has seen."""

    __slots__ = ("_key", "_make", "_nonce_of", "_number", "aead")

    def __init__(self, key: bytes, suite: int) -> None:
        self._make, self._nonce_of = _SUITES[suite]
        self._number = 0
        self._use(key)

    def _use(self, key: bytes) -> None:
        self._key = key
        self.aead = self._make(key)

    def next_nonce(self) -> bytes:
        number = self._number
        if number and number % REKEY_AFTER == 0:
            self._use(self.aead.encrypt(self._nonce_of(_LAST_NONCE), bytes(32), b"")[:32])
        self._number = number + 1
        return self._nonce_of(number)


class Sealer:
    """Of what this side sends."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes, suite: int) -> None:
        self._cipher = _Cipher(key, suite)

    def seal(self, plain: bytes | memoryview, into: memoryview, at: int) -> int:
        """Writes one record of 1 to MAX_PLAIN bytes into `into[at:]`; returns where it ends."""
        sealed = len(plain) + TAG
        begin, end = at + LENGTH, at + LENGTH + sealed
        into[at:begin] = sealed.to_bytes(LENGTH, "big")
        cipher = self._cipher
        nonce = cipher.next_nonce()
        cipher.aead.encrypt_into(nonce, plain, None, into[begin:end])
        return end


class Opener:
    """Of what arrives."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes, suite: int) -> None:
        self._cipher = _Cipher(key, suite)

    def take(self, wire: memoryview, into: memoryview, at: int, most: int) -> tuple[int, int, bool]:
        """Opens whole records of `wire` into `into[at:]` until there are `most` bytes in `into` or no more records.

        Returns how much of `wire` was used, where `into` ends, and whether the next record is damaged: then there is
        nothing after it. `into` has room for MAX_PLAIN bytes beyond `most`.
        """
        used, size, cipher = 0, len(wire), self._cipher
        while at < most and size - used >= LENGTH:
            sealed = wire[used] << 8 | wire[used + 1]
            if sealed <= TAG:  # an empty one would cost its receiver work, and nobody sends it
                return used, at, True
            begin, end = used + LENGTH, used + LENGTH + sealed
            if end > size:
                break
            nonce = cipher.next_nonce()
            try:
                cipher.aead.decrypt_into(nonce, wire[begin:end], None, into[at : at + sealed - TAG])
            except InvalidTag:
                return used, at, True
            used, at = end, at + sealed - TAG
        return used, at, False
