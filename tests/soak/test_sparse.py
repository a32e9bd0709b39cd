"""A file of holes goes from node to node: quickly, in little memory, and holes it stays."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.memory import Memory
from tests.support.nodes import NodeProcess, Nodes, wait_until
from tests.support.sparse import make_sparse, same

GIB = 1 << 30
ISLANDS = 40
#: What a unit is: an island of data may touch one more at each of its ends.
UNIT = 256 << 10
MORE_MB = 64


def ask(node: NodeProcess, command: str, **args: object) -> dict[str, object]:
    answer: dict[str, object] = node.call("POST", f"/v1/apps/files/{command}", args, timeout_s=3_600)["answer"]
    return answer


def fetched(folder: Path, size: int) -> None:
    source, target = folder / "source" / "disk.img", folder / "target"
    for made in (source.parent, target):
        made.mkdir()
    data = make_sparse(source, size, islands=ISLANDS, seed=size)
    with Nodes(folder, 2) as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=1)
        memory = [Memory.of(node.pid) for node in nodes]
        began = time.monotonic()
        share = ask(nodes[0], "share", path=str(source))
        shared_s = time.monotonic() - began
        ask(nodes[1], "get", link=share["link"], folder=str(target))
        status: dict[str, object] = {}

        def is_there() -> bool:
            status.update(ask(nodes[1], "status", share=share["id"]))
            assert status["state"] in ("finding", "checking", "downloading", "complete"), status
            return status["state"] == "complete"

        wait_until(is_there, within_s=3_600, what=lambda: str(status), poll_s=0.2)
        print(
            f"{size // GIB} GiB: shared in {shared_s:.1f} s, fetched in {time.monotonic() - began - shared_s:.1f} s,"
            f" {status['downloaded']:,} bytes sent for {data:,} of data;"
            f" MB above idle: {[one.more_mb for one in memory]}"
        )
        assert max(one.more_mb for one in memory) <= MORE_MB
    assert same(source, target / "disk.img")
    room = target.joinpath("disk.img").stat().st_blocks * 512
    assert room <= data + (ISLANDS + 2) * 2 * UNIT


def test_8_gib(tmp_path: Path) -> None:
    fetched(tmp_path, 8 * GIB)


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 GiB, as long as nobody fills it: room is asked for by the length of what is fetched."""
    folder = tmp_path / "wide"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300g", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.nightly
@pytest.mark.needs("root", "mount")
def test_100_gib(wide: Path) -> None:
    fetched(wide, 100 * GIB)
