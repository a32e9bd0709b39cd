"""Seals and opens the records of a stream: Noise transport messages, each after its length (docs/protocol/streams.md).

The Noise Protocol Framework, revision 34: 5.1 (CipherState, REKEY), 12.3 and 12.4 (nonces of the two ciphers). Both
classes work in buffers of the caller, which are used again: a stream at full speed makes no garbage here.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag

from overlay.secure.handshake import LENGTH_BYTES as LENGTH
from overlay.secure.noise import MAX_MESSAGE, Suite, aead_of, nonce_of, rekeyed
from overlay.secure.noise import TAG_BYTES as TAG

MAX_PLAIN: Final = MAX_MESSAGE - TAG
#: What a record is longer than its plaintext.
OVERHEAD: Final = LENGTH + TAG
#: Records of one direction after which its key is replaced: 64 GiB of full ones, far below what AES-GCM bears
#: (RFC 8446 5.5: 2^24.5 full-size records), and below the 2^32 messages of SP 800-38D.
REKEY_AFTER: Final = 1 << 20


class _Cipher:
    """The key of one direction, and how many records it has seen."""

    __slots__ = ("_key", "_number", "_suite", "aead")

    def __init__(self, key: bytes, suite: int) -> None:
        self._suite, self._key = Suite(suite), key
        self._number = 0
        self.aead = aead_of(self._suite, key)

    def next_nonce(self) -> bytes:
        number = self._number
        if number and number % REKEY_AFTER == 0:
            self._key = rekeyed(self._suite, self._key)
            self.aead = aead_of(self._suite, self._key)
        self._number = number + 1
        return nonce_of(self._suite, number)


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
