"""kill -9 of a chain amid changes of branch, pruning and migration. 200 kills: tests/soak/test_chain_kill.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chain_process import kill_and_check, kill_migrating_and_check, kill_pruning_and_check
from tests.support.failing_vfs import disk

__all__ = ["disk"]
pytestmark = pytest.mark.usefixtures("disk")


def test_kills_amid_changes_of_branch_tear_nothing(tmp_path: Path) -> None:
    assert kill_and_check(tmp_path, seed=1, kills=8) > 0


def test_the_check_notices_rows_that_do_not_follow_from_the_blocks(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not what the blocks make"):
        kill_and_check(tmp_path, seed=1, kills=8, role="torn")


def test_kills_amid_pruning_forget_nothing_that_is_kept(tmp_path: Path) -> None:
    assert kill_pruning_and_check(tmp_path, seed=1, kills=5) > 10


def test_kills_amid_a_migration_leave_the_older_version_or_the_newer(tmp_path: Path) -> None:
    before, _ = kill_migrating_and_check(tmp_path, seed=1, kills=5)
    assert before > 0
