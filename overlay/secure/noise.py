"""Noise_XX and Noise_XXpsk0 over X25519 and SHA-256, without I/O (The Noise Protocol Framework, revision 34).

    XX:  -> e                       XXpsk0:  -> psk, e
         <- e, ee, s, es                     <- e, ee, s, es
         -> s, se                            -> s, se

Section numbers below are those of that document. The primitives are those of the package `cryptography`.
"""

from __future__ import annotations

import enum
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from overlay.errors import BadMessage, LocalError

KEY_BYTES = 32
TAG_BYTES = 16
#: Section 3: every message, handshake and transport alike.
MAX_MESSAGE = 65_535

_XX = (("e",), ("e", "ee", "s", "es"), ("s", "se"))
#: Section 4.2 and 5.1: it is used by REKEY alone, no message may have it.
_LAST_NONCE = 2**64 - 1


class Suite(enum.IntEnum):
    """The cipher of a stream, as the dialler chooses it. Numbers are those of the preface and of StreamKeys."""

    #: AES-256-GCM: the faster one where the processor has AES.
    AESGCM = 1
    #: ChaCha20-Poly1305 (RFC 8439): for machines without.
    CHACHAPOLY = 2

    @property
    def noise_name(self) -> str:
        return "AESGCM" if self is Suite.AESGCM else "ChaChaPoly"


def nonce_of(suite: Suite, n: int) -> bytes:
    """12 bytes: four zeros and the counter, big-endian for AESGCM, little-endian for ChaChaPoly (12.3, 12.4)."""
    return bytes(4) + n.to_bytes(8, "big" if suite is Suite.AESGCM else "little")


def rekeyed(suite: Suite, key: bytes) -> bytes:
    """REKEY(key), section 4.2: the first 32 bytes of ENCRYPT(key, 2**64 - 1, no data, 32 zeros)."""
    return aead_of(suite, key).encrypt(nonce_of(suite, _LAST_NONCE), bytes(KEY_BYTES), b"")[:KEY_BYTES]


