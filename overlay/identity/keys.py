"""Ed25519 keys (RFC 8032), and the one rule by which a signature is valid.

Libraries differ on degenerate input: for A = R = identity and S = 0 some accept any message, so
that anybody could sign for such a key, and two peers with different libraries would disagree. So
our own code checks, before any library is called, that A and R are canonical and not of small
order and that S < L; libsodium then checks the equation without cofactor. (Chalkias, Garillot,
Nikolaenko: Taming the Many EdDSAs, 2020.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import attrs
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from overlay.errors import LocalError
from overlay.identity.sizes import KEY_BYTES as KEY_BYTES
from overlay.identity.sizes import SEED_BYTES as SEED_BYTES
from overlay.identity.sizes import SIGNATURE_BYTES as SIGNATURE_BYTES

#: (key, data, signature) -> whether it is valid. A swarm may plug in a cheap fake.
Verifier = Callable[[bytes, bytes, bytes], bool]

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_Y_MASK = 2**255 - 1
#: y of the eight points of order 1, 2, 4 and 8. Whatever the sign bit says, no other point has them.
_SMALL_ORDER_Y = frozenset(
    {
        1,
        _P - 1,
        0,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
#: Keys whose check is remembered: as many as peers are (limits.MAX_PEERS_REMEMBERED).
_KEYS_REMEMBERED = 8192


class Signer(Protocol):
    """Somebody who can sign: a KeyPair, or a cheap fake in a swarm."""

    @property
    def key(self) -> bytes:
        """Public key, 32 bytes."""
        ...

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        ...


@attrs.frozen(slots=True, repr=False)
class KeyPair:
    """A key that signs. Its repr and its str never show the secret."""

    #: Public key, 32 bytes.
    key: bytes
    #: RFC 8032 secret key, 32 bytes.
    seed: bytes
    #: Seed and public key, as libsodium wants them.
    _expanded: bytes = attrs.field(alias="expanded", eq=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        if len(seed) != SEED_BYTES:
            raise LocalError(f"a key is made from {SEED_BYTES} bytes, not {len(seed)}")
        key, expanded = crypto_sign_seed_keypair(seed)
        return cls(key, seed, expanded)

    def sign(self, data: bytes) -> bytes:
        """64 bytes, the same for the same data (RFC 8032 is deterministic)."""
        return crypto_sign(data, self._expanded)[:SIGNATURE_BYTES]

    def __repr__(self) -> str:
        return f"<KeyPair {self.key.hex()[:8]}>"


@lru_cache(maxsize=_KEYS_REMEMBERED)
def is_sound_key(key: bytes) -> bool:
    """Whether 32 bytes are a canonical encoding and not of small order.

    Whether a point belongs to them at all, libsodium says when a signature is checked.
    """
    return len(key) == KEY_BYTES and _is_sound_point(key)


def verify(key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `key` signed `data`, by the rule of this module. Never raises, whatever the bytes."""
    if (
        len(signature) != SIGNATURE_BYTES
        or not is_sound_key(key)
        or not _is_sound_point(signature[:32])
        or int.from_bytes(signature[32:], "little") >= _L
    ):
        return False
    try:
        crypto_sign_open(signature + data, key)
    except BadSignatureError:
        return False
    return True


def _is_sound_point(encoded: bytes) -> bool:
    y = int.from_bytes(encoded, "little") & _Y_MASK
    return y < _P and y not in _SMALL_ORDER_Y
