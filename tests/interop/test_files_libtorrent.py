"""Shares, ids and .torrent files against libtorrent, which reads ours and whose we read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from apps.files.core import bencode, metainfo
from apps.files.core.info import decode_info
from apps.files.core.links import make_link, parse_link
from overlay.errors import BadMessage
from tests.support.shares import content, layers_of, share_of, tree_of

SIZES = [
    0, 1, 16383, 16384, 16385, 32768, 32769, 49152, 65536, 100_000, 2**20 - 1, 2**20, 2**20 + 1, 2**20 + 16384,
    3 * 2**20, 5 * 2**20 + 12345,
]  # fmt: skip
PIECES = [16384, 65536, 2**20, 4 * 2**20]

#: Names as they may stand on a disk: order by bytes, not by letters; nested; beyond ASCII; empty files.
FOLDER = {
    (b"a.bin",): 300_000,
    (b"B.bin",): 5,
    (b"empty",): 0,
    (b"sub", b"deep", b"z"): 70_000,
    (b"sub", b"c"): 65_536,
    (b"sub.txt",): 131_072,
    ("Übung 名.txt".encode(),): 16_385,
    (b"zero at the end",): 0,
}


@pytest.fixture(autouse=True)
def _old_calls_of_libtorrent() -> Any:
    """Its Python binding marks `file_storage` as deprecated; what replaces it is not in it yet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def made_by_libtorrent(folder: Path, path: Path, piece: int, *, hybrid: bool) -> dict[bytes, Any]:
    files = lt.file_storage()
    lt.add_files(files, str(path))
    creator = lt.create_torrent(files, piece, 0 if hybrid else lt.create_torrent.v2_only)
    lt.set_piece_hashes(creator, str(folder))
    entry = creator.generate()
    assert isinstance(entry, dict)
    return entry


def write(folder: Path, contents: dict[tuple[bytes, ...], bytes]) -> None:
    for path, data in contents.items():
        target = folder.joinpath(*(name.decode() for name in path))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


