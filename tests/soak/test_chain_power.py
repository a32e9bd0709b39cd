"""The power goes a thousand times while a chain writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.chain.shell import schema
from tests.support.chain_folder import write_chain
from tests.support.chain_power import cut_and_check
from tests.support.chains import QUICK
from tests.support.failing_vfs import FailingDisk, disk

__all__ = ["disk"]


@pytest.mark.parametrize("pages", [8, 24, 1_000])
def test_what_was_synced_outlives_losses_of_power(
    pages: int, tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", pages)
    looked, lost = cut_and_check(tmp_path, disk, seed=pages, lives=12, turns=40)
    assert looked > 350
    # At 8 each commit is moved into the file at once, for which the log is synced.
    assert (lost > 40) is (pages > 8)


def test_pruning_under_losses_of_power(tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 24)
    write_chain(tmp_path / "first", 290, params=QUICK, every=2)
    looked, _ = cut_and_check(tmp_path, disk, seed=3, lives=6, turns=40, keep=288)
    assert looked > 100
