"""kill -9 of a real node under writes at 200 random points, the clock set back a day for half of its lives."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.kill_node import Killed


@pytest.mark.parametrize("seed", [1, 2])
def test_100_kills_lose_nothing_acknowledged_and_no_number_goes_back(seed: int, tmp_path: Path) -> None:
    killed = Killed(tmp_path, random.Random(seed))
    recorder = killed.run(kills=100)
    print(f"{killed.acknowledged} puts acknowledged, {len(recorder.stamps)} stamps seen")
    assert killed.acknowledged > 500
    assert len(recorder.stamps) > 100
