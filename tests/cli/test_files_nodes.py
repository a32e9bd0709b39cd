"""`p2pnode files` with real nodes on loopback: what one shares the others have, whoever is gone meanwhile."""

from __future__ import annotations

import filecmp
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.files.cli import fetch
from tests.cli.conftest import Ran, Run
from tests.support.disk_rig import make_tree, tree_at
from tests.support.nodes import NodeProcess, Nodes, wait_until

#: Ordinary ones on Linux, each a trap somewhere.
ODD = (
    "a b",
    "..foo",
    "Ünï ᚠ",
    "u\u0308 decomposed",
    '"q"',
    "it's",
    "-rf",
    "CON",
    "dot.",
    " ",
    "*?<>|",
    "x" * 255,
    "A",
    "a",
)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three that know each other."""
    with Nodes(tmp_path_factory.mktemp("nodes"), 3, network="files") as nodes:
        nodes.start_all()
        nodes.wait_tables(at_least=2)
        yield nodes


@pytest.fixture
def files(run: Run) -> Any:
    """`files(node, "list")`: `p2pnode --home (that of the node) files list`."""

    def files(node: NodeProcess, *line: str) -> Ran:
        return run("files", *line, before=("--home", str(node.home)))

    return files


def random_file(path: Path, size: int, *, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def shared(files: Any, node: NodeProcess, path: Path) -> dict[str, Any]:
    ran = files(node, "share", str(path), "--json")
    assert ran.code == 0, ran.out
    return dict(ran.json)


def state(node: NodeProcess, share: str) -> dict[str, Any]:
    return dict(node.call("POST", "/v1/apps/files/status", {"share": share})["answer"])


def test_a_folder_goes_from_node_to_node(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    first, second, third = nodes
    tree = tmp_path / "odd names"
    make_tree(tree, {f"{name}/{other}": os.urandom(n * 999) for n, name in enumerate(ODD) for other in ODD[:3]})
    make_tree(tree, {name + ".txt": b"" for name in ODD if len(name) < 200} | {"big": os.urandom(3_000_000)})
    (tree / "empty folder").mkdir()
    link = shared(files, first, tree)["link"]
    ran = files(second, "get", link, "-o", str(tmp_path / "second"), "--json")
    assert ran.code == 0, ran
    assert set(ran.json) == {"v", "path", "size", "seconds", "sources", "wasted_bytes", "notes"}
    assert (ran.json["path"], ran.json["sources"]) == (str(tmp_path / "second" / "odd names"), 1)
    # Not once more in the clear, by the address that the link has for programs of BitTorrent.
    assert "x.pe=" in link
    assert "tcp_plain" not in first.status()["counters"]
    assert first.stop() == 0
    try:
        assert files(third, "get", link, "-o", str(tmp_path / "third")).code == 0
        assert tree_at(tmp_path / "second") == tree_at(tmp_path / "third") == tree_at_(tree)
    finally:
        first.start("--join", second.ticket)
        first.wait_ready()


def tree_at_(tree: Path) -> dict[str, bytes | None]:
    """As it is seen from the folder around it."""
    return {tree.name: None} | {f"{tree.name}/{name}": data for name, data in tree_at(tree).items()}


def test_a_link_is_enough_where_nobody_is_known(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    """The node of the link is dialled where the link says it is."""
    path = random_file(tmp_path / "alone.bin", 300_000)
    link = shared(files, nodes[0], path)["link"]
    assert f"@{nodes[0].address}" in link
    stranger = NodeProcess(tmp_path / "stranger", nodes[0].options)
    try:
        stranger.start()  # without --join
        stranger.wait_ready()
        ran = files(stranger, "get", link, "-o", str(tmp_path / "out"))
        assert ran.code == 0, ran.err
        assert filecmp.cmp(path, tmp_path / "out" / "alone.bin", shallow=False)
    finally:
        stranger.kill()


def test_some_files_then_more_then_the_same_again(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    make_tree(tmp_path / "album", {"1.flac": b"one" * 9000, "2.flac": b"two" * 9000, "notes.txt": b"hm"})
    link, out = shared(files, nodes[0], tmp_path / "album")["link"], tmp_path / "out"
    assert files(nodes[1], "get", link, "-o", str(out), "--only", "1.*", "--json").json["size"] == 27_000
    assert sorted(os.listdir(out / "album")) == ["1.flac"]
    assert files(nodes[1], "get", link, "-o", str(out), "--only", "*.txt").code == 0
    assert sorted(os.listdir(out / "album")) == ["1.flac", "notes.txt"]
    assert files(nodes[1], "get", link, "-o", str(out)).code == 0
    assert tree_at(out / "album") == tree_at(tmp_path / "album")
    again = files(nodes[1], "get", link, "-o", str(out))
    assert (again.code, again.err) == (0, "it was there already\n")
    elsewhere = files(nodes[1], "get", link, "-o", str(tmp_path))
    assert (elsewhere.code, "in another folder" in elsewhere.err) == (1, True)
    assert files(nodes[2], "get", link, "-o", str(out), "--only", "*.mkv").err.startswith("error: no file of the share")


def test_what_is_called_the_same_gets_another_name(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    link = shared(files, nodes[0], random_file(tmp_path / "same.bin", 9000))["link"]
    mine = random_file(tmp_path / "out" / "same.bin", 5, seed=2)
    ran = files(nodes[1], "get", link, "-o", str(mine.parent), "--json")
    assert ran.json["path"] == str(mine.parent / "same (1).bin")
    assert mine.stat().st_size == 5


def test_pause_resume_and_remove(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    _, node, _ = nodes
    path, out = random_file(tmp_path / "slow.bin", 4_000_000), tmp_path / "out"
    share = shared(files, nodes[0], path)
    assert files(node, "limit", "--down", "500k", "--json").json["down"] == 500_000
    ran = files(node, "get", share["link"], "-o", str(out), "--timeout", "2")
    assert ran.code == 6
    assert "it is paused" in ran.err
    assert state(node, share["id"])["state"] == "paused"
    assert files(node, "limit", "--down", "none").code == 0
    assert files(node, "resume", share["id"][:12]).code == 0
    wait_until(lambda: state(node, share["id"])["state"] == "complete", within_s=60, what="not resumed")
    assert filecmp.cmp(path, out / "slow.bin", shallow=False)
    assert files(node, "pause", share["link"], "--json").json["state"] == "paused"
    assert files(node, "remove", share["id"], "--erase").code == 0
    assert os.listdir(out) == []
    assert files(nodes[0], "remove", share["id"], "--erase").err == f"its files stay: {path}\n"
    assert path.exists()
    assert files(node, "status", share["id"]).code == 4


def test_a_node_that_was_killed_goes_on(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    _, node, _ = nodes
    path, out = random_file(tmp_path / "long.bin", 4_000_000), tmp_path / "out"
    share = shared(files, nodes[0], path)
    files(node, "limit", "--down", "1M")
    node.call("POST", "/v1/apps/files/get", {"link": share["link"], "folder": str(out)})
    wait_until(lambda: (state(node, share["id"])["done"] or 0) > 1_000_000, within_s=60, what="nothing came")
    node.kill()
    node.start("--join", nodes[0].ticket)
    node.wait_ready()
    assert files(node, "limit", "--down", "none", "--json").json["down"] == 0
    ran = files(node, "get", share["link"], "-o", str(out))
    assert ran.code == 0, ran.err
    assert filecmp.cmp(path, out / "long.bin", shallow=False)
    assert state(node, share["id"])["downloaded"] < 3_000_000  # what was there was not fetched again


def test_who_sends_what_is_wrong_gives_nothing(files: Any, nodes: Nodes, tmp_path: Path, impatient: None) -> None:
    liar = NodeProcess(tmp_path / "liar", (*nodes[0].options, "--no-files", "--app", "tests.support.liar:Liar"))
    try:
        liar.start("--join", nodes[0].ticket)
        liar.wait_ready()
        link = shared(files, liar, random_file(tmp_path / "lie.bin", 2_000_000))["link"]
        ran = files(nodes[1], "get", link, "-o", str(tmp_path / "out"), "--json")
    finally:
        liar.kill()
    assert ran.code == 5, ran.out
    assert ran.json["error"]["facts"]["sent what is wrong"] == "1 peer"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WRONG_S", 0.5)


def test_nobody_has_it(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    ran = files(nodes[1], "get", "ab" * 32, "-o", str(tmp_path), "--timeout", "1")
    assert ran.code == 6
    assert "it knows nobody who has it" in ran.err
    assert files(nodes[1], "status", "ab" * 32).code == 4


def test_what_cannot_be_shared(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name, says in (("empty", "nothing in this folder"), ("fifo", "neither a file nor a folder")):
        ran = files(nodes[0], "share", str(tmp_path / name))
        assert (ran.code, says in ran.err) == (1, True), ran


def test_bytes_of_names_survive_the_command_line(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    """Nothing says that names are UTF-8."""
    folder = tmp_path / os.fsdecode(b"f\xff")
    path = random_file(folder / os.fsdecode(b"n\xfe"), 1000)
    link = shared(files, nodes[0], path)["link"]
    ran = files(nodes[1], "get", link, "-o", str(folder / "out"), "--json")
    assert ran.code == 0, ran
    assert [name.read_bytes() for name in (folder / "out").iterdir()] == [path.read_bytes()]
    assert len(files(nodes[1], "list").out.splitlines()) > 1


def test_a_torrent_file_is_a_link_too(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    share = shared(files, nodes[0], random_file(tmp_path / "small.bin", 10_000))
    ran = files(nodes[0], "export", share["id"][:8], "-o", str(tmp_path / "small.torrent"), "--json")
    assert (ran.json["id"], ran.json["link"]) == (share["id"], share["link"])
    ran = files(nodes[2], "get", str(tmp_path / "small.torrent"), "-o", str(tmp_path / "out"))
    assert ran.code == 0, ran.err  # found by the DHT: a .torrent names nobody
    (tmp_path / "bad.torrent").write_bytes(b"d4:infode")
    ran = files(nodes[2], "get", str(tmp_path / "bad.torrent"))
    assert (ran.code, "no .torrent that can be fetched" in ran.err) == (1, True)


def test_get_of_what_is_complete_looks_at_the_disk(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    source = random_file(tmp_path / "watched.bin", 300_000)
    link, out = shared(files, nodes[0], source)["link"], tmp_path / "out"
    line = ("get", link, "-o", str(out))
    assert files(nodes[1], *line).code == 0
    assert files(nodes[1], *line).err == "it was there already\n"
    random_file(out / "watched.bin", 300_000, seed=2)
    for _ in range(2):  # the second finds a share that has failed
        ran = files(nodes[1], *line)
        assert ran.code == 1
        assert "watched.bin has changed since it was downloaded" in ran.err
        assert ran.err.splitlines()[-1].split() == ["then", "the", "same", "command"]
    assert files(nodes[1], "remove", link).code == 0
    os.unlink(out / "watched.bin")
    assert files(nodes[1], *line).code == 0
    os.unlink(out / "watched.bin")
    ran = files(nodes[1], *line)
    assert (ran.code, "was downloaded and is gone" in ran.err) == (1, True)
    assert "files remove" in ran.err
    random_file(source, 300_000, seed=3)
    ran = files(nodes[0], "get", link, "-o", str(tmp_path))
    assert (ran.code, "watched.bin has changed since it was shared from here" in ran.err) == (1, True)
    assert "files remove" in ran.err


def test_what_is_deleted_while_it_is_shared(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    source = random_file(tmp_path / "deleted.bin", 300_000, seed=9)
    share = shared(files, nodes[0], source)
    source.unlink()
    # A status that comes amid the look that it has asked for says so.
    wait_until(
        lambda: "checking" not in files(nodes[0], "status", share["id"]).out, within_s=20, what="the look to end"
    )
    ran = files(nodes[0], "status", share["id"])
    assert "failed: " in ran.out
    assert "deleted.bin is gone; share it again where it is now, or remove the share" in ran.out
    ran = files(nodes[1], "get", share["link"], "-o", str(tmp_path / "out"), "--timeout", "3")
    assert (ran.code, "it does not share this, or no longer" in ran.err) == (6, True)


def test_names_that_nothing_has_are_refused_of_what_is_here(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    make_tree(tmp_path / "some", {"1.txt": b"one", "2.txt": b"two"})
    link, out = shared(files, nodes[0], tmp_path / "some")["link"], str(tmp_path / "out")
    assert files(nodes[1], "get", link, "-o", out, "--only", "1.*").code == 0
    for node in nodes[:2]:
        ran = files(node, "get", link, "-o", out, "--only", "*.mkv")
        assert (ran.code, ran.err.startswith("error: no file of the share is called *.mkv")) == (1, True)
    assert files(nodes[1], "get", link, "-o", out, "--only", "1.*").err == "it was there already\n"


def test_what_is_left_out_of_a_folder_is_said(files: Any, nodes: Nodes, tmp_path: Path) -> None:
    make_tree(tmp_path / "linked", {"a.txt": b"a"})
    (tmp_path / "linked" / "elsewhere").symlink_to("/etc/hostname")
    ran = files(nodes[0], "share", str(tmp_path / "linked"))
    assert (ran.code, "note     elsewhere: " in ran.err) == (0, True)
    notes = shared(files, nodes[0], tmp_path / "linked")["notes"]
    assert [note.partition(":")[0] for note in notes] == ["elsewhere"]
