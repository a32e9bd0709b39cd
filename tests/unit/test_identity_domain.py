"""A key that signs for one purpose: nothing that is signed elsewhere can be had from it."""

from __future__ import annotations

import pytest

from overlay.errors import LocalError
from overlay.identity.domain import DomainSigner
from overlay.identity.keys import KeyPair, verify
from overlay.wire import cose

KEYS = KeyPair.from_seed(bytes(range(32)))
DOMAIN = b"p2pnode/tx/1\0"


def test_it_signs_what_is_of_its_domain() -> None:
    signer = DomainSigner(KEYS, DOMAIN)
    assert signer.key == KEYS.key
    assert verify(KEYS.key, DOMAIN + b"body", signer.sign(DOMAIN + b"body"))


@pytest.mark.parametrize("data", [b"", b"body", b"p2pnode/tx/1", b"p2pnode/tx/2\0body", b"\x84jSignature1"])
def test_it_refuses_all_else(data: bytes) -> None:
    with pytest.raises(LocalError, match="alone"):
        DomainSigner(KEYS, DOMAIN).sign(data)


def test_no_record_or_datagram_can_be_signed_by_it() -> None:
    class Spy:
        key = KEYS.key
        data = b""

        def sign(self, data: bytes) -> bytes:
            self.data = data
            return KEYS.sign(data)

    spy = Spy()
    cose.sign1(spy, b"any context", b"any payload")
    assert spy.data
    with pytest.raises(LocalError):
        DomainSigner(KEYS, DOMAIN).sign(spy.data)


@pytest.mark.parametrize(
    "domain",
    [b"", b"\0", b"p2pnode/\0", b"tx/1\0", b"p2pnode/tx/1", b"p2pnode/t\0x\0", b"p2pnode/\xff\0", b"\x84" * 20],
)
def test_a_domain_that_is_none_is_refused(domain: bytes) -> None:
    with pytest.raises(LocalError, match="a domain is"):
        DomainSigner(KEYS, domain)


def test_it_does_not_show_the_secret() -> None:
    assert KEYS.seed.hex() not in repr(DomainSigner(KEYS, DOMAIN))
