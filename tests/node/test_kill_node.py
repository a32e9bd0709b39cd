"""kill -9 of a real node under writes, five times. 200 times: tests/soak/test_kill_node.py."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.kill_node import Killed


@pytest.mark.slow
def test_five_kills_lose_nothing_acknowledged_and_no_number_goes_back(tmp_path: Path) -> None:
    killed = Killed(tmp_path, random.Random(10))
    recorder = killed.run(kills=5)
    print(f"{killed.acknowledged} puts acknowledged, {len(recorder.stamps)} stamps seen")
    assert killed.acknowledged > 15
    assert len(recorder.stamps) > 5
