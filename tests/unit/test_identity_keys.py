"""Keys and the one rule of verification, which must hold whatever the library below it accepts."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from overlay.errors import LocalError
from overlay.identity import keys
from overlay.identity.keys import KeyPair, is_sound_key, verify
from overlay.identity.pem import from_pem, to_pem

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7

# RFC 8032 7.1: secret key, public key, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
        "3dca179c138ac17ad9bef1177331a704",
    ),
]

GOOD = KeyPair.from_seed(bytes(range(32)))
DATA = b"something to sign"
SIGNATURE = GOOD.sign(DATA)


def point(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


#: All encodings of points of small order, canonical or not, and all encodings with y >= p.
SMALL_ORDER = [
    point(y, sign)
    for y in (0, 1, P - 1, Y8, 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826)
    for sign in (0, 1)
]
NOT_CANONICAL = [point(y, sign) for y in range(P, 2**255) for sign in (0, 1)]


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_vectors_of_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    pair = KeyPair.from_seed(bytes.fromhex(seed))

    assert pair.key.hex() == public
    assert pair.sign(bytes.fromhex(message)).hex() == signature
    assert verify(pair.key, bytes.fromhex(message), bytes.fromhex(signature))


def test_another_message_key_or_signature_is_not_valid() -> None:
    other = KeyPair.from_seed(bytes(32))

    assert verify(GOOD.key, DATA, SIGNATURE)
    assert not verify(GOOD.key, DATA + b"!", SIGNATURE)
    assert not verify(other.key, DATA, SIGNATURE)
    for bit in range(0, 512, 7):
        flipped = int.from_bytes(SIGNATURE, "big") ^ 1 << bit
        assert not verify(GOOD.key, DATA, flipped.to_bytes(64, "big"))


@pytest.fixture
def gullible_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """libsodium accepts everything: what is refused now, our own code refuses."""
    monkeypatch.setattr(keys, "crypto_sign_open", lambda signed, key: b"")


@pytest.mark.usefixtures("gullible_library")
class TestOwnRule:
    def test_a_sound_signature_reaches_the_library(self) -> None:
        assert verify(GOOD.key, DATA, bytes(point(2)) + bytes(32))

    @pytest.mark.parametrize("key", SMALL_ORDER + NOT_CANONICAL, ids=bytes.hex)
    def test_a_degenerate_key_signs_nothing(self, key: bytes) -> None:
        assert not is_sound_key(key)
        assert not verify(key, DATA, SIGNATURE)

    @pytest.mark.parametrize("r", SMALL_ORDER + NOT_CANONICAL, ids=bytes.hex)
    def test_a_degenerate_r_is_refused(self, r: bytes) -> None:
        assert not verify(GOOD.key, DATA, r + SIGNATURE[32:])

    @pytest.mark.parametrize("s", [L, L + 1, 2**252 + 2**128, 2**253, 2**256 - 1])
    def test_s_of_l_or_more_is_refused(self, s: int) -> None:
        assert not verify(GOOD.key, DATA, SIGNATURE[:32] + s.to_bytes(32, "little"))

    def test_s_below_l_is_not(self) -> None:
        assert verify(GOOD.key, DATA, SIGNATURE[:32] + (L - 1).to_bytes(32, "little"))

    @pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
    def test_a_signature_has_64_bytes(self, length: int) -> None:
        assert not verify(GOOD.key, DATA, (SIGNATURE * 2)[:length])

    @pytest.mark.parametrize("length", [0, 31, 33, 64])
    def test_a_key_has_32_bytes(self, length: int) -> None:
        assert not verify((GOOD.key * 2)[:length], DATA, SIGNATURE)


def test_nobody_signs_for_the_identity_key() -> None:
    identity = point(1)

    assert not verify(identity, b"any message", identity + bytes(32))


def test_a_signature_that_solves_the_equation_with_r_of_order_one_is_refused() -> None:
    """S = k a, R = identity: S B = R + k A holds, and the signer proved nothing fresh."""
    digest = hashlib.sha512(GOOD.seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & ~7 & (1 << 254) - 1 | 1 << 254
    k = int.from_bytes(hashlib.sha512(point(1) + GOOD.key + DATA).digest(), "little")

    assert not verify(GOOD.key, DATA, point(1) + (k * scalar % L).to_bytes(32, "little"))


def test_the_same_signature_with_s_plus_l_is_refused() -> None:
    s = int.from_bytes(SIGNATURE[32:], "little") + L

    assert not verify(GOOD.key, DATA, SIGNATURE[:32] + s.to_bytes(32, "little"))


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    assert not verify(point(2), DATA, SIGNATURE)


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_key_is_read_back_from_pem(passphrase: str | None) -> None:
    pem = to_pem(GOOD, passphrase=passphrase)

    assert pem.startswith(b"-----BEGIN ENCRYPTED" if passphrase else b"-----BEGIN PRIVATE")
    assert from_pem(pem, passphrase=passphrase) == GOOD


def test_why_a_pem_cannot_be_read() -> None:
    with pytest.raises(LocalError, match="needs a passphrase"):
        from_pem(to_pem(GOOD, passphrase="a"))
    with pytest.raises(LocalError, match="has no passphrase"):
        from_pem(to_pem(GOOD), passphrase="a")
    with pytest.raises(LocalError, match="wrong passphrase"):
        from_pem(to_pem(GOOD, passphrase="a"), passphrase="b")
    with pytest.raises(LocalError, match="not a PEM"):
        from_pem(b"hello")


def test_a_key_of_another_algorithm_is_refused() -> None:
    pem = X25519PrivateKey.from_private_bytes(bytes(32)).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    with pytest.raises(LocalError, match="not an Ed25519 key"):
        from_pem(pem)


def test_a_key_does_not_show_its_secret() -> None:
    assert GOOD.seed.hex() not in repr(GOOD)
    assert repr(GOOD.seed) not in repr(GOOD)
    assert repr(GOOD) == f"<KeyPair {GOOD.key.hex()[:8]}>"


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(LocalError, match="32 bytes"):
        KeyPair.from_seed(bytes(31))
