"""Our Noise against the package `noiseprotocol`, which knows nothing of ours, in both roles."""

from __future__ import annotations

import pytest
from noise.connection import Keypair, NoiseConnection

from overlay.secure.noise import CipherState, Handshake, Suite, public_of

PROLOGUE = b"\xd2p2pn/1\x01" + bytes(range(32))
PSK = bytes(reversed(range(32)))
CASES = [(suite, psk, ours_dials) for suite in Suite for psk in (None, PSK) for ours_dials in (True, False)]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Suite) else {None: "XX", PSK: "XXpsk0"}.get(value, f"dial-{value}")  # type: ignore[call-overload]


def theirs_of(suite: Suite, psk: bytes | None, *, dials: bool) -> NoiseConnection:
    pattern = "XX" if psk is None else "XXpsk0"
    noise = NoiseConnection.from_name(f"Noise_{pattern}_25519_{suite.noise_name}_SHA256".encode())
    if dials:
        noise.set_as_initiator()
    else:
        noise.set_as_responder()
    noise.set_prologue(PROLOGUE)
    if psk is not None:
        noise.set_psks(psk=psk)
    noise.set_keypair_from_private_bytes(Keypair.STATIC, b"\7" * 32)
    noise.start_handshake()
    return noise


@pytest.mark.parametrize(("suite", "psk", "ours_dials"), CASES, ids=name_of)
def test_each_opens_what_the_other_seals(suite: Suite, psk: bytes | None, ours_dials: bool) -> None:
    ours = Handshake(
        initiator=ours_dials, suite=suite, static=b"\1" * 32, ephemeral=b"\2" * 32, prologue=PROLOGUE, psk=psk
    )
    theirs = theirs_of(suite, psk, dials=not ours_dials)
    payloads = [b"", b"second" * 20, b"third"]
    for step, payload in enumerate(payloads):
        if ours_dials == (step % 2 == 0):
            assert theirs.read_message(ours.write(payload)) == payload
        else:
            assert ours.read(bytes(theirs.write_message(payload))) == payload
    assert theirs.handshake_finished
    assert ours.done
    assert ours.their_static == public_of(b"\7" * 32)
    assert ours.hash == theirs.get_handshake_hash()

    sending, receiving = ours.keys()
    seal, opener = CipherState(suite, sending), CipherState(suite, receiving)
    for number in range(3):
        message = bytes([number]) * (65_519 if number == 1 else 10)
        assert theirs.decrypt(seal.seal(message)) == message
        assert opener.open(bytes(theirs.encrypt(message))) == message
    # REKEY of both directions, as after 2**20 records
    theirs.rekey_inbound_cipher()
    theirs.rekey_outbound_cipher()
    seal.rekey()
    opener.rekey()
    assert theirs.decrypt(seal.seal(b"after")) == b"after"
    assert opener.open(bytes(theirs.encrypt(b"after"))) == b"after"
