"""A chain on a file system that is full, or can only be read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.chain.shell.schema import FILE_NAME, DiskError
from apps.chain.shell.store import SqliteStore, open_store
from apps.chain.shell.view import open_view
from tests.support.chain_folder import write_chain
from tests.support.chain_starving import check, starve
from tests.support.small_disk import small_disk

ROOM = 8 * 1024 * 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    with small_disk(tmp_path / "small", room=ROOM) as folder:
        yield folder


def noted(file: Path) -> SqliteStore:
    """Open, with something in its log."""
    store = open_store(file)
    store.begin()
    store.put_note("n", b"v")
    store.commit()
    return store


@pytest.mark.needs("root", "mount")
def test_a_ledger_goes_on_when_there_is_room_again(small: Path) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(bytes(5 * 1024 * 1024))
    check(starve(small, ballast.unlink))


@pytest.mark.needs("root", "mount")
def test_a_chain_on_a_disk_that_can_only_be_read(tmp_path: Path, small: Path) -> None:
    """Closed; with all that a killed node left; and with a log alone, which must not be passed over in silence."""
    closed = write_chain(small / "closed", 5)
    store = noted(closed)
    for folder, suffixes in (("killed", ("", "-wal", "-shm")), ("copied", ("", "-wal"))):
        (small / folder).mkdir()
        for suffix in suffixes:
            shutil.copyfile(f"{closed}{suffix}", small / folder / f"{FILE_NAME}{suffix}")
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    for folder in ("closed", "killed"):
        with open_view(small / folder / FILE_NAME) as view:
            assert (view.tip().height, view.note("n")) == (5, b"v")
    with pytest.raises(DiskError, match="has a log, and nothing can be written beside it") as caught, open_view(
        small / "copied" / FILE_NAME
    ):
        pass
    assert "cp" in caught.value.facts["copy it to where you may write"]
    with pytest.raises(DiskError, match="Read-only"):
        open_store(closed)


@pytest.mark.needs("root", "mount")
def test_a_node_that_starts_under_a_reader_who_thought_it_stopped(tmp_path: Path, small: Path) -> None:
    file = write_chain(small, 5)
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["mount", "--bind", small, other], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", other], check=True)
        with pytest.raises(DiskError, match="changed while it was read"), open_view(other / FILE_NAME):
            store = noted(file)
        store.close()
    finally:
        subprocess.run(["umount", "--lazy", other], check=True)
