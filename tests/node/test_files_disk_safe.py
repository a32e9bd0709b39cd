"""What is on the disk after a power failure, and what becomes of a file that cannot be read for once."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.files.core import bits, disk
from apps.files.shell import hashing, part, safe, units
from apps.files.shell.disk import Disk
from overlay.errors import LocalError
from tests.support.disk_rig import SMALL, Shared, make_tree, share, tree_at

CONTENTS = {"large": random.Random(1).randbytes(5 * SMALL + 7), "small": b"small"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "shared", CONTENTS)


@pytest.fixture
def shared(tmp_path: Path, tree: Path) -> Shared:
    return share(tmp_path / "seed", tree)


class Calls:
    """Of the system, in order: `sync X` and `name X`, by the last part of their path."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.all: list[str] = []
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            self.all.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
            fsync(descriptor)

        patch.setattr(os, "fsync", synced)
        for name in ("rename", "replace"):
            patch.setattr(os, name, self._named(getattr(os, name)))
        beside = safe.rename_beside
        patch.setattr(part, "rename_beside", lambda base, old, new: (self.all.append(f"name {new}"),
                                                                     beside(base, old, new))[1])  # fmt: skip

    def _named(self, real: Callable[..., None]) -> Callable[..., None]:
        def named(old: str, new: str, **folders: int) -> None:
            self.all.append("name " + os.path.basename(new))
            real(old, new, **folders)

        return named

    def at(self, call: str, *, after: int = -1) -> int:
        return self.all.index(call, after + 1)


# --- order ---------------------------------------------------------------------------------


def test_a_small_file_is_there_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(monkeypatch)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        safe.write_whole(folder, "record", b"new")
    finally:
        os.close(folder)
    assert calls.all == ["sync .record.new", "name record", f"sync {tmp_path.name}"]
    assert (tmp_path / "record").read_bytes() == b"new"


def test_hashes_are_on_the_disk_before_the_record_that_vouches_for_them(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    made = share(tmp_path / "seed", tree)
    hashes = next(n for n, call in enumerate(calls.all) if call.startswith("sync scan-"))
    shelf = calls.at("sync seed")
    taken = calls.at("name nodes", after=hashes)
    safe_name = calls.at(f"sync {made.share.hex()}", after=taken)
    assert hashes < shelf < taken < safe_name < calls.at("sync .record.new") < calls.at("name record")


def test_the_final_name_is_on_the_disk_when_a_download_is_complete(
    tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = Disk(str(tmp_path / "home"), margin=0)
    shared.held(to, tmp_path / "target")
    shared.fetch(to)
    calls = Calls(monkeypatch)
    to.finish(shared.share)
    large, noted = calls.at("sync large"), calls.at("name record")
    named = calls.at("name shared")
    assert large < noted < named < calls.at("sync target", after=named) < calls.at("name record", after=named)
    assert calls.at("sync nodes") < noted


# --- after a power failure -----------------------------------------------------------------


def _lost(nodes: Path) -> None:
    nodes.write_bytes(b"")


def _zeros(nodes: Path) -> None:
    nodes.write_bytes(bytes(nodes.stat().st_size))


def _other(nodes: Path) -> None:
    data = nodes.read_bytes()
    nodes.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])


@pytest.mark.parametrize("damage", [_lost, _zeros, _other])
@pytest.mark.parametrize("fetched", [False, True], ids=["scanned", "fetched"])
def test_hashes_that_are_gone_are_made_anew(
    damage: Callable[[Path], None], fetched: bool, tmp_path: Path, shared: Shared
) -> None:
    home, folder = tmp_path / "seed", ""
    if fetched:
        home, folder = tmp_path / "home", str(tmp_path / "target")
        to = Disk(str(home), margin=0)
        shared.held(to, tmp_path / "target")
        shared.fetch(to)
        to.finish(shared.share)
        to.close()
    layer = shared.source.layer(shared.share, 0)
    shared.source.close()
    damage(home / shared.share.hex() / "nodes")
    again = Disk(str(home), margin=0)
    _, held = again.open(shared.share, b"", folder, None)
    assert bits.decode_bitfield(held, shared.layout.units) == bits.all_of(shared.layout.units)
    assert (again.notes(shared.share), again.layer(shared.share, 0)) == ((), layer)
    assert (home / shared.share.hex() / "nodes").read_bytes().startswith(layer)


def test_a_file_that_changed_as_well_is_not_vouched_for(tmp_path: Path, tree: Path, shared: Shared) -> None:
    shared.source.close()
    _lost(tmp_path / "seed" / shared.share.hex() / "nodes")
    before = os.stat(tree / "large")
    (tree / "large").write_bytes(bytes(len(CONTENTS["large"])))
    os.utime(tree / "large", ns=(before.st_mtime_ns, before.st_mtime_ns))
    again = Disk(str(tmp_path / "seed"), margin=0)
    _, held = again.open(shared.share, b"", "", None)
    large = shared.layout.units_of(0)
    assert not any(bits.decode_bitfield(held, shared.layout.units) >> unit & 1 for unit in large)
    assert again.notes(shared.share) == ("shared/large: it has changed since it was hashed; share it again",)


