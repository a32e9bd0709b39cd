"""kill -9 of a download, 100 times for each of two seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.disk_rig import kill_and_check


@pytest.mark.parametrize("seed", [1, 2])
def test_100_kills_lose_no_unit_and_take_no_wrong_one(seed: int, tmp_path: Path) -> None:
    _, completed = kill_and_check(tmp_path, seed=seed, kills=100)
    assert completed > 10
