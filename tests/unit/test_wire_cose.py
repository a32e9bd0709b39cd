"""COSE_Sign1 in its one form."""

from __future__ import annotations

import cbor2
import pytest

from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import KeyPair, verify
from overlay.wire import cose

PAIR = KeyPair.from_seed(bytes(range(32)))
AAD = b"associated data"


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 65_535])
def test_what_is_signed_is_what_rfc_9052_says(size: int) -> None:
    payload = bytes(size)
    data = cose.sign1(PAIR, AAD, payload)

    message = cbor2.loads(data)
    protected, unprotected, inner, signature = message.value
    assert (message.tag, dict(unprotected), inner) == (18, {}, payload)
    assert dict(cbor2.loads(protected)) == {1: -19, 4: PAIR.key}
    assert PAIR.sign(cbor2.dumps(["Signature1", protected, AAD, payload])) == signature
    assert len(data) == cose.size_of(size)
    assert cose.parse1(data) == (PAIR.key, payload)
    cose.check1(data, AAD, verify)


def test_a_payload_of_64_kib_is_too_large() -> None:
    with pytest.raises(LocalError, match="too large"):
        cose.sign1(PAIR, AAD, bytes(65_536))


def test_other_associated_data_is_another_message() -> None:
    with pytest.raises(BadMessage, match="signature"):
        cose.check1(cose.sign1(PAIR, AAD, b"x"), b"other", verify)


GOOD = cose.sign1(PAIR, AAD, bytes(range(30)))
FORMS = {
    "without tag": GOOD[1:],
    "tag 98": b"\xd8\x62" + GOOD[1:],
    "tag in a longer form": b"\xd8\x12" + GOOD[1:],
    "array of no length": b"\xd2\x9f" + GOOD[2:] + b"\xff",
    "algorithm EdDSA (-8)": GOOD[:6] + b"\x27" + GOOD[7:],
    "key first in the header": GOOD[:4] + b"\xa2\x04\x58\x20" + GOOD[10:42] + b"\x01\x32" + GOOD[42:],
    "something unprotected": GOOD[:42] + b"\xa1\x01\x32" + GOOD[43:],
    "payload detached": GOOD[:43] + b"\xf6" + GOOD[-66:],
    "payload is text": GOOD[:43] + b"\x78" + GOOD[44:],
    "payload with a longer head": GOOD[:43] + b"\x59\x00" + GOOD[44:],
    "payload longer than it is": GOOD[:44] + b"\x1f" + GOOD[45:],
    "payload shorter than it is": GOOD[:44] + b"\x1d" + GOOD[45:],
    "short signature": GOOD[:-66] + b"\x58\x3f" + GOOD[-63:],
    "signature is text": GOOD[:-66] + b"\x78\x40" + GOOD[-64:],
    "a byte follows": GOOD + b"\x00",
}


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS.keys())
def test_no_other_form_is_read(data: bytes) -> None:
    with pytest.raises(BadMessage, match="not a COSE_Sign1"):
        cose.parse1(data)


@pytest.mark.parametrize("size", range(len(GOOD)))
def test_no_beginning_of_a_message_is_one(size: int) -> None:
    with pytest.raises(BadMessage, match="not a COSE_Sign1"):
        cose.parse1(GOOD[:size])
