"""Sealing of datagrams on a private network: who lacks the network's key sees no kind, no key, no id.

XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its nonce of 24 bytes may be random for the life
of a key, which no counter of ours could promise for several members of one network. Sealing is
membership; who of the members says something is told by the signature inside.
"""

from __future__ import annotations

from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as _decrypt
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as _encrypt
from nacl.exceptions import CryptoError

from overlay.errors import BadMessage
from overlay.limits import MAX_DATAGRAM, SEAL_OVERHEAD
from overlay.runtime.ports import Entropy

_NONCE = 24


def seal(seal_key: bytes, plain: bytes, entropy: Entropy) -> bytes:
    """nonce, ciphertext, tag: 40 bytes more. `seal_key` is `network.sealing_key`."""
    nonce = entropy(_NONCE)
    return nonce + _encrypt(plain, None, nonce, seal_key)


def open_sealed(seal_key: bytes, data: bytes) -> bytes:
    """The datagram that a member of the network sealed; BadMessage for anything else."""
    if not SEAL_OVERHEAD <= len(data) <= MAX_DATAGRAM:
        raise BadMessage("not a sealed datagram")
    try:
        return _decrypt(data[_NONCE:], None, data[:_NONCE], seal_key)
    except CryptoError:
        raise BadMessage("not sealed with the key of this network") from None
