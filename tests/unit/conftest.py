"""What the hostile cases of the chain share (test_chain_cases_*.py)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.chains import World


@pytest.fixture
def world() -> Iterator[World]:
    """A ledger with some blocks. Whatever a case offered to it, a good block is accepted right after."""
    world = World()
    yield world
    world.goes_on()
