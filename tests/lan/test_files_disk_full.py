"""A disk that is full, or can only be read: what is there stays, and the rest comes when there is room."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.files.core import disk
from apps.files.core.limits import MIB, UNIT_BYTES
from apps.files.shell import units
from apps.files.shell.disk import Disk
from overlay.errors import LocalError
from tests.support.disk_rig import Shared, share
from tests.support.small_disk import small_disk

ROOM = 4 * MIB


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    with small_disk(tmp_path / "small", room=ROOM) as folder:
        yield folder


def shared_of(tmp_path: Path, length: int) -> Shared:
    (tmp_path / "data").write_bytes(os.urandom(length))
    return share(tmp_path / "seed", tmp_path / "data", piece=None)


@pytest.mark.needs("root", "mount")
def test_it_pauses_when_the_disk_is_full_and_goes_on_when_there_is_room(tmp_path: Path, small: Path) -> None:
    shared = shared_of(tmp_path, 3 * MIB)
    to = Disk(str(tmp_path / "home"), margin=0)
    shared.held(to, small)
    ballast = small / "ballast"
    ballast.write_bytes(bytes(2 * MIB))
    codes = shared.fetch(to)
    good = codes.count(disk.GOOD)
    assert codes == (disk.GOOD,) * good + (disk.FULL,) * (12 - good)
    assert 6 <= good <= 8
    with pytest.raises(LocalError, match=r"the disk is full: .* MiB free"):
        shared.held(to, small)
    ballast.unlink()
    held = shared.held(to, small)
    assert held == (1 << good) - 1
    assert set(shared.fetch(to, range(good, 12))) == {disk.GOOD}
    to.finish(shared.share)
    assert (small / "data").read_bytes() == (tmp_path / "data").read_bytes()


@pytest.mark.needs("root", "mount")
def test_some_room_is_left_to_others(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "ROOM_BYTES", UNIT_BYTES)
    shared = shared_of(tmp_path, 2 * MIB)
    to = Disk(str(tmp_path / "home"), margin=MIB)
    shared.held(to, small)
    (small / "ballast").write_bytes(bytes(2 * MIB))
    assert disk.FULL in shared.fetch(to)
    found = os.statvfs(small)
    assert found.f_bavail * found.f_frsize >= MIB
    with pytest.raises(LocalError, match="the disk is full"):
        Disk(str(tmp_path / "other"), margin=MIB).open(shared.share, shared.raw, str(small / "sub"), None)


@pytest.mark.needs("root", "mount")
def test_a_file_system_that_can_only_be_read(tmp_path: Path, small: Path) -> None:
    shared = shared_of(tmp_path, MIB)
    to = Disk(str(tmp_path / "home"), margin=0)
    shared.held(to, small)
    shared.fetch(to, [0])
    to.close()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises((LocalError, OSError), match=r"Read-only|only be read"):
        shared.held(to, small)
    subprocess.run(["mount", "-o", "remount,rw", small], check=True)
    assert shared.held(to, small) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_what_the_system_says_of_a_write(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = shared_of(tmp_path, UNIT_BYTES)
    to = Disk(str(tmp_path / "home"), margin=0)
    shared.held(to, tmp_path / "target")
    unit = shared.unit(0)

    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(units, "write_all", fails)
    if number in (errno.ENOSPC, errno.EDQUOT):
        assert to.write(shared.share, (unit, unit)) == (disk.FULL, disk.FULL)
        monkeypatch.undo()
        assert to.write(shared.share, (unit,)) == (disk.FULL,), "until it is opened again"
    else:
        with pytest.raises(LocalError, match="can only be read now" if number == errno.EROFS else "Input/output"):
            to.write(shared.share, (unit,))
        monkeypatch.undo()
    shared.held(to, tmp_path / "target")
    assert to.write(shared.share, (unit,)) == (disk.GOOD,)
