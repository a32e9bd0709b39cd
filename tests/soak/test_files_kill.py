"""kill -9 of the node that fetches a share, and of the one that gives it, 20 times each."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from apps.files.core.limits import AHEAD_MS, BATCH_BYTES, UNIT_BYTES
from tests.support.kill_files import KilledFiles

MIB = 1 << 20
RATE = 4 * MIB
KILLS = 20
#: Bytes that may be between the disks of who gives and who fetches: given to the stream in a quarter of a second ahead,
#: come and being verified and written, and a unit of the count in tests/support/kill_files.py.
IN_PIPES = RATE * AHEAD_MS // 1000 + BATCH_BYTES + UNIT_BYTES


@pytest.mark.parametrize("seed", [1, 2])
def test_20_kills_of_who_fetches_cost_no_unit_that_was_there_and_one_on_its_way(seed: int, tmp_path: Path) -> None:
    killed = KilledFiles(tmp_path, random.Random(seed), 64 * MIB, RATE, KILLS)
    killed.run(giver_dies=False)
    print(
        f"lost at most {killed.lost} bytes in a kill; {killed.again} sent again, at most {killed.worst} after one kill:"
        " they were under way"
    )
    assert killed.lost <= 0
    assert killed.worst <= IN_PIPES
    assert killed.again <= KILLS * UNIT_BYTES, "on average not more than one piece a kill"


@pytest.mark.parametrize("seed", [1, 2])
def test_20_kills_of_who_gives_cost_no_unit_twice(seed: int, tmp_path: Path) -> None:
    killed = KilledFiles(tmp_path, random.Random(seed), 64 * MIB, RATE, KILLS)
    killed.run(giver_dies=True)
    print(f"{killed.again} bytes came twice")
    assert killed.again <= KILLS * UNIT_BYTES
