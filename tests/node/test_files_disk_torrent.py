"""Hybrid shares and .torrent files on a real disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from apps.files.core.info import decode_info
from apps.files.core.limits import UNIT_BYTES
from apps.files.core.metainfo import decode_torrent
from apps.files.shell.disk import Disk
from overlay.errors import LocalError
from tests.support.disk_rig import make_tree
from tests.support.shares import content, layers_of, share_of

CONTENTS = {
    (b"a",): content(b"a", UNIT_BYTES + 9), (b"b", b"c"): content(b"c", 3), (b"empty",): b"",
    (b"z",): content(b"z", 2 * UNIT_BYTES),
}  # fmt: skip


def tree(folder: Path) -> Path:
    return make_tree(folder / "Share", {b"/".join(path).decode(): data for path, data in CONTENTS.items()})


@pytest.mark.parametrize("piece", [16384, UNIT_BYTES, 4 * UNIT_BYTES])
def test_a_hybrid_share_of_a_folder_is_what_anybody_makes_of_it(tmp_path: Path, piece: int) -> None:
    disk = Disk(str(tmp_path / "home"))
    raw, share = disk.scan_hybrid(str(tree(tmp_path)), None, piece)
    assert raw == share_of(b"Share", CONTENTS, piece, hybrid=True).raw
    disk.export(share, str(tmp_path / "x.torrent"))
    read = decode_torrent((tmp_path / "x.torrent").read_bytes())
    assert (read.info.raw, dict(read.layers)) == (raw, layers_of(CONTENTS, piece))
    disk.close()


def test_one_file_has_no_pad(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(CONTENTS[b"a",])
    disk = Disk(str(tmp_path / "home"))
    raw, _ = disk.scan_hybrid(str(tmp_path / "one"), None, None)
    pieces = decode_info(raw).v1_pieces
    data = CONTENTS[b"a",]
    assert pieces == b"".join(
        hashlib.sha1(part, usedforsecurity=False).digest() for part in (data[:UNIT_BYTES], data[UNIT_BYTES:])
    )
    disk.close()


def test_nothing_is_written_over_and_nothing_half(tmp_path: Path) -> None:
    disk = Disk(str(tmp_path / "home"))
    _, share = disk.scan(str(tree(tmp_path)), None, None)
    (tmp_path / "there").write_text("mine")
    for path, says in (("there", "something of this name"), ("no/such/folder", "No such file")):
        with pytest.raises(LocalError, match=says):
            disk.export(share, str(tmp_path / path))
    assert (tmp_path / "there").read_text() == "mine"
    disk.close()


def test_what_lacks_hashes_is_not_exported(tmp_path: Path) -> None:
    source = Disk(str(tmp_path / "source"))
    raw, share = source.scan(str(tree(tmp_path)), None, None)
    disk = Disk(str(tmp_path / "home"), margin=0)
    disk.open(share, raw, str(tmp_path), None)
    with pytest.raises(LocalError, match="share or fetch it first"):
        disk.export(share, str(tmp_path / "x.torrent"))
    assert not (tmp_path / "x.torrent").exists()
    disk.close()
    source.close()


def test_what_has_no_byte_is_nothing_for_v1(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(LocalError, match="there is no byte in it"):
        Disk(str(tmp_path / "home")).scan_hybrid(str(tmp_path / "empty"), None, None)