def test_a_file_that_changes_while_it_is_verified_is_not_believed(
    tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    to, target = Disk(str(tmp_path / "home"), margin=0), tmp_path / "target"
    shared.held(to, target)
    shared.fetch(to)
    to.close()
    for name in ("large", "small"):  # to be hashed again
        os.utime(target / "shared.part" / name, ns=(5, 5))
    real = hashing.read_all

    def written_to(descriptor: int, offset: int, length: int) -> bytes:
        data = real(descriptor, offset, length)
        os.utime(target / "shared.part/large", ns=(6, 6))
        return data

    monkeypatch.setattr(hashing, "read_all", written_to)
    held = shared.held(Disk(str(tmp_path / "home"), margin=0), target)
    assert [n for n in range(shared.layout.units) if held >> n & 1] == list(shared.layout.units_of(1))


# --- what cannot be read for once ----------------------------------------------------------


def reading(disk: Disk, shared: Shared, number: int) -> tuple[bytes | None, ...]:
    place = shared.layout.unit(number)
    return disk.operations()["read"](shared.share, ((place.file, place.offset, place.length, 0, b""),))  # type: ignore[no-any-return]


def failing(patch: pytest.MonkeyPatch, number: int, *, opening: bool) -> None:
    """The next read fails, or the next file that is opened."""
    module, name = (units.Entry, "file") if opening else (units, "read_all")
    real = getattr(module, name)

    def fails(*_: Any) -> Any:
        patch.setattr(module, name, real)
        raise OSError(number, os.strerror(number))

    patch.setattr(module, name, fails)


@pytest.mark.parametrize("opening", [False, True], ids=["read", "open"])
@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "EINTR", "EAGAIN", "ENOMEM"])
def test_an_error_that_passes_withdraws_nothing(
    name: str, opening: bool, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, getattr(errno, name), opening=opening)
    with pytest.raises(LocalError):
        reading(shared.source, shared, 0)
    assert reading(shared.source, shared, 0) == (CONTENTS["large"][:SMALL],)
    assert shared.source.notes(shared.share) == ()


def test_a_bad_place_of_the_disk_withdraws_that_unit_alone(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, errno.EIO, opening=False)
    assert reading(shared.source, shared, 1) == (None,)
    assert reading(shared.source, shared, 1) == (None,)
    assert reading(shared.source, shared, 0) == (CONTENTS["large"][:SMALL],)
    (note,) = shared.source.notes(shared.share)
    assert note.startswith(f"shared/large: {SMALL} bytes at {SMALL} cannot be read")


def test_a_file_that_may_not_be_read_is_withdrawn(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, errno.EACCES, opening=True)
    assert reading(shared.source, shared, 1) == (None,)
    assert reading(shared.source, shared, 0) == (None,)
    assert shared.source.notes(shared.share) == ("shared/large: it cannot be read: Permission denied",)


def test_an_error_that_passes_is_no_change_of_a_file(
    tmp_path: Path, tree: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.source.close()
    os.utime(tree / "large", ns=(5, 5))  # to be hashed again

    def fails(*_: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    again = Disk(str(tmp_path / "seed"), margin=0)
    with monkeypatch.context() as patch:
        patch.setattr(hashing, "read_all", fails)
        with pytest.raises(LocalError, match="Too many open files"):
            again.operations()["open"](shared.share, b"", "", None)
    _, held = again.open(shared.share, b"", "", None)
    assert bits.decode_bitfield(held, shared.layout.units) == bits.all_of(shared.layout.units)


# --- names and ends ------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [False, True], ids=["file", "folder"])
def test_what_was_fetched_is_never_hidden(whole: bool, tmp_path: Path) -> None:
    """Dropped into a home folder, `.profile` would be run at the next login. Inside a folder names stay."""
    tree = make_tree(tmp_path / ".config", {".profile": b"x" * SMALL})
    made = share(tmp_path / "seed", tree if whole else tree / ".profile")
    to, target = Disk(str(tmp_path / "home"), margin=0), tmp_path / "target"
    shared_as = "_config" if whole else "_profile"
    path, _ = to.open(made.share, made.raw, str(target), None)
    assert path == str(target / f"{shared_as}.part")
    assert set(made.fetch(to)) == {disk.GOOD}
    assert to.finish(made.share) == str(target / shared_as)
    assert tree_at(target).keys() == ({"_config", "_config/.profile"} if whole else {"_profile"})
    assert to.notes(made.share) == (f".{shared_as[1:]} is called {shared_as} here",)
    assert share(tmp_path / "again", target / shared_as, name=made.info.name.decode()).share == made.share


def test_sharing_a_download_that_was_never_renamed_finishes_it(tmp_path: Path) -> None:
    """It was killed between the last unit and the rename."""
    (tmp_path / "one").write_bytes(CONTENTS["large"])
    shared = share(tmp_path / "seed", tmp_path / "one")
    target = tmp_path / "target"
    to = Disk(str(tmp_path / "home"), margin=0)
    shared.held(to, target)
    shared.fetch(to)
    to.close()
    to = Disk(str(tmp_path / "home"), margin=0)
    _, found = to.scan(str(target / "one.part"), "one", SMALL)
    assert found == shared.share
    path, held = to.open(shared.share, b"", "", None)
    assert path == str(target / "one")
    assert bits.decode_bitfield(held, shared.layout.units) == bits.all_of(shared.layout.units)
    assert tree_at(target) == {"one": CONTENTS["large"]}


def test_a_download_that_is_not_complete_is_not_taken_for_a_share(tmp_path: Path, shared: Shared) -> None:
    to = Disk(str(tmp_path / "home"), margin=0)
    shared.held(to, tmp_path / "target")
    to.close()
    with pytest.raises(LocalError, match="has not come to its end"):
        Disk(str(tmp_path / "home"), margin=0).open(shared.share, b"", "", None)
