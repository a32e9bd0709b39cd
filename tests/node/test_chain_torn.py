"""A log that a loss of power cut short: the chain opens at an older tip, whole. More: tests/soak/test_chain_torn.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.failing_vfs import disk
from tests.support.torn_log import RESTS, make

__all__ = ["disk"]
pytestmark = pytest.mark.usefixtures("disk")


def test_a_log_cut_at_every_sector_opens_at_a_commit(tmp_path: Path) -> None:
    torn = make(tmp_path, blocks=2, turns=3, seed=1)
    found = torn.cuts(RESTS["nothing"])
    assert found == sorted(found)
    assert set(found) == set(torn.commits.values()) == {0, 1, 2, 3}


@pytest.mark.parametrize("rest", RESTS)
def test_a_log_with_changes_of_branch_opens_at_a_commit(rest: str, tmp_path: Path) -> None:
    torn = make(tmp_path, blocks=40, turns=6, seed=3)
    found = torn.cuts(RESTS[rest], step=14_009)
    assert found == sorted(found)
    assert set(found) == set(torn.commits.values())
