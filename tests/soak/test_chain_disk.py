"""A disk that fails at each of its operations, in each way."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.chain.shell import schema
from tests.support.chain_disk import fail_at_each
from tests.support.failing_vfs import FULL, IOERR_FSYNC, IOERR_TRUNCATE, IOERR_WRITE, FailingDisk


@pytest.mark.parametrize("pages", [4, 8, 1_000])
@pytest.mark.parametrize("once", [False, True])
@pytest.mark.parametrize("code", [FULL, IOERR_WRITE, IOERR_TRUNCATE, IOERR_FSYNC])
def test_a_disk_that_fails_at_every_operation(
    code: int, once: bool, pages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "CHECKPOINT_PAGES", pages)
    with FailingDisk() as disk:
        hits = fail_at_each(tmp_path / "life", disk, code, once=once, every=1)
    assert "sync" in hits
    assert ("write" in hits) is (code != IOERR_FSYNC)
