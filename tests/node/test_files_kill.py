"""kill -9 of the node that fetches a share, twice. 20 times, and of who gives it: tests/soak/test_files_kill.py."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.kill_files import KilledFiles


@pytest.mark.slow
def test_two_kills_cost_no_unit_that_was_there(tmp_path: Path) -> None:
    killed = KilledFiles(tmp_path, random.Random(3), 4 << 20, 1 << 20, 2)
    killed.run(giver_dies=False)
    assert killed.lost <= 0
