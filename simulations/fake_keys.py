"""Signatures that cost a tenth: for swarms whose question is not whether signatures hold.

The codec ladder of the simulator (docs/benchmarks.md): real Ed25519 at the top, these below it. Key,
sizes and every decision are the same, which tests/sim/test_determinism.py shows.
"""

from __future__ import annotations

from hashlib import blake2b

import attrs


@attrs.frozen(slots=True)
class FakeKeyPair:
    """A port `overlay.identity.keys.Signer`. Whoever knows the public key can sign: the swarm trusts its nodes."""

    #: Public key, 32 bytes; that of a real pair, so that ids are the same.
    key: bytes

    def sign(self, data: bytes) -> bytes:
        return blake2b(data, digest_size=64, key=self.key).digest()


def fake_verify(key: bytes, data: bytes, signature: bytes) -> bool:
    """A port `overlay.identity.keys.Verifier` for FakeKeyPair."""
    return blake2b(data, digest_size=64, key=key).digest() == signature
