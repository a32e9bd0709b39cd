"""Which chain a network has."""

from __future__ import annotations

import pytest

from apps.chain.core.networks import of_network

NETWORK = bytes(range(32))


@pytest.mark.parametrize(
    ("puzzle_bits", "least", "maturity"),
    [(0, 256, 2), (1, 256, 20), (7, 256, 20), (8, 375, 20), (11, 3_000, 20), (12, 6_000, 20), (32, 6_000, 20)],
)
def test_a_block_costs_at_least_what_the_puzzle_says(puzzle_bits: int, least: int, maturity: int) -> None:
    params = of_network(NETWORK, puzzle_bits)
    assert (params.least_difficulty, params.maturity) == (least, maturity)


def test_every_network_has_a_chain_of_its_own() -> None:
    chains = {of_network(id, bits).chain_id for id in (NETWORK, bytes(32)) for bits in (0, 8, 12)}
    assert len(chains) == 6
