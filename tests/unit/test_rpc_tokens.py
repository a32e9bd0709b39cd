"""Tokens: for one key at one address and port, for ten to twenty minutes."""

from __future__ import annotations

import pytest

from overlay.limits import TOKEN_ROTATION_S
from overlay.rpc.tokens import TOKEN_BYTES, TokenMint
from overlay.runtime.address import parse_address
from overlay.runtime.ports import SECOND
from tests.support.pair import entropy_of

KEY = bytes(32)
WHO = KEY + parse_address("192.0.2.1:4433").packed
ROTATION = TOKEN_ROTATION_S * SECOND


@pytest.fixture
def mint() -> TokenMint:
    return TokenMint(entropy_of(1))


@pytest.mark.parametrize("age_ns", [0, ROTATION - 1, ROTATION])
def test_it_is_good_for_one_rotation_at_least(mint: TokenMint, age_ns: int) -> None:
    token = mint.mint(WHO, 5)
    assert len(token) == TOKEN_BYTES
    assert mint.valid(token, WHO, 5 + age_ns)


def test_at_the_end_of_a_rotation_it_still_lasts_for_another(mint: TokenMint) -> None:
    mint.mint(WHO, 0)
    token = mint.mint(WHO, ROTATION - 1)
    assert mint.valid(token, WHO, 2 * ROTATION - 1)


def test_it_ends_after_two_rotations(mint: TokenMint) -> None:
    token = mint.mint(WHO, 0)
    assert mint.valid(token, WHO, ROTATION)
    assert not mint.valid(token, WHO, 2 * ROTATION)


@pytest.mark.parametrize("sleep_ns", [2 * ROTATION, 2 * ROTATION + 1, 1000 * ROTATION])
def test_a_sleep_longer_than_two_rotations_ends_it_at_once(mint: TokenMint, sleep_ns: int) -> None:
    token = mint.mint(WHO, 0)
    assert not mint.valid(token, WHO, sleep_ns)
    assert mint.valid(mint.mint(WHO, sleep_ns), WHO, sleep_ns)


@pytest.mark.parametrize(
    ("key", "address"),
    [
        (bytes(31) + b"\1", "192.0.2.1:4433"),
        (KEY, "192.0.2.2:4433"),
        (KEY, "192.0.2.1:4434"),
        (KEY, "[2001:db8::1]:4433"),
    ],
)
def test_it_is_worth_nothing_for_another_key_address_or_port(mint: TokenMint, key: bytes, address: str) -> None:
    token = mint.mint(WHO, 0)
    assert not mint.valid(token, key + parse_address(address).packed, 0)


def test_another_node_and_another_life_of_this_one_do_not_know_it(mint: TokenMint) -> None:
    token = mint.mint(WHO, 0)
    assert not TokenMint(entropy_of(2)).valid(token, WHO, 0)


@pytest.mark.parametrize("token", [None, bytes(8)])
def test_no_token_and_a_guess_are_no_proof(mint: TokenMint, token: bytes | None) -> None:
    assert not mint.valid(token, WHO, 0)
