"""The core of file sharing on real disks: nodes in the simulator, files in folders."""

from __future__ import annotations

import random
from pathlib import Path

from apps.files.core.app import Files
from apps.files.core.limits import MIB, UNIT_BYTES
from apps.files.shell.disk import Disk
from overlay.app import App
from tests.support.disk_rig import make_tree, tree_at
from tests.support.files_swarm import FilesSwarm
from tests.support.sparse import make_sparse, same


class OnDisk(FilesSwarm):
    def __init__(self, n: int, folder: Path) -> None:
        self.folder = folder
        self.real: dict[int, Disk] = {}
        super().__init__(n, {}, seed=1)

    def _files(self, node: int) -> list[App]:
        self.real[node] = Disk(str(self.folder / f"home {node}"), margin=0)
        self.files[node] = Files(self.real[node].operations())
        return [self.files[node]]


def test_two_nodes_fetch_a_folder_from_a_third(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "shared", {"a": random.Random(1).randbytes(3_000_000), "b/c": b"c", "b/empty": b""})
    swarm = OnDisk(4, tmp_path)
    shared = swarm.ask(0, "share", path=str(tree))
    for node in (1, 2):
        swarm.ask(node, "get", link=shared["link"], folder=str(tmp_path / f"target {node}"))
    swarm.run_for(30)
    for node in (1, 2):
        status = swarm.ask(node, "status", share=shared["id"])
        assert (status["state"], status["path"]) == ("complete", str(tmp_path / f"target {node}" / "shared"))
        assert tree_at(tmp_path / f"target {node}" / "shared") == tree_at(tree)


def test_a_disk_that_is_full_before_anything_came_is_full(tmp_path: Path) -> None:
    (tmp_path / "shared").write_bytes(bytes(range(256)) * 10)
    swarm = OnDisk(2, tmp_path)
    shared = swarm.ask(0, "share", path=str(tmp_path / "shared"))
    swarm.real[1].margin = 1 << 60
    swarm.ask(1, "get", link=shared["link"], folder=str(tmp_path / "target"))
    swarm.run_for(30)
    status = swarm.ask(1, "status", share=shared["id"])
    assert status["state"] == "full"
    assert status["trouble"].startswith(f"the disk is full: {tmp_path / 'target'} has ")
    assert len(swarm.events("full")) == 1
    swarm.real[1].margin = 0
    swarm.ask(1, "resume", share=shared["id"])
    swarm.run_for(30)
    assert swarm.ask(1, "status", share=shared["id"])["state"] == "complete"


def test_zeros_are_not_sent(tmp_path: Path) -> None:
    source, target = tmp_path / "shared", tmp_path / "target"
    source.mkdir()
    data = make_sparse(source / "disk.img", 100 * MIB, islands=3, seed=1)
    swarm = OnDisk(2, tmp_path)
    shared = swarm.ask(0, "share", path=str(source / "disk.img"))
    swarm.ask(1, "get", link=shared["link"], folder=str(target))
    swarm.run_for(30)
    status = swarm.ask(1, "status", share=shared["id"])
    assert (status["state"], status["done"]) == ("complete", 100 * MIB)
    assert status["zeros"] + status["downloaded"] == 100 * MIB
    # Of islands whole units come, and what was asked for before it was known what it is.
    assert status["downloaded"] <= data + 10 * UNIT_BYTES + 8 * MIB
    assert same(source / "disk.img", target / "disk.img")
