"""Networks: what makes them different, and the keys of private ones."""

from __future__ import annotations

import hashlib

import pytest

from overlay.errors import LocalError
from overlay.identity.network import Context, Network, format_psk, new_psk, parse_psk
from overlay.wire import cbor

PSK = bytes(range(32))


def test_the_id_is_a_hash_of_deterministic_cbor() -> None:
    params = (("long-name", 1), ("b", b"bytes"), ("a", "text"))
    network = Network("home", puzzle_bits=8, params=params, psk=PSK)
    facts = ["p2pnode/net/1", "home", 8, dict(params), hashlib.sha256(PSK).digest()]

    assert network.network_id == hashlib.sha256(cbor.encode(facts)).digest()


def test_every_fact_makes_another_network() -> None:
    networks = [
        Network.default(),
        Network("other"),
        Network("p2pnode", puzzle_bits=11),
        Network("p2pnode", params=(("beacon", "none"),)),
        Network("p2pnode", psk=PSK),
        Network("p2pnode", psk=PSK[::-1]),
    ]

    assert len({network.network_id for network in networks}) == len(networks)
    assert len({network.aad(Context.DGRAM) for network in networks}) == len(networks)


def test_the_order_of_parameters_does_not_matter() -> None:
    assert Network("x", params=(("b", 1), ("a", 2))) == Network("x", params=(("a", 2), ("b", 1)))


@pytest.mark.parametrize("context", list(Context))
def test_associated_data_names_network_and_context(context: Context) -> None:
    network = Network.default()

    assert cbor.decode(network.aad(context)) == ["p2pnode/1", network.network_id, context.value]


def test_a_private_network_has_keys_for_each_purpose() -> None:
    network = Network("home", psk=PSK)
    derived = {network.derived_key(purpose) for purpose in ("seal", "noise", "lan")}

    assert len(derived | {PSK}) == 4
    assert network.sealing_key == network.derived_key("seal")
    assert network.sealing_key != Network("house", psk=PSK).sealing_key
    assert (network.private, network.seal_overhead) == (True, 40)


def test_a_public_network_has_none() -> None:
    network = Network.default()

    assert (network.private, network.sealing_key, network.seal_overhead) == (False, None, 0)
    with pytest.raises(LocalError, match="public"):
        network.derived_key("seal")


def test_a_network_does_not_show_its_key() -> None:
    assert repr(PSK) not in repr(Network("home", psk=PSK))


@pytest.mark.parametrize("name", ["", "x" * 65, " x", "x ", "a\nb", "a\x1b[31m"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(LocalError, match="not a network name"):
        Network(name)


def test_facts_that_cannot_be() -> None:
    with pytest.raises(LocalError, match="0 to 32 bits"):
        Network("x", puzzle_bits=33)
    with pytest.raises(LocalError, match="32 bytes"):
        Network("x", psk=b"password")
    with pytest.raises(LocalError, match="each named once"):
        Network("x", params=(("a", 1), ("a", 2)))
    with pytest.raises(LocalError, match="parameter 'a'"):
        Network("x", params=(("a", 1 << 64),))


def test_a_key_in_text_is_read_back() -> None:
    psk = new_psk(lambda n: bytes(range(n)))

    assert psk == PSK
    assert parse_psk(format_psk(psk)) == PSK
    assert parse_psk(f"  {format_psk(psk).upper()}\n") == PSK


def test_a_mistyped_key_is_refused_and_not_repeated() -> None:
    text = format_psk(PSK)
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")

    with pytest.raises(LocalError, match="check letters") as caught:
        parse_psk(wrong)
    assert wrong[-20:] not in str(caught.value)
    with pytest.raises(LocalError, match="55 letters"):
        parse_psk(text[:-1])
    with pytest.raises(LocalError, match="begins with 'p2pnode-key1:'"):
        parse_psk("secret")
    with pytest.raises(LocalError, match="32 bytes"):
        format_psk(b"short")
