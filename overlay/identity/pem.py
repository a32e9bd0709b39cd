"""Private keys as PEM: PKCS#8 (RFC 5958, RFC 8410), as `openssl genpkey -algorithm ed25519` makes them.

Apart from keys.py, since most programs that sign and verify read no PEM: the library for it takes as long to load as
all the rest of a command that only looks something up.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from overlay.errors import LocalError
from overlay.identity.keys import KeyPair


def from_pem(pem: bytes, *, passphrase: str | None = None) -> KeyPair:
    """LocalError if there is no such key in it, or the passphrase is not the one."""
    password = None if passphrase is None else passphrase.encode()
    try:
        loaded = serialization.load_pem_private_key(pem, password)
    except TypeError:  # cryptography's way of saying that exactly one of the two is encrypted
        wanted = "has no passphrase" if passphrase is not None else "needs a passphrase"
        raise LocalError(f"the key {wanted}") from None
    except ValueError:
        why = "not a PEM private key" if passphrase is None else "wrong passphrase, or not a PEM private key"
        raise LocalError(f"the key cannot be read: {why}") from None
    except Exception as error:  # UnsupportedAlgorithm and what else the library may add
        raise LocalError(f"the key cannot be read: {error}") from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise LocalError("the key is not an Ed25519 key")
    return KeyPair.from_seed(loaded.private_bytes_raw())


def to_pem(pair: KeyPair, *, passphrase: str | None = None) -> bytes:
    """Encrypted if there is a passphrase (its salt comes from the operating system)."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return Ed25519PrivateKey.from_private_bytes(pair.seed).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
