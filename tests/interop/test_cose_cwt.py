"""Our messages checked by somebody else's COSE library, and its messages by us (`cwt`, algorithm -19)."""

from __future__ import annotations

import pytest
from cwt import COSE, COSEKey
from cwt.exceptions import VerifyError

from overlay.errors import BadMessage
from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Context, Network
from overlay.wire import cose
from overlay.wire.envelope import decode_envelope
from overlay.wire.records import decode_provider, decode_record
from tests.vectors import cases as c
from tests.vectors.make import peers_of
from tests.vectors.text import read_vector

ED25519 = -19  # RFC 9864


def public_key(pair: KeyPair) -> COSEKey:
    """A COSE_Key (RFC 9052 7): OKP, kid, alg, curve Ed25519, x."""
    return COSEKey.new({1: 1, 2: pair.key, 3: ED25519, -1: 6, -2: pair.key})


def private_key(pair: KeyPair) -> COSEKey:
    return COSEKey.new({1: 1, 2: pair.key, 3: ED25519, -1: 6, -2: pair.key, -4: pair.seed})


def sign_with_cwt(pair: KeyPair, context: Context, payload: bytes, *, protected: dict[int, object]) -> bytes:
    aad = c.PUBLIC.aad(context)
    signed = COSE.new().encode_and_sign(
        payload, private_key(pair), protected=protected, unprotected={}, external_aad=aad
    )
    assert isinstance(signed, bytes)
    return signed


@pytest.mark.parametrize("name", c.MESSAGES)
def test_every_message_verifies(name: str) -> None:
    pair, _ = peers_of(c.MESSAGES[name][0])
    data = read_vector(name)

    payload = COSE.new().decode(data, keys=[public_key(pair)], external_aad=c.PUBLIC.aad(Context.DGRAM))

    assert payload == cose.parse1(data)[1]


@pytest.mark.parametrize(
    ("name", "context"), [("object-record", Context.RECORD), ("object-provider", Context.PROVIDER)]
)
def test_every_signed_object_verifies(name: str, context: Context) -> None:
    data = read_vector(name)

    payload = COSE.new().decode(data, keys=[public_key(c.ALICE)], external_aad=c.PUBLIC.aad(context))

    assert payload == cose.parse1(data)[1]


@pytest.mark.parametrize("aad", [b"", Network("other").aad(Context.DGRAM), c.PUBLIC.aad(Context.RECORD)])
def test_in_another_network_or_context_nothing_verifies(aad: bytes) -> None:
    with pytest.raises(VerifyError):
        COSE.new().decode(read_vector("ping"), keys=[public_key(c.ALICE)], external_aad=aad)


@pytest.mark.parametrize("name", c.MESSAGES)
def test_what_cwt_signs_with_our_header_is_our_message(name: str) -> None:
    pair, _ = peers_of(c.MESSAGES[name][0])
    data = read_vector(name)

    signed = sign_with_cwt(pair, Context.DGRAM, cose.parse1(data)[1], protected={1: ED25519, 4: pair.key})

    assert signed.hex() == data.hex()
    assert decode_envelope(signed, c.PUBLIC, verify).key == pair.key


def test_records_that_cwt_signs_are_accepted() -> None:
    header: dict[int, object] = {1: ED25519, 4: c.ALICE.key}
    record, provider = (cose.parse1(read_vector(name))[1] for name in ("object-record", "object-provider"))

    assert decode_record(sign_with_cwt(c.ALICE, Context.RECORD, record, protected=header), c.PUBLIC, verify)
    assert decode_provider(sign_with_cwt(c.ALICE, Context.PROVIDER, provider, protected=header), c.PUBLIC, verify)


@pytest.mark.parametrize(
    "protected",
    [{4: c.ALICE.key, 1: ED25519}, {1: ED25519}, {1: ED25519, 4: c.ALICE.key, 3: "text/plain"}],
    ids=["key before algorithm", "no key", "content type too"],
)
def test_valid_cose_in_another_form_is_refused(protected: dict[int, object]) -> None:
    payload = cose.parse1(read_vector("ping"))[1]

    with pytest.raises(BadMessage, match="not a COSE_Sign1 of this protocol"):
        decode_envelope(sign_with_cwt(c.ALICE, Context.DGRAM, payload, protected=protected), c.PUBLIC, verify)
