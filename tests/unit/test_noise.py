"""Noise against the published vectors of three other implementations, and what no vector shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from overlay.errors import BadMessage, LocalError
from overlay.secure.noise import CipherState, Handshake, Suite, nonce_of, public_of, rekeyed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "noise.json").read_text())["vectors"]


def name_of(vector: dict[str, Any]) -> str:
    payload = "payload" if vector["messages"][0][0] else "empty"
    prologue = "prologue" if vector["prologue"] else "bare"
    return f"{vector['source']}-{vector['protocol_name']}-{prologue}-{payload}"


def sides(vector: dict[str, Any]) -> tuple[Handshake, Handshake, Suite]:
    suite = Suite.AESGCM if "AESGCM" in vector["protocol_name"] else Suite.CHACHAPOLY
    made = [
        Handshake(
            initiator=side == "init", suite=suite, static=bytes.fromhex(vector[f"{side}_static"]),
            ephemeral=bytes.fromhex(vector[f"{side}_ephemeral"]), prologue=bytes.fromhex(vector["prologue"]),
            psk=bytes.fromhex(vector["psk"]) if vector["psk"] else None,
        )
        for side in ("init", "resp")
    ]  # fmt: skip
    return made[0], made[1], suite


def pair(**changes: Any) -> tuple[Handshake, Handshake]:
    """Two that fit each other; `changes` are those of the responder."""
    common: dict[str, Any] = {"suite": Suite.AESGCM, "prologue": b"here", "psk": None}
    first = Handshake(initiator=True, static=bytes([1]) * 32, ephemeral=bytes([2]) * 32, **common)
    second = Handshake(initiator=False, static=bytes([3]) * 32, ephemeral=bytes([4]) * 32, **common | changes)
    return first, second


def shake(first: Handshake, second: Handshake) -> None:
    second.read(first.write(b"1"))
    first.read(second.write(b"2"))
    second.read(first.write(b"3"))


def test_the_vectors_are_all_there() -> None:
    kinds = [vector["protocol_name"] for vector in VECTORS]
    for pattern in ("XX", "XXpsk0"):
        for cipher in ("AESGCM", "ChaChaPoly"):
            assert kinds.count(f"Noise_{pattern}_25519_{cipher}_SHA256") >= 4


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_every_published_message_is_made_and_read(vector: dict[str, Any]) -> None:
    first, second, suite = sides(vector)
    messages = [(bytes.fromhex(payload), bytes.fromhex(sealed)) for payload, sealed in vector["messages"]]
    writer, reader = first, second
    for payload, sealed in messages[:3]:
        assert writer.write(payload) == sealed
        assert reader.read(sealed) == payload
        writer, reader = reader, writer
    assert first.done
    assert second.done
    assert first.hash == second.hash
    if vector["handshake_hash"]:
        assert first.hash.hex() == vector["handshake_hash"]
    assert first.their_static == public_of(bytes.fromhex(vector["resp_static"]))
    assert second.their_static == public_of(bytes.fromhex(vector["init_static"]))
    sending, receiving = first.keys()
    assert second.keys() == (receiving, sending)
    # In these files transport messages go to and fro; those of flynn begin with the initiator.
    states = {True: CipherState(suite, sending), False: CipherState(suite, receiving)}
    by_initiator = vector["source"] == "flynn"
    for payload, sealed in messages[3:]:
        assert states[by_initiator].seal(payload) == sealed
        by_initiator = not by_initiator


def test_nonces_and_rekey() -> None:
    assert nonce_of(Suite.AESGCM, 1) == bytes(11) + b"\1"
    assert nonce_of(Suite.CHACHAPOLY, 1) == bytes(4) + b"\1" + bytes(7)
    for suite in Suite:
        one, other = CipherState(suite, bytes(32)), CipherState(suite, bytes(32))
        assert other.open(one.seal(b"a")) == b"a"
        one.rekey()
        other.rekey()
        assert one.key == rekeyed(suite, bytes(32))
        assert one.n == 1
        assert other.open(one.seal(b"b")) == b"b"


def test_a_key_is_used_up_before_the_nonce_of_rekey() -> None:
    state = CipherState(Suite.AESGCM, bytes(32))
    state.n = 2**64 - 1
    with pytest.raises(LocalError, match="all that it may"):
        state.seal(b"")


@pytest.mark.parametrize(
    "changes",
    [{"prologue": b"there"}, {"psk": bytes(32)}, {"suite": Suite.CHACHAPOLY}],
    ids=["prologue", "psk", "suite"],
)
def test_who_does_not_fit_learns_nothing(changes: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        shake(*pair(**changes))


def test_two_keys_of_the_network_must_be_the_same() -> None:
    first, second = pair(psk=bytes(32))
    stranger = Handshake(
        initiator=True, suite=Suite.AESGCM, static=bytes([1]) * 32, ephemeral=bytes([2]) * 32, prologue=b"here",
        psk=bytes([9]) * 32,
    )  # fmt: skip
    with pytest.raises(BadMessage):
        second.read(stranger.write(b""))
    with pytest.raises(LocalError, match="not the turn"):
        second.read(first.write(b""))  # it failed once


def test_a_point_of_small_order_is_refused() -> None:
    _, second = pair()
    second.read(bytes(32))  # 0 as the ephemeral key: nothing is computed with it yet
    with pytest.raises(BadMessage, match="everybody"):
        second.write(b"")


def test_nobody_speaks_out_of_turn() -> None:
    first, second = pair()
    with pytest.raises(LocalError, match="not the turn"):
        first.read(b"")
    with pytest.raises(LocalError, match="not the turn"):
        second.write(b"")
    with pytest.raises(LocalError, match="no keys yet"):
        first.keys()
    shake(first, second)
    with pytest.raises(LocalError, match="not the turn"):
        first.write(b"")
    with pytest.raises(LocalError, match="no key yet"):
        CipherState(Suite.AESGCM).rekey()


def test_a_message_has_a_longest_length() -> None:
    first, second = pair()
    with pytest.raises(LocalError, match="65535"):
        first.write(bytes(65_535))
    with pytest.raises(BadMessage, match="65535"):
        second.read(bytes(65_536))
    with pytest.raises(BadMessage, match="too early"):
        pair()[1].read(bytes(31))
