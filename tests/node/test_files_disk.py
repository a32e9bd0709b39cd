"""Sharing from a real disk and downloading to one: what goes in comes out, and what is not right is not taken."""

from __future__ import annotations

import os
import random
import shutil
import socket
import stat
import threading
from pathlib import Path

import pytest

from apps.files.core import bits, disk
from apps.files.core.limits import MIB, UNIT_BYTES
from apps.files.shell.descriptors import Descriptors
from apps.files.shell.disk import Disk
from overlay.errors import LocalError
from tests.support.disk_rig import SMALL, Shared, folder, make_tree, share, tree_at

CONTENTS = {
    "a.txt": b"a", "b/deep/er.bin": random.Random(1).randbytes(5 * SMALL + 7), "b/empty": b"", "b.txt": b"b" * SMALL,
    "é": random.Random(2).randbytes(SMALL), 'CON"?*.': b"taken as it is on Linux", "A.txt": b"A",
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = make_tree(tmp_path / "shared", CONTENTS)
    (top / "nothing/in/here").mkdir(parents=True)
    (top / "a.txt").chmod(0o755)
    return top


@pytest.fixture
def shared(tmp_path: Path, tree: Path) -> Shared:
    return share(tmp_path / "seed", tree)


def new_disk(tmp_path: Path, *, home: str = "home") -> Disk:
    return Disk(str(tmp_path / home), margin=0)


# --- there and back ------------------------------------------------------------------------


def test_a_folder_arrives_as_it_was_shared(tmp_path: Path, tree: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    path, held = to.open(shared.share, shared.raw, str(target), None)
    assert (path, set(held)) == (str(target / "shared.part"), {0})
    assert set(shared.fetch(to)) == {disk.GOOD}
    assert to.finish(shared.share) == str(target / "shared")
    assert tree_at(target / "shared") == tree_at(tree)
    assert (target / "shared/a.txt").stat().st_mode & stat.S_IXUSR
    assert not (target / "shared/b.txt").stat().st_mode & stat.S_IXUSR
    assert os.listdir(target) == ["shared"]
    assert share(tmp_path / "again", target / "shared").share == shared.share


@pytest.mark.parametrize("length", [0, 1, UNIT_BYTES, UNIT_BYTES + 1, 3 * UNIT_BYTES])
def test_a_file_arrives_and_is_read_where_it_is(length: int, tmp_path: Path) -> None:
    data = random.Random(length).randbytes(length)
    (tmp_path / "one.bin").write_bytes(data)
    shared = share(tmp_path / "seed", tmp_path / "one.bin", name="other.bin", piece=None)
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    shared.fetch(to)
    if length:
        assert to.read(shared.share, ((0, 0, min(length, UNIT_BYTES), 0, b""),)) == (data[:UNIT_BYTES],)
    assert to.finish(shared.share) == str(target / "other.bin")
    assert tree_at(target) == {"other.bin": data}
    if length > UNIT_BYTES:
        assert to.layer(shared.share, 0) == shared.source.layer(shared.share, 0) != b""
        assert to.read(shared.share, ((0, UNIT_BYTES, 1, 0, b""),)) == (data[UNIT_BYTES : UNIT_BYTES + 1],)


def test_only_what_is_wanted_is_made_and_more_can_be_wanted_later(tmp_path: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    first, second = (next(i for i, file in enumerate(shared.info.files) if file.path[-1] == name)
                     for name in (b"er.bin", b"b.txt"))  # fmt: skip
    shared.held(to, target, (first,))
    shared.fetch(to, shared.layout.units_of(first))
    to.finish(shared.share)
    assert tree_at(target) == {"shared": None, "shared/b": None, "shared/b/deep": None,
                               "shared/b/deep/er.bin": CONTENTS["b/deep/er.bin"]}  # fmt: skip
    held = shared.held(to, target, (first, second))
    assert held == shared.layout.set_of([first])
    shared.fetch(to, shared.layout.units_of(second))
    to.finish(shared.share)
    assert (target / "shared/b.txt").read_bytes() == CONTENTS["b.txt"]
    assert os.listdir(target) == ["shared"]


def test_holes_stay_holes(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(64 * UNIT_BYTES)
        os.pwrite(file.fileno(), b"x" * UNIT_BYTES, 7 * UNIT_BYTES)
    shared = share(tmp_path / "seed", tmp_path / "sparse", piece=None)
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    # What is wrong in the place of zeros is replaced by zeros.
    with (target / "sparse.part").open("r+b") as file:
        os.pwrite(file.fileno(), b"wrong", 3 * UNIT_BYTES)
    shared.fetch(to)
    to.finish(shared.share)
    assert (target / "sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert (target / "sparse").stat().st_blocks * 512 <= 3 * UNIT_BYTES


def test_holes_are_hashed_as_the_zeros_they_are(tmp_path: Path) -> None:
    length = 20 * MIB + 4_097
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(length)
        os.pwrite(file.fileno(), b"x", 9 * MIB)
    (tmp_path / "zeros").write_bytes(bytes(9 * MIB) + b"x" + bytes(length - 9 * MIB - 1))
    made = [share(tmp_path / f"seed {name}", tmp_path / name, name="same", piece=None) for name in ("holes", "zeros")]
    assert made[0].share == made[1].share


def test_units_of_zeros_are_made_not_written(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(64 * UNIT_BYTES + 1)
    shared = share(tmp_path / "seed", tmp_path / "sparse", piece=None)
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    with (target / "sparse.part").open("r+b") as file:  # what is wrong in the place of zeros is replaced
        os.pwrite(file.fileno(), b"wrong", 3 * UNIT_BYTES)
    for first, count in ((0, 65), (60, 5), (0, 0), (64, 1)):
        with pytest.raises(LocalError):
            to.blank(shared.share, first, count)
    assert [to.blank(shared.share, 0, 4), to.blank(shared.share, 4, 60)] == [disk.GOOD] * 2
    shared.fetch(to, [64])
    to.finish(shared.share)
    assert (target / "sparse").read_bytes() == (tmp_path / "sparse").read_bytes()
    assert (target / "sparse").stat().st_blocks * 512 <= 2 * UNIT_BYTES
    with pytest.raises(LocalError, match="not being downloaded"):
        to.blank(shared.share, 0, 1)


# --- sharing -------------------------------------------------------------------------------


def test_links_and_special_files_are_left_out_and_named(tmp_path: Path, tree: Path, shared: Shared) -> None:
    (tree / "link").symlink_to(tmp_path)
    (tree / "b/dangling").symlink_to("nowhere")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tree / "socket"))
    again = share(tmp_path / "seed 2", tree)
    assert again.share == shared.share
    assert sorted(again.source.notes(again.share)) == [
        "b/dangling: a symbolic link, left out", "fifo: not a regular file, left out",
        "link: a symbolic link, left out", "socket: not a regular file, left out",
    ]  # fmt: skip


def test_what_cannot_be_shared_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    source = new_disk(tmp_path)
    for path, reason in [("none", "no such file"), ("empty", "nothing in this folder"), ("fifo", "neither a file")]:
        with pytest.raises(LocalError, match=reason):
            source.scan(str(tmp_path / path), None, None)
    with pytest.raises(LocalError, match="root of all files"):
        source.scan("/", None, None)


def test_a_file_that_changes_while_it_is_hashed(tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.files.shell import hashing

    real = hashing.read_all

    def grows(descriptor: int, offset: int, length: int) -> bytes:
        with (tree / "é").open("ab") as file:
            file.write(b"more")
        return real(descriptor, offset, length)

    monkeypatch.setattr(hashing, "read_all", grows)
    with pytest.raises(LocalError, match=r"shared/é changed while it was hashed"):
        new_disk(tmp_path).scan(str(tree), None, None)
    assert os.listdir(tmp_path / "home") == []


@pytest.mark.parametrize("restart", [False, True])
def test_a_file_that_changes_afterwards_is_withdrawn(restart: bool, tmp_path: Path, tree: Path, shared: Shared) -> None:
    file = next(i for i, one in enumerate(shared.info.files) if one.path[-1] == b"er.bin")
    place = shared.layout.unit(shared.layout.units_of(file).start)
    before = os.stat(tree / "b/deep/er.bin")
    (tree / "b/deep/er.bin").write_bytes(b"other" * (before.st_size // 5) + b"!!")
    source = shared.source
    if restart:
        source.close()
        source = Disk(str(tmp_path / "seed"))
        _, held = source.open(shared.share, b"", "", None)
        assert sum(byte.bit_count() for byte in held) == shared.layout.units - len(shared.layout.units_of(file))
    assert source.read(shared.share, ((file, 0, place.length, 0, b""),)) == (None,)
    assert source.read(shared.share, ((0, 0, 1, 0, b""),)) != (None,)
    (note,) = source.notes(shared.share)
    assert note == "shared/b/deep/er.bin: it has changed since it was hashed; share it again"


def test_what_is_deleted_or_changed_is_noticed_without_being_read(tmp_path: Path, tree: Path, shared: Shared) -> None:
    def held() -> int:
        return bits.decode_bitfield(shared.source.look(shared.share), shared.layout.units)

    assert held() == bits.all_of(shared.layout.units)
    numbers = {file.path[-1]: shared.layout.units_of(number) for number, file in enumerate(shared.info.files)}
    place = shared.layout.unit(numbers[b"er.bin"].start)
    first = (place.file, place.offset, place.length, 0, b"")
    assert shared.source.read(shared.share, (first,)) != (None,)  # it is open from now on
    (tree / "b/deep/er.bin").unlink()
    (tree / "b.txt").write_bytes(b"c" * SMALL)
    lost = bits.of_ranges([numbers[b"er.bin"], numbers[b"b.txt"]], shared.layout.units)
    assert held() == bits.all_of(shared.layout.units) & ~lost
    assert sorted(shared.source.notes(shared.share)) == [
        "shared/b.txt: it has changed since it was hashed; share it again",
        "shared/b/deep/er.bin: it is gone; it is no longer offered",
    ]
    assert shared.source.read(shared.share, (first,)) == (None,)
    shutil.rmtree(tree)
    with pytest.raises(LocalError, match=r"/shared is gone; share it again where it is now, or remove the share"):
        held()


def test_what_is_being_downloaded_is_not_looked_at(tmp_path: Path, shared: Shared) -> None:
    to = new_disk(tmp_path)
    shared.held(to, tmp_path / "target")
    shared.fetch(to, [0])
    os.utime(next((tmp_path / "target/shared.part").glob("*.txt")))
    assert bits.decode_bitfield(to.look(shared.share), shared.layout.units) == 1


def test_what_was_left_out_is_known_after_a_restart(tmp_path: Path, tree: Path) -> None:
    (tree / os.fsdecode(b"link\xff")).symlink_to("nowhere")
    again = share(tmp_path / "seed 2", tree)
    (note,) = again.source.notes(again.share)
    again.source.close()
    source = Disk(str(tmp_path / "seed 2"))
    source.open(again.share, b"", "", None)
    assert source.notes(again.share) == (note,)
    (tmp_path / "seed 2" / again.share.hex() / "notes").write_bytes(b"\x81damaged")
    source.open(again.share, b"", "", None)
    assert source.notes(again.share) == ()


def test_a_link_given_by_a_person_is_followed_and_that_is_said(tmp_path: Path, tree: Path, shared: Shared) -> None:
    (tmp_path / "link").symlink_to(tree)
    linked = share(tmp_path / "seed 2", tmp_path / "link")
    assert linked.info.name == b"link"
    assert linked.info.files == shared.info.files
    (note,) = linked.source.notes(linked.share)
    assert note == f"{tmp_path}/link is a symbolic link; what is shared is {tree}"


def test_names_that_were_changed_on_arrival_are_told(tmp_path: Path) -> None:
    odd = {b"two\nlines": "two_lines", b"\xff": "_", "exe.\u202etxt".encode(): "exe._txt", b"fine": "fine"}
    for name in odd:
        (tmp_path / "f\t" / os.fsdecode(name)).mkdir(parents=True)
        (tmp_path / "f\t" / os.fsdecode(name) / "data").write_bytes(name)
    shared, to, target = share(tmp_path / "seed", tmp_path / "f\t"), new_disk(tmp_path), tmp_path / "target"
    (target / "f_").mkdir(parents=True)
    shared.held(to, target)
    shared.fetch(to)
    to.finish(shared.share)
    told = {
        "f\\t is called f_ here", "two\\nlines is called two_lines here", "\\xff is called _ here",
        "exe.\\u202etxt is called exe._txt here", "f_ was there already: what was fetched is called f_ (1)",
    }  # fmt: skip
    assert set(to.notes(shared.share)) == told
    assert {one.name for one in (target / "f_ (1)").iterdir()} == set(odd.values())
    to.close()
    to = new_disk(tmp_path)
    to.open(shared.share, shared.raw, str(target), None)
    assert set(to.notes(shared.share)) == told


def test_a_unit_that_rots_is_not_given_and_the_rest_of_its_file_is(tmp_path: Path, tree: Path, shared: Shared) -> None:
    file = next(i for i, one in enumerate(shared.info.files) if one.path[-1] == b"er.bin")
    first, last = shared.layout.units_of(file)[0], shared.layout.units_of(file)[-1]
    assert last > first
    ranges = [(*one[:2], len(one[4]), *one[2:4]) for one in map(shared.unit, (first, last))]
    path = tree / "b/deep/er.bin"
    before = os.stat(path)
    with path.open("r+b") as opened:
        opened.seek(ranges[1][1])
        byte = opened.read(1)
        opened.seek(ranges[1][1])
        opened.write(bytes((byte[0] ^ 1,)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk does it: nothing says so
    good, rotten = shared.source.read(shared.share, tuple(ranges))
    assert good is not None
    assert rotten is None
    (note,) = shared.source.notes(shared.share)
    assert note.startswith("shared/b/deep/er.bin: ")
    assert "not what was hashed" in note
    with path.open("r+b") as opened:  # it is not asked again, whatever becomes of it
        opened.seek(ranges[1][1])
        opened.write(byte)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert shared.source.read(shared.share, (ranges[1],)) == (None,)


def test_touching_a_file_withdraws_nothing_after_a_restart(tmp_path: Path, tree: Path, shared: Shared) -> None:
    os.utime(tree / "b/deep/er.bin", ns=(1, 1))
    shared.source.close()
    source = Disk(str(tmp_path / "seed"))
    _, held = source.open(shared.share, b"", "", None)
    assert sum(byte.bit_count() for byte in held) == shared.layout.units
    assert source.notes(shared.share) == ()


def test_a_scan_is_stopped_and_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.files.shell import hashing

    (tmp_path / "large").write_bytes(bytes(80 << 20))
    source, real = new_disk(tmp_path), hashing.read_all
    seen: list[tuple[int, int] | None] = []

    def asks(descriptor: int, offset: int, length: int) -> bytes:
        if offset >= 40 << 20:
            seen.append(source.progress(str(tmp_path / "large")))
            source.stop(str(tmp_path / "large"))
        return real(descriptor, offset, length)

    monkeypatch.setattr(hashing, "read_all", asks)
    with pytest.raises(LocalError, match="stopped"):
        source.scan(str(tmp_path / "large"), None, None)
    assert seen[0] is not None
    assert 0 < seen[0][0] < seen[0][1] == 80 << 20
    assert source.progress(str(tmp_path / "large")) is None


# --- downloading ---------------------------------------------------------------------------


def test_a_wrong_unit_is_not_written(tmp_path: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    file, offset, height, node, data = shared.unit(1)
    assert to.write(shared.share, ((file, offset, height, node, bytes(len(data))), shared.unit(0))) == (
        disk.CORRUPT, disk.GOOD,
    )  # fmt: skip
    assert to.read(shared.share, ((file, offset, len(data), 0, b""),)) == (None,)
    with pytest.raises(LocalError, match="no unit"):
        to.write(shared.share, ((file, offset + 1, height, node, data),))
    with pytest.raises(LocalError, match="still missing"):
        to.finish(shared.share)


def test_what_is_there_is_known_again_and_damage_is_found(tmp_path: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    numbers = list(range(0, shared.layout.units, 2))
    shared.fetch(to, numbers)
    to.close()
    to = new_disk(tmp_path)
    assert [n for n in range(shared.layout.units) if shared.held(to, target) >> n & 1] == numbers
    to.close()
    unit = shared.layout.unit(numbers[-1])
    path = target / "shared.part" / os.fsdecode(b"/".join(shared.info.files[unit.file].path))
    data = bytearray(path.read_bytes())
    data[unit.offset] ^= 1
    path.write_bytes(data)
    to = new_disk(tmp_path)
    assert [n for n in range(shared.layout.units) if shared.held(to, target) >> n & 1] == numbers[:-1]


@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "claims"])
def test_a_damaged_record_is_no_record(damage: str, tmp_path: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    shared.fetch(to, [0, 1])
    to.close()
    record = tmp_path / "home" / shared.share.hex() / "record"
    data = record.read_bytes()
    match damage:
        case "cut":
            record.write_bytes(data[:-40])
        case "flip":
            record.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        case "gone":
            record.unlink()
        case "claims":
            # Whole, but of another time: it says more than there is, of a file that has changed since.
            for file in (target / "shared.part").rglob("*"):
                os.utime(file, ns=(5, 5))
            (tmp_path / "home" / shared.share.hex() / "nodes").unlink()
    to = new_disk(tmp_path)
    held = shared.held(to, target)
    whole = {n for n in range(shared.layout.units) if len(shared.layout.units_of(shared.layout.unit(n).file)) == 1}
    assert {n for n in (0, 1) if held >> n & 1} == (whole & {0, 1} if damage == "claims" else set())
    shared.fetch(to)
    to.finish(shared.share)


def test_forged_hashes_do_not_pass(tmp_path: Path, tree: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    file = next(i for i, one in enumerate(shared.info.files) if one.path[-1] == b"er.bin")
    shared.fetch(to)
    units = shared.layout.units_of(file)
    to.keep_layer(shared.share, file, bytes(31) + b"!" + to.layer(shared.share, file)[32:])
    assert to.layer(shared.share, file) == b""
    with pytest.raises(LocalError, match="not what the share says"):
        to.finish(shared.share)
    assert not (target / "shared").exists()
    held = shared.held(to, target)
    assert not any(held >> n & 1 for n in units)
    shared.fetch(to, units)
    to.finish(shared.share)
    assert tree_at(target / "shared") == tree_at(tree)


def test_nothing_of_others_is_replaced(tmp_path: Path, tree: Path, shared: Shared) -> None:
    target = tmp_path / "target"
    make_tree(target, {"shared/mine": b"1", "shared.part/mine": b"2"})
    (target / "shared (1)").symlink_to("nowhere")
    to = new_disk(tmp_path)
    shared.held(to, target)
    shared.fetch(to)
    assert to.finish(shared.share) == str(target / "shared (2)")
    assert tree_at(target / "shared (2)") == tree_at(tree)
    assert tree_at(target / "shared") == {"mine": b"1"}
    assert tree_at(target / "shared.part") == {"mine": b"2"}


def test_two_downloads_to_one_place(tmp_path: Path, shared: Shared) -> None:
    one, other, target = new_disk(tmp_path), new_disk(tmp_path, home="other"), tmp_path / "target"
    shared.held(one, target)
    with pytest.raises(LocalError, match=r"shared.part is being downloaded to the same folder already"):
        shared.held(other, target)
    one.close()
    shared.held(other, target)
    assert sorted(os.listdir(target)) == ["shared (1).part", "shared.part"]


def test_what_was_downloaded_belongs_to_its_owner(tmp_path: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    shared.fetch(to)
    to.finish(shared.share)
    (target / "shared/A.txt").write_bytes(b"edited")
    with pytest.raises(LocalError, match=r"A.txt has changed since it was downloaded"):
        shared.held(to, target)
    to.forget(shared.share, True)
    assert tree_at(target) == {"shared": None, "shared/A.txt": b"edited"}
    assert os.listdir(tmp_path / "home") == []


def test_forgetting(tmp_path: Path, tree: Path, shared: Shared) -> None:
    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    shared.fetch(to, [0])
    to.forget(shared.share, False)
    assert shared.held(to, target) == 1
    to.forget(shared.share, True)
    assert tree_at(target) == {}
    assert to.info(shared.share) == b""
    with pytest.raises(LocalError, match="not open"):
        to.read(shared.share, ())
    shared.source.forget(shared.share, True)
    assert set(CONTENTS) <= set(tree_at(tree))


def test_it_was_renamed_but_not_noted(tmp_path: Path, shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.files.shell.entry import Entry

    to, target = new_disk(tmp_path), tmp_path / "target"
    shared.held(to, target)
    shared.fetch(to)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Entry, "let_go", dies)
    with pytest.raises(KeyboardInterrupt):
        to.finish(shared.share)
    monkeypatch.undo()
    to._entries.pop(shared.share).let_go()
    to = new_disk(tmp_path)
    path, held = to.open(shared.share, b"", str(target), None)
    assert path == str(target / "shared")
    assert sum(byte.bit_count() for byte in held) == shared.layout.units


# --- bounds --------------------------------------------------------------------------------


def test_open_files_are_bounded_and_none_is_closed_while_it_is_used(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / str(number)).write_bytes(b"%d" % number)
    kept = Descriptors(limit=2)

    def use(number: int) -> bytes:
        with kept.use((b"", number, False), lambda: os.open(tmp_path / str(number), os.O_RDONLY)) as descriptor:
            return os.pread(descriptor, 9, 0)

    with kept.use((b"", 0, False), lambda: os.open(tmp_path / "0", os.O_RDONLY)) as first:
        assert [use(number) for number in range(1, 6)] == [b"%d" % number for number in range(1, 6)]
        assert (len(kept), os.pread(first, 9, 0)) == (2, b"0")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(first)
    threads = [threading.Thread(target=lambda: [use(number % 6) for number in range(600)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.drop(b"")
    assert len(kept) == 0


def test_ten_thousand_files() -> None:
    with folder() as at:
        tree = make_tree(at / "many", {f"{i % 100}/{i}": b"%d" % i for i in range(10_000)})
        before = len(os.listdir("/proc/self/fd"))
        shared = share(at / "seed", tree, piece=None)
        to, target = new_disk(at), at / "target"
        shared.held(to, target)
        for first in range(0, 10_000, 64):
            batch = tuple(shared.unit(number) for number in range(first, min(first + 64, 10_000)))
            assert set(to.write(shared.share, batch)) == {disk.GOOD}
        assert len(os.listdir("/proc/self/fd")) < before + 300
        to.finish(shared.share)
        assert tree_at(target / "many") == tree_at(tree)