def public_of(private: bytes) -> bytes:
    """The X25519 public key of 32 unpredictable bytes."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


class CipherState:
    """Section 5.1: a key and how many messages it has sealed or opened. Without a key nothing is sealed."""

    __slots__ = ("_aead", "_suite", "key", "n")

    def __init__(self, suite: Suite, key: bytes | None = None) -> None:
        self._suite = suite
        self.key = key
        self.n = 0
        self._aead = None if key is None else aead_of(suite, key)

    def seal(self, data: bytes, *, associated: bytes = b"") -> bytes:
        if self._aead is None:
            return data
        return self._aead.encrypt(self._next_nonce(), data, associated)

    def open(self, sealed: bytes, *, associated: bytes = b"") -> bytes:
        """BadMessage if it was not sealed by this key as the next message."""
        if self._aead is None:
            return sealed
        try:
            return self._aead.decrypt(self._next_nonce(), sealed, associated)
        except InvalidTag:
            raise BadMessage("it does not open: changed on the way, or sealed with another key") from None

    def rekey(self) -> None:
        """The counter goes on (section 4.2)."""
        if self.key is None:
            raise LocalError("there is no key yet that could be followed by another")
        self.key = rekeyed(self._suite, self.key)
        self._aead = aead_of(self._suite, self.key)

    def _next_nonce(self) -> bytes:
        if self.n == _LAST_NONCE:
            raise LocalError("this key has sealed all that it may")
        nonce = nonce_of(self._suite, self.n)
        self.n += 1
        return nonce


class Handshake:
    """Section 5.3: `write` and `read` in turn until `done`, then `keys`. After an error it is of no use any more."""

    __slots__ = (
        "_chaining_key", "_cipher", "_ephemeral", "_failed", "_hash", "_initiator", "_psk", "_static", "_step",
        "_suite", "_their_ephemeral", "their_static",
    )  # fmt: skip

    def __init__(
        self, *, initiator: bool, suite: Suite, static: bytes, ephemeral: bytes, prologue: bytes, psk: bytes | None
    ) -> None:
        """`static`, `ephemeral`: 32 unpredictable bytes each; `ephemeral` must never have been used before."""
        self._initiator = initiator
        self._suite = suite
        self._static = X25519PrivateKey.from_private_bytes(static)
        self._ephemeral = X25519PrivateKey.from_private_bytes(ephemeral)
        self._psk = psk
        #: Known once the other side has sent it.
        self.their_static = b""
        self._their_ephemeral = b""
        self._step = 0
        self._failed = False
        pattern = "XX" if psk is None else "XXpsk0"
        name = f"Noise_{pattern}_25519_{suite.noise_name}_SHA256".encode()
        # 5.2 InitializeSymmetric: padded with zeros if it is not longer than a hash, else hashed.
        self._hash = name.ljust(32, b"\0") if len(name) <= 32 else hashlib.sha256(name).digest()
        self._chaining_key = self._hash
        self._cipher = CipherState(suite)
        self._mix_hash(prologue)

    @property
    def done(self) -> bool:
        return self._step == len(_XX)

    @property
    def hash(self) -> bytes:
        """32 bytes that both sides share and nobody else can bring about (11.2, channel binding)."""
        return self._hash

    def write(self, payload: bytes) -> bytes:
        """The next message."""
        self._take_turn(writing=True)
        out = bytearray()
        self._begin()
        for token in _XX[self._step]:
            if token == "e":
                public = self._ephemeral.public_key().public_bytes_raw()
                out += public
                self._mix_ephemeral(public)
            elif token == "s":
                out += self._seal(self._static.public_key().public_bytes_raw())
            else:
                self._mix_shared(token)
        out += self._seal(payload)
        if len(out) > MAX_MESSAGE:
            raise LocalError(f"a Noise message has at most {MAX_MESSAGE} bytes, not {len(out)}")
        self._step += 1
        return bytes(out)

    def read(self, message: bytes) -> bytes:
        """The payload of the other side's next message; BadMessage if it is none."""
        self._take_turn(writing=False)
        try:
            payload = self._read(message)
        except BadMessage:
            self._failed = True
            raise
        self._step += 1
        return payload

    def keys(self) -> tuple[bytes, bytes]:
        """(for sending, for receiving), 32 bytes each: section 5.2, Split."""
        if not self.done:
            raise LocalError("the handshake is not over: there are no keys yet")
        first, second = _hkdf(self._chaining_key, b"", 2)
        return (first, second) if self._initiator else (second, first)

    # --- inside -----------------------------------------------------------------------------

    def _take_turn(self, *, writing: bool) -> None:
        if self._failed or self.done or writing != ((self._step % 2 == 0) == self._initiator):
            raise LocalError("it is not the turn of this side of the handshake")

    def _read(self, message: bytes) -> bytes:
        if len(message) > MAX_MESSAGE:
            raise BadMessage(f"a Noise message has at most {MAX_MESSAGE} bytes")
        self._begin()
        for token in _XX[self._step]:
            if token == "e":
                self._their_ephemeral, message = _cut(message, KEY_BYTES)
                self._mix_ephemeral(self._their_ephemeral)
            elif token == "s":
                sealed, message = _cut(message, KEY_BYTES + TAG_BYTES)
                self.their_static = self._open(sealed)
            else:
                self._mix_shared(token)
        return self._open(message)

    def _begin(self) -> None:
        """psk0 comes before all else (section 9.4)."""
        if self._step == 0 and self._psk is not None:
            self._chaining_key, mixed, key = _hkdf(self._chaining_key, self._psk, 3)
            self._mix_hash(mixed)
            self._cipher = CipherState(self._suite, key)

    def _mix_ephemeral(self, public: bytes) -> None:
        self._mix_hash(public)
        if self._psk is not None:
            self._mix_key(public)  # section 9.2

    def _mix_shared(self, token: str) -> None:
        """`es`: the initiator's ephemeral with the responder's static key, and so on."""
        mine, theirs = (token[0], token[1]) if self._initiator else (token[1], token[0])
        private = self._ephemeral if mine == "e" else self._static
        public = self._their_ephemeral if theirs == "e" else self.their_static
        try:
            shared = private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:  # zero, whatever our key: a point of small order (section 12.1, RFC 7748 6.1)
            self._failed = True
            raise BadMessage("a key that shares the same secret with everybody") from None
        self._mix_key(shared)

    def _mix_hash(self, data: bytes) -> None:
        self._hash = hashlib.sha256(self._hash + data).digest()

    def _mix_key(self, material: bytes) -> None:
        self._chaining_key, key = _hkdf(self._chaining_key, material, 2)
        self._cipher = CipherState(self._suite, key)

    def _seal(self, data: bytes) -> bytes:
        sealed = self._cipher.seal(data, associated=self._hash)
        self._mix_hash(sealed)
        return sealed

    def _open(self, sealed: bytes) -> bytes:
        data = self._cipher.open(sealed, associated=self._hash)
        self._mix_hash(sealed)
        return data


def aead_of(suite: Suite, key: bytes) -> AESGCM | ChaCha20Poly1305:
    return AESGCM(key) if suite is Suite.AESGCM else ChaCha20Poly1305(key)


def _cut(data: bytes, n: int) -> tuple[bytes, bytes]:
    if len(data) < n:
        raise BadMessage("a Noise message ends too early")
    return data[:n], data[n:]


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    """HKDF of section 4.3: two or three outputs of 32 bytes."""
    temporary = hmac.digest(chaining_key, material, "sha256")
    out = [b""]
    for number in range(1, outputs + 1):
        out.append(hmac.digest(temporary, out[-1] + bytes((number,)), "sha256"))
    return out[1:]
