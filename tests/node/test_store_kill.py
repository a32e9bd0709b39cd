"""kill -9 under writes: nothing acknowledged is lost, no pair is torn. 200 kills: tests/soak/test_store_kill.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.store_process import kill_and_check


def test_twenty_kills_lose_nothing(tmp_path: Path) -> None:
    assert kill_and_check(tmp_path, seed=1, kills=20) > 20


def test_the_check_notices_what_was_never_committed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="acknowledged up to"):
        kill_and_check(tmp_path, seed=1, kills=3, role="liar")
