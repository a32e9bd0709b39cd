"""A disk that fails at its n-th write: nothing is half written, and the chain goes on when there is room again.

Every operation: tests/soak/test_chain_disk.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.chain.shell import schema
from tests.support.chain_disk import fail_at_each
from tests.support.chain_process import ROOT
from tests.support.chain_starving import check
from tests.support.failing_vfs import FULL, IOERR_FSYNC, IOERR_WRITE, FailingDisk


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingDisk]:
    # So that the log is moved into the file, too, while something fails.
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", 8)
    with FailingDisk() as disk:
        yield disk


@pytest.mark.parametrize(("code", "once"), [(FULL, False), (FULL, True), (IOERR_WRITE, False), (IOERR_WRITE, True)])
def test_a_disk_that_fails_at_its_nth_operation(code: int, once: bool, tmp_path: Path, disk: FailingDisk) -> None:
    hits = fail_at_each(tmp_path / "life", disk, code, once=once, every=11)
    assert hits.count("write") > 10
    assert hits.count("sync") > 0


def test_nothing_is_written_after_a_sync_that_failed(tmp_path: Path, disk: FailingDisk) -> None:
    assert set(fail_at_each(tmp_path / "life", disk, IOERR_FSYNC, once=True, every=13)) == {"sync"}


def test_a_ledger_goes_on_once_its_files_may_grow_again(tmp_path: Path) -> None:
    """A write(2) that fails in the middle, by RLIMIT_FSIZE in a process of its own."""
    command = [sys.executable, "-m", "tests.support.chain_starving", str(tmp_path)]
    check(json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout))
