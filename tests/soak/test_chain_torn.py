"""A log with many commits and changes of branch, cut at every sector."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.failing_vfs import disk
from tests.support.torn_log import RESTS, make

__all__ = ["disk"]
pytestmark = pytest.mark.usefixtures("disk")


@pytest.mark.parametrize("rest", RESTS)
def test_a_long_log_cut_at_every_sector_opens_at_a_commit(rest: str, tmp_path: Path) -> None:
    torn = make(tmp_path, blocks=60, turns=30, seed=len(rest))
    found = torn.cuts(RESTS[rest])
    assert found == sorted(found)
    assert set(found) == set(torn.commits.values())
    assert max(found) >= 30
