"""kill -9 of a download, ten times. 100 times: tests/soak/test_files_disk_kill.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.disk_rig import kill_and_check


@pytest.mark.slow
def test_ten_kills_lose_no_unit_and_take_no_wrong_one(tmp_path: Path) -> None:
    acknowledged, completed = kill_and_check(tmp_path, seed=10, kills=10)
    print(f"{acknowledged} units acknowledged, {completed} downloads complete")
    assert acknowledged > 100
    assert completed
