"""The power goes while a chain writes: every block that was synced is there, and nothing is torn."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.chain.shell import schema
from apps.chain.shell.store import SqliteStore
from tests.support.chain_folder import write_chain
from tests.support.chain_power import cut_and_check
from tests.support.chains import QUICK
from tests.support.failing_vfs import FailingDisk, disk

__all__ = ["disk"]


@pytest.fixture(autouse=True)
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the log is moved into the file, too, while the power goes."""
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 24)


def test_what_was_synced_outlives_a_loss_of_power(tmp_path: Path, disk: FailingDisk) -> None:
    looked, lost = cut_and_check(tmp_path, disk, seed=1, lives=4, turns=30)
    assert looked > 50
    assert lost > 5  # of what was not


def test_pruned_blocks_are_gone_or_there_as_a_whole(tmp_path: Path, disk: FailingDisk) -> None:
    write_chain(tmp_path / "first", 290, params=QUICK, every=2)
    looked, _ = cut_and_check(tmp_path, disk, seed=2, lives=2, turns=12, keep=288)
    assert looked > 10


def test_the_check_notices_a_block_that_was_told_too_early(
    tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes itself to be synced after each commit, and is not."""

    def sync_each(self: SqliteStore, _commits: int) -> None:
        self._sync_each = 1
        self._is_full = True
        self._db.execute("PRAGMA synchronous=NORMAL")

    monkeypatch.setattr(SqliteStore, "sync_each", sync_each)
    with pytest.raises(AssertionError, match="was synced, and the file is at"):
        cut_and_check(tmp_path, disk, seed=1, lives=4, turns=30)
