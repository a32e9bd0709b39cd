"""200 times kill -9 of a chain, for each of two seeds, and amid pruning and migration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chain_process import kill_and_check, kill_migrating_and_check, kill_pruning_and_check
from tests.support.failing_vfs import disk

__all__ = ["disk"]
pytestmark = pytest.mark.usefixtures("disk")


@pytest.mark.parametrize("seed", [2, 3])
def test_200_kills_amid_changes_of_branch(seed: int, tmp_path: Path) -> None:
    assert kill_and_check(tmp_path, seed=seed, kills=200) > 200


def test_100_kills_amid_pruning(tmp_path: Path) -> None:
    assert kill_pruning_and_check(tmp_path, seed=2, kills=100) > 100


def test_100_kills_amid_a_migration(tmp_path: Path) -> None:
    before, after = kill_migrating_and_check(tmp_path, seed=2, kills=100)
    assert before > 10
    assert after > 10
