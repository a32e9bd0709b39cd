"""The puzzle that makes identities cost something."""

from __future__ import annotations

import hashlib

import pytest

from overlay.errors import LocalError
from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import KeySearch, solves
from overlay.runtime.chance import Rng


def leading_zeros(node_id: bytes) -> int:
    return 256 - int.from_bytes(hashlib.sha256(node_id).digest(), "big").bit_length()


def test_solving_means_leading_zero_bits_of_the_hash_of_the_id() -> None:
    for n in range(200):
        node_id = node_id_of(n.to_bytes(2, "big"))
        zeros = leading_zeros(node_id)

        assert solves(node_id, zeros)
        assert solves(node_id, 0)
        assert not solves(node_id, zeros + 1)


def test_a_search_goes_on_where_it_stopped() -> None:
    whole, stepped = KeySearch(5, Rng(1).bytes), KeySearch(5, Rng(1).bytes)

    found = whole.step(10_000)
    while (pair := stepped.step(3)) is None:
        pass

    assert found == pair
    assert stepped.tries == whole.tries < 10_000
    assert whole.expected == 32


def test_a_found_key_solves_the_puzzle() -> None:
    pair = KeySearch(6, Rng(2).bytes).step(10_000)

    assert pair is not None
    assert solves(node_id_of(pair.key), 6)


def test_a_search_ends() -> None:
    search = KeySearch(32, Rng(3).bytes)

    assert search.step(5) is None
    assert search.tries == 5


@pytest.mark.parametrize("bits", [-1, 33])
def test_bits_that_cannot_be(bits: int) -> None:
    with pytest.raises(LocalError, match="0 to 32 bits"):
        KeySearch(bits, Rng(4).bytes)