@pytest.mark.parametrize("piece", PIECES)
def test_roots_and_piece_layers_of_many_sizes_are_those_of_libtorrent(tmp_path: Path, piece: int) -> None:
    contents = {(b"%08d" % size,): content(b"%d" % size, size) for size in SIZES}
    write(tmp_path / "sizes", contents)
    theirs = made_by_libtorrent(tmp_path, tmp_path / "sizes", piece, hybrid=False)

    tree = theirs[b"info"][b"file tree"]
    ours = {path[0]: tree_of(data).root if data else None for path, data in contents.items()}
    assert ours == {name: node[b""].get(b"pieces root") for name, node in tree.items()}
    assert layers_of(contents, piece) == theirs[b"piece layers"]


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
@pytest.mark.parametrize("piece", PIECES)
def test_a_folder_has_the_same_info_dictionary(tmp_path: Path, piece: int, hybrid: bool) -> None:
    contents = {path: content(b"/".join(path), size) for path, size in FOLDER.items()}
    if hybrid:
        # libtorrent 2.1 lists it before "sub/" in its v1 half and behind it in the tree, and then refuses that itself.
        del contents[(b"sub.txt",)]
    write(tmp_path / "Share", contents)
    theirs = made_by_libtorrent(tmp_path, tmp_path / "Share", piece, hybrid=hybrid)

    share = share_of(b"Share", contents, piece, hybrid=hybrid)
    assert share.raw == lt.bencode(theirs[b"info"])
    read = metainfo.decode_torrent(lt.bencode(theirs))
    assert read.info == share
    assert read.layers == layers_of(contents, piece)


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
@pytest.mark.parametrize("size", [1, 65_536, 65_537, 300_001])
def test_a_file_alone_has_the_same_info_dictionary(tmp_path: Path, size: int, hybrid: bool) -> None:
    contents = {(b"one.bin",): content(b"one", size)}
    write(tmp_path, contents)
    theirs = made_by_libtorrent(tmp_path, tmp_path / "one.bin", 65_536, hybrid=hybrid)

    share = share_of(b"one.bin", contents, 65_536, hybrid=hybrid)
    assert share.raw == lt.bencode(theirs[b"info"])
    assert share.is_file


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_libtorrent_reads_what_is_exported(folder: bool, hybrid: bool) -> None:
    if folder:
        contents = {path: content(b"/".join(path), size) for path, size in FOLDER.items()}
        share = share_of(b"Share", contents, 32768, hybrid=hybrid, folders=((b"nothing", b"in it"),))
    else:
        contents = {(b"one",): content(b"1", 99_999)}
        share = share_of(b"one", contents, 32768, hybrid=hybrid)
    exported = metainfo.encode_torrent(share, layers_of(contents, 32768))

    read = lt.torrent_info(lt.bdecode(exported))
    assert read.info_hashes().v2.to_bytes() == share.id
    assert read.info_hashes().has_v1() == hybrid
    assert read.info_hashes().v1.to_bytes() == (share.v1_id or bytes(20))
    files = read.files()
    listed = {
        files.file_path(i): files.file_size(i)
        for i in range(files.num_files())
        if not files.file_flags(i) & lt.file_storage.flag_pad_file
    }
    base = "Share/" if folder else ""
    assert listed == {base + b"/".join(path).decode(): len(data) for path, data in contents.items()}
    # And the layers: libtorrent refuses a .torrent whose layers do not lead to the roots.
    fields = bencode.decode(exported, max_bytes=2**22)
    layer = next(iter(fields[b"piece layers"]))
    fields[b"piece layers"][layer] = bytes(len(fields[b"piece layers"][layer]))
    with pytest.raises(RuntimeError):
        lt.torrent_info(lt.bdecode(bencode.encode(fields)))


@pytest.mark.parametrize("hybrid", [False, True], ids=["v2", "hybrid"])
def test_links_are_read_by_each_other(hybrid: bool) -> None:
    share = share_of(b"Share & more", {(b"a",): b"x", (b"b",): b"y"}, 16384, hybrid=hybrid)
    theirs = lt.parse_magnet_uri(make_link(share.id, v1_id=share.v1_id, name="Share & more"))
    assert theirs.info_hashes.v2.to_bytes() == share.id
    assert theirs.info_hashes.v1.to_bytes() == (share.v1_id or bytes(20))
    assert theirs.name == "Share & more"

    exported = metainfo.encode_torrent(share, {})
    ours = parse_link(lt.make_magnet_uri(lt.torrent_info(lt.bdecode(exported))))
    assert (ours.id, ours.v1_id, ours.name) == (share.id, share.v1_id, "Share & more")


@pytest.mark.parametrize(
    "change",
    [
        {b"piece length": 3 * 16384},
        {b"piece length": 8192},
        {b"meta version": 3},
        {b"file tree": {}},
        {b"file tree": {b"a": {b"": {b"length": 1}}}},
        {b"file tree": {b"a": {b"": {b"length": -1, b"pieces root": bytes(32)}}}},
        {b"file tree": {b"a": {b"": {b"length": 1, b"pieces root": bytes(31)}}}},
        {b"file tree": {b"a": {b"": {b"length": 1, b"pieces root": b"r" * 32}, b"b": {}}}},
    ],
    ids=str,
)
def test_both_refuse_the_same(change: dict[bytes, Any]) -> None:
    good = share_of(b"N", {(b"a",): b"x", (b"b",): b"y"}, 16384)
    fields = bencode.decode(good.raw) | change
    with pytest.raises(RuntimeError):
        lt.torrent_info(lt.bdecode(bencode.encode({b"info": fields, b"piece layers": {}})))
    with pytest.raises(BadMessage):
        decode_info(bencode.encode(fields))
