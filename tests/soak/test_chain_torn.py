"""A log with many commits and changes of branch, cut at every sector."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.failing_vfs import disk
from tests.support.torn_log import make

__all__ = ["disk"]
pytestmark = pytest.mark.usefixtures("disk")


@pytest.mark.parametrize("seed", range(3))
def test_a_long_log_cut_at_every_sector_opens_at_a_commit(seed: int, tmp_path: Path) -> None:
    torn = make(tmp_path, blocks=60, turns=30, seed=seed)
    found = list(torn.cuts())
    assert found == sorted(found)
    assert set(found) == set(torn.commits.values())
    assert max(found) >= 30
