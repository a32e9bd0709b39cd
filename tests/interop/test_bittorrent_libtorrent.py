"""Files go from a node to libtorrent and back, by nothing but a link or a .torrent: libtorrent 2.1, as it comes."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.disk_rig import make_tree, tree_at
from tests.support.nodes import ROOT
from tests.support.torrents import FilesNode, Torrents, files_node

KIB, MIB = 1 << 10, 1 << 20
#: Names as they may be, and lengths around all bounds; one without a byte.
FOLDER = {
    "a.bin": 300_000, "B.bin": 5, "empty": 0, "sub/deep/z": 70_000, "sub/c": 65_536, "Übung 名.txt": 16_385,
    "large": 3 * MIB + 17,
}  # fmt: skip


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FilesNode]:
    with files_node(tmp_path_factory.mktemp("bt") / "home") as running:
        yield running


@pytest.fixture
def torrents() -> Iterator[Torrents]:
    client = Torrents()
    yield client
    client.close()


def write(path: Path, length: int) -> bytes:
    data = random.Random(length).randbytes(length)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


def write_folder(folder: Path) -> Path:
    return make_tree(folder, {name: random.Random(name).randbytes(length) for name, length in FOLDER.items()})


# --- from a node ---------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 16_385, MIB + 1, 33 * MIB + 777])
def test_libtorrent_fetches_a_file_by_its_link_alone(
    node: FilesNode, torrents: Torrents, tmp_path: Path, length: int
) -> None:
    data = write(tmp_path / "shared" / f"{length}.bin", length)
    link = node.ask("share", path=str(tmp_path / "shared" / f"{length}.bin"))["link"]
    handle = torrents.fetch(link, tmp_path / "got", node.address)
    torrents.finished(handle)
    assert (tmp_path / "got" / f"{length}.bin").read_bytes() == data


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
def test_libtorrent_fetches_a_folder(node: FilesNode, torrents: Torrents, tmp_path: Path, hybrid: bool) -> None:
    tree = write_folder(tmp_path / "shared" / "Share")
    shared = node.ask("share", path=str(tree), hybrid=hybrid)
    assert ("urn:btih:" in shared["link"]) is hybrid
    handle = torrents.fetch(shared["link"], tmp_path / "got", node.address)
    torrents.finished(handle)
    assert tree_at(tmp_path / "got" / "Share") == tree_at(tree)


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
def test_libtorrent_fetches_by_an_exported_torrent(
    node: FilesNode, torrents: Torrents, tmp_path: Path, hybrid: bool
) -> None:
    data = write(tmp_path / "film.bin", 5 * MIB + 3)
    shared = node.ask("share", path=str(tmp_path / "film.bin"), name=f"film {hybrid}")
    exported = node.ask("export", share=shared["id"], path=str(tmp_path / "x.torrent"), hybrid=hybrid)
    assert (exported["id"] == shared["id"]) is not hybrid
    torrents.finished(torrents.fetch_torrent(tmp_path / "x.torrent", tmp_path / "got", node.address))
    assert (tmp_path / "got" / f"film {hybrid}").read_bytes() == data


def test_one_that_has_it_is_not_asked_for_and_goes(node: FilesNode, torrents: Torrents, tmp_path: Path) -> None:
    write(tmp_path / "both.bin", MIB)
    shared = node.ask("share", path=str(tmp_path / "both.bin"))
    node.ask("export", share=shared["id"], path=str(tmp_path / "both.torrent"))
    handle = torrents.fetch_torrent(tmp_path / "both.torrent", tmp_path, node.address)
    torrents.wait(lambda: handle.status().is_seeding, what="libtorrent has found it on its disk")
    torrents.wait(lambda: not handle.get_peer_info(), what="two seeds part")
    assert node.ask("status", share=shared["id"])["uploaded"] == 0


def test_what_was_recorded_is_replayed(torrents: Torrents, tmp_path: Path) -> None:
    write(tmp_path / "film.bin", MIB)
    with files_node(tmp_path / "home", "--record", str(tmp_path / "recording")) as recorded:
        link = recorded.ask("share", path=str(tmp_path / "film.bin"))["link"]
        torrents.finished(torrents.fetch(link, tmp_path / "got", recorded.address))
        recorded.process.stop()
    line = [sys.executable, "-m", "p2pnode.cli.main", "replay", str(tmp_path / "recording")]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, "identical" in done.stdout + done.stderr) == (0, True), done


# --- to a node -----------------------------------------------------------------------------


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
@pytest.mark.parametrize("piece", [16 * KIB, 256 * KIB, MIB])
@pytest.mark.parametrize("length", [1, 16_385, MIB + 1, 9 * MIB + 777])
def test_a_node_fetches_a_file_from_libtorrent(
    node: FilesNode, torrents: Torrents, tmp_path: Path, length: int, piece: int, hybrid: bool
) -> None:
    name = f"{length} {piece} {hybrid}"
    data = write(tmp_path / "theirs" / name, length)
    handle = torrents.seed(tmp_path / "theirs" / name, piece, hybrid=hybrid)
    link = f"magnet:?xt=urn:btmh:1220{handle.info_hashes().v2}&x.pe=127.0.0.1:{torrents.port}"
    status = node.get(tmp_path / "ours", link=link)
    assert (tmp_path / "ours" / name).read_bytes() == data
    assert (status["downloaded"], status["wasted"]) == (length, 0)


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
def test_a_node_fetches_a_folder_from_libtorrent(
    node: FilesNode, torrents: Torrents, tmp_path: Path, hybrid: bool
) -> None:
    tree = write_folder(tmp_path / "theirs" / f"Share {hybrid}")
    torrents.seed(tree, 64 * KIB, hybrid=hybrid, torrent=tmp_path / "x.torrent")
    handle = torrents.session.get_torrents()[0]
    link = f"magnet:?xt=urn:btmh:1220{handle.info_hashes().v2}&x.pe=127.0.0.1:{torrents.port}"
    node.get(tmp_path / "ours", link=link)
    assert tree_at(tmp_path / "ours" / tree.name) == tree_at(tree)


def test_two_clients_give_a_node_what_each_has(node: FilesNode, torrents: Torrents, tmp_path: Path) -> None:
    data = write(tmp_path / "a" / "twice.bin", 20 * MIB)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "twice.bin").write_bytes(data)
    other = Torrents()
    try:
        handle = torrents.seed(tmp_path / "a" / "twice.bin", MIB)
        other.seed(tmp_path / "b" / "twice.bin", MIB)
        peers = "".join(f"&x.pe=127.0.0.1:{client.port}" for client in (torrents, other))
        node.get(tmp_path / "ours", link=f"magnet:?xt=urn:btmh:1220{handle.info_hashes().v2}{peers}")
        given = [client.session.get_torrents()[0].status().total_payload_upload for client in (torrents, other)]
    finally:
        other.close()
    assert (tmp_path / "ours" / "twice.bin").read_bytes() == data
    assert min(given) > 0
