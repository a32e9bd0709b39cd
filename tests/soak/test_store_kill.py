"""200 kills in each of two stores, and the loss of power on a real file system."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from p2pnode.store import open_store
from tests.support.store_process import ROOT, kill_and_check, wait_for


@pytest.mark.parametrize("seed", [2, 3])
def test_200_kills_lose_nothing(seed: int, tmp_path: Path) -> None:
    assert kill_and_check(tmp_path, seed=seed, kills=200) > 200


@pytest.mark.needs("root", "mount", "unshare")
def test_a_file_system_that_is_full(tmp_path: Path) -> None:
    # The mount lives and dies with the namespace of the child.
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -m tests.support.store_process tmpfs "$1"'
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable]
    report = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    assert report["error"].startswith("the disk is full")
    assert report["acknowledged"] == report["written"] - 1 > 0
    assert report["failing"] == report["again"]
    assert report["after"] is None
    assert report["failing_after"] is None
    assert report["visible"] == report["reopened"] == report["written"]


@pytest.mark.needs("root", "mount", "mkfs.ext4")
@pytest.mark.parametrize("is_committed_before", [False, True])
def test_what_was_synced_survives_a_power_loss(is_committed_before: bool, tmp_path: Path) -> None:
    """The image under a mounted ext4 is what a disk holds when the power goes: what was not synced is not in it."""
    image, after, folder = tmp_path / "disk", tmp_path / "disk-after", tmp_path / "mount"
    folder.mkdir()
    image.write_bytes(bytes(32 * 1024 * 1024))
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        store = open_store(folder / "node.db")
        store.put(b"first", bytes(1000))
        if is_committed_before:
            assert wait_for(store.commit) is None  # then sync has nothing to write, but much to do
        assert wait_for(store.sync) is None
        shutil.copyfile(image, after)
        store.close()
    finally:
        subprocess.run(["umount", folder], check=True)
    subprocess.run(["mount", "-o", "loop", after, folder], check=True)
    try:
        store = open_store(folder / "node.db")
        found = [key for key, _ in store.scan(b"")]
        store.close()
    finally:
        subprocess.run(["umount", folder], check=True)
    assert found == [b"first"]
