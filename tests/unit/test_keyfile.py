"""The key on disk: whole or not there, for its owner alone, never overwritten."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from overlay.identity.keys import KeyPair
from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import solves
from p2pnode import keyfile
from p2pnode.keyfile import KeyFileError, load_key, load_or_create, needs_passphrase, new_key, save_key, write_secret

PAIR = KeyPair.from_seed(bytes(range(32)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node.key"


def test_a_key_comes_back_from_a_file_of_mode_0600(file: Path) -> None:
    old = os.umask(0)
    try:
        save_key(file, PAIR)
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_key(file) == PAIR
    assert not needs_passphrase(file)
    assert os.listdir(file.parent) == ["node.key"]
    assert file.stat().st_nlink == 1


def test_a_passphrase_is_asked_for_and_checked(file: Path) -> None:
    save_key(file, PAIR, passphrase="correct horse")
    assert needs_passphrase(file)
    assert load_key(file, passphrase="correct horse") == PAIR
    with pytest.raises(KeyFileError, match=f"wrong passphrase.*{file}"):
        load_key(file, passphrase="battery staple")
    with pytest.raises(KeyFileError, match="needs a passphrase"):
        load_key(file)


def test_a_key_of_openssl_is_read(file: Path) -> None:
    # RFC 8410 section 10.3.
    file.write_text(
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
        "-----END PRIVATE KEY-----\n"
    )
    file.chmod(0o600)
    assert load_key(file).key.hex() == "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"


def test_a_file_is_never_overwritten(file: Path) -> None:
    save_key(file, PAIR)
    before = file.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten") as caught:
        save_key(file, KeyPair.from_seed(bytes(32)))
    assert caught.value.facts["move it away"] == f"mv '{file}' '{file}.old'"
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == ["node.key"]


def test_a_dangling_link_is_not_followed(file: Path) -> None:
    file.symlink_to(file.parent / "elsewhere")
    with pytest.raises(KeyFileError, match="never overwritten"):
        save_key(file, PAIR)
    with pytest.raises(KeyFileError):
        load_or_create(file, 0)
    assert os.listdir(file.parent) == ["node.key"]


def test_a_file_system_without_hard_links_keeps_the_same_promises(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_link)
    save_key(file, PAIR)
    with pytest.raises(KeyFileError, match="never overwritten"):
        save_key(file, PAIR)
    assert load_key(file) == PAIR
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["node.key"]


def test_it_is_synced_before_it_is_named_and_the_folder_after(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def seen_fsync(descriptor: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def seen_link(*args: Any, **kwargs: Any) -> None:
        steps.append("name")
        link(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "link", seen_link)
    write_secret(file, b"secret")
    assert steps == ["sync file", "name", "sync folder"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o700 | 0o001])
def test_a_key_that_others_can_reach_is_refused_with_the_command(mode: int, file: Path) -> None:
    save_key(file, PAIR)
    file.chmod(mode)
    with pytest.raises(KeyFileError, match="others can read") as caught:
        load_key(file)
    assert caught.value.facts["close it"] == f"chmod 600 '{file}'"
    assert caught.value.facts["mode"] == f"{mode:04o}"


def test_a_link_counts_as_the_file_behind_it(file: Path) -> None:
    real = file.with_name("real")
    save_key(real, PAIR)
    file.symlink_to(real)
    assert load_key(file) == PAIR
    real.chmod(0o644)
    with pytest.raises(KeyFileError, match="others can read"):
        load_key(file)


def test_what_is_no_key_is_named(file: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        load_key(file)
    os.mkfifo(file, 0o600)
    with pytest.raises(KeyFileError, match="not a file"):
        load_key(file)
    file.unlink()
    file.touch(0o600)
    with pytest.raises(KeyFileError, match="empty"):
        load_key(file)
    file.write_bytes(b"nonsense")
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_key(file)
    file.write_bytes(bytes(keyfile.MAX_SECRET + 1))
    with pytest.raises(KeyFileError, match="larger"):
        load_key(file)


def test_a_new_key_solves_the_puzzle_and_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "_TRIES_A_STEP", 4)
    seeds = iter(range(10_000))
    monkeypatch.setattr(os, "urandom", lambda n: next(seeds).to_bytes(n, "big"))  # so that the search has a length
    calls: list[tuple[int, int]] = []
    pair = new_key(6, progress=lambda tries, expected: calls.append((tries, expected)))
    assert solves(node_id_of(pair.key), 6)
    assert calls == [(4 * (n + 1), 64) for n in range(len(calls))]
    assert len(calls) == int.from_bytes(pair.seed, "big") // 4 > 0


def test_a_home_keeps_its_key(file: Path) -> None:
    pair, is_new = load_or_create(file, 4)
    assert is_new
    assert solves(node_id_of(pair.key), 4)
    assert load_or_create(file, 32) == (pair, False)


_SAVE = """
import sys
from pathlib import Path
from p2pnode.keyfile import KeyFileError, write_secret
sys.stdin.readline()
try:
    write_secret(Path(sys.argv[1]), sys.argv[2].encode() * 1000)
    print(sys.argv[2])
except KeyFileError:
    print("-")
"""


def test_of_processes_that_race_one_wins(file: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _SAVE, str(file), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for name in "abc"
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate()[0].strip() for racer in racers]
    (winner,) = [name for name in said if name != "-"]
    assert file.read_text() == winner * 1000
