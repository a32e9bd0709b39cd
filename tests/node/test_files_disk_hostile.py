"""Hostile shares and hostile neighbours: names that want out, and links put in the way at any moment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.files.core import disk
from apps.files.core.info import make_info
from apps.files.core.layout import layout_of
from apps.files.core.limits import LEAF_BYTES, MAX_DEPTH
from apps.files.core.names import Target, safe_name, safe_paths
from apps.files.shell.disk import Disk
from overlay.errors import LocalError
from tests.support.disk_rig import SMALL, folder, make_tree, share, tree_at
from tests.support.shares import content, file_of

NAMES = st.one_of(
    st.sampled_from([
        b"..", b".", b"/", b"/etc", b"../x", b"a/../../x", b"\0", b"a\0b", b"CON", b"a ", b"A", b"a", b"x.part",
        b"n" * 255, b"n" * 300, "é".encode(), "e\u0301".encode(), b"\xff\xfe", b"-rf", b"~", b"\n", b"a\\b", b"C:",
    ]),
    st.binary(min_size=1, max_size=12),
)  # fmt: skip
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(tuple)


def without_conflicts(paths: list[tuple[bytes, ...]]) -> list[tuple[bytes, ...]]:
    """No file is a folder, too."""
    kept: list[tuple[bytes, ...]] = []
    for path in paths:
        if not any(path[: len(other)] == other or other[: len(path)] == path for other in kept):
            kept.append(path)
    return sorted(kept)


@given(st.lists(PATHS, min_size=1, max_size=6, unique=True), NAMES)
def test_names_stay_beneath_the_folder(paths: list[tuple[bytes, ...]], name: bytes) -> None:
    contents = {path: content(b"/".join(path), 1 + number) for number, path in enumerate(without_conflicts(paths))}
    info = make_info(name, [file_of(path, data) for path, data in contents.items()], piece_length=LEAF_BYTES)
    layout = layout_of(info)
    with folder() as at:
        make_tree(at, {"target/mine": b"mine", "beside": b"beside"})
        to = Disk(str(at / "home"), margin=0)
        to.open(info.id, info.raw, str(at / "target"), None)
        for number in range(layout.units):
            place = layout.unit(number)
            file = info.files[place.file]
            assert file.root is not None
            unit = (place.file, 0, place.height, file.root, contents[file.path])
            assert to.write(info.id, (unit,)) == (disk.GOOD,)
        path = to.finish(info.id)
        assert sorted(os.listdir(at)) == ["beside", "home", "target"]
        top = safe_name(name, target=Target.POSIX)
        top = "_" + top[1:] if top[0] == "." else top
        assert sorted(os.listdir(at / "target")) == sorted({"mine", top})
        assert Path(path) == at / "target" / top
        safe = [()] if info.is_file else safe_paths([file.path for file in info.files], target=Target.POSIX)
        for file, parts in zip(info.files, safe, strict=True):
            assert Path(path, *parts).read_bytes() == contents[file.path]
        to.forget(info.id, True)
        assert tree_at(at / "target") == {"mine": b"mine"}


# --- links put in the way ------------------------------------------------------------------

TREE = {"a/b/one": b"1" * SMALL, "a/b/two": b"2" * (2 * SMALL), "a/three": b"3" * 5, "four": b"4" * SMALL}
VICTIMS = ("", "a", "a/b", "a/b/one", "a/b/two", "a/three", "four")
OUTSIDE = dict.fromkeys(TREE, b"secret of somebody else" * 3_000)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(VICTIMS),
        st.sampled_from(["link", "hard link", "fifo", "folder", "nothing", "back"]),
    ),
    max_size=8,
)


class Attacker:
    """Swaps what is in `tree` for something else before the nth open from the last swap."""

    def __init__(self, tree: Path, outside: Path, steps: list[tuple[int, str, str]]) -> None:
        self.tree, self.outside, self.steps = tree, outside, list(steps)
        self.aside = tree.parent / "aside"
        self.aside.mkdir()
        self.opens = self.swaps = 0
        self._open: Callable[..., int] = os.open

    def __call__(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        self.opens += 1
        while self.steps and self.opens > self.steps[0][0]:
            self.opens = 0
            _, name, kind = self.steps.pop(0)
            self.swap(name, kind)
        return self._open(path, flags, mode, dir_fd=dir_fd)

    def swap(self, name: str, kind: str) -> None:
        at, real = self.tree / name, self.outside / name
        self.swaps += 1
        if os.path.realpath(at.parent) != str(at.parent):
            return  # a link of its own is above: it would hurt itself
        try:
            if kind == "back":
                aside = sorted(self.aside.glob(f"*-{name.replace('/', '+')}"))
                if aside and not os.path.lexists(at):
                    aside[0].rename(at)
                return
            at.rename(self.aside / f"{self.swaps}-{name.replace('/', '+')}")
            match kind:
                case "link":
                    at.symlink_to(real)
                case "hard link" if real.is_file():
                    os.link(real, at)
                case "fifo":
                    os.mkfifo(at)
                case "folder":
                    at.mkdir()
        except OSError:  # it is not there, after other swaps
            pass


@given(STEPS, st.permutations(range(5)), st.booleans())
def test_nothing_is_written_or_read_through_links_put_there(
    steps: list[tuple[int, str, str]], order: list[int], erase: bool
) -> None:
    with folder() as at:
        shared = share(at / "seed", make_tree(at / "shared", TREE))
        outside = make_tree(at / "outside", OUTSIDE)
        units = [shared.unit(number) for number in order]
        to = Disk(str(at / "home"), margin=0)
        to.descriptors.limit = 1
        to.open(shared.share, shared.raw, str(at / "target"), None)
        attacker = Attacker(at / "target/shared.part", outside, steps)
        with mock.patch("os.open", attacker):
            for unit in units:
                attempt(lambda unit=unit: to.write(shared.share, (unit,)))  # type: ignore[misc]
                found = attempt(lambda u=unit: to.read(shared.share, ((u[0], u[1], len(u[4]), 0, b""),)))  # type: ignore[misc]
                assert found in (None, (None,)) or b"secret" not in found[0]
            attempt(lambda: to.finish(shared.share))
            attempt(lambda: to.open(shared.share, shared.raw, str(at / "target"), None))
            attempt(lambda: to.forget(shared.share, erase))
        assert tree_at(outside) == tree_at(make_tree(at / "like it", OUTSIDE))


def attempt(call: Callable[[], Any]) -> Any:
    """The errors that people may see; no others."""
    try:
        return call()
    except (LocalError, OSError):
        return None


@given(STEPS)
def test_nothing_outside_is_shared(steps: list[tuple[int, str, str]]) -> None:
    with folder() as at:
        tree, outside = make_tree(at / "shared", TREE), make_tree(at / "outside", OUTSIDE)
        attacker = Attacker(tree, outside, [step for step in steps if step[2] != "hard link"])
        source = Disk(str(at / "home"))
        with mock.patch("os.open", attacker):
            scanned = attempt(lambda: source.scan(str(tree), None, SMALL))
            if scanned is None:
                return
            raw, share_id = scanned
            assert raw.count(b"pieces root") <= len(TREE)
            for file in range(raw.count(b"pieces root")):
                (data,) = source.read(share_id, ((file, 0, 5, 0, b""),))
                assert data is None or data[:1] in b"1234"


def test_a_link_for_the_folder_of_the_download_is_another_name_taken(tmp_path: Path) -> None:
    shared = share(tmp_path / "seed", make_tree(tmp_path / "shared", TREE))
    outside = make_tree(tmp_path / "outside", {"x": b"x"})
    (tmp_path / "target").mkdir()
    (tmp_path / "target/shared.part").symlink_to(outside)
    to = Disk(str(tmp_path / "home"), margin=0)
    path, _ = to.open(shared.share, shared.raw, str(tmp_path / "target"), None)
    assert path == str(tmp_path / "target/shared (1).part")
    assert tree_at(outside) == {"x": b"x"}


def test_too_deep_a_tree_is_not_shared(tmp_path: Path) -> None:
    deep = tmp_path.joinpath("tree", *["d"] * (MAX_DEPTH + 1))
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x")
    with pytest.raises(LocalError, match="nested deeper than 32"):
        Disk(str(tmp_path / "home")).scan(str(tmp_path / "tree"), None, None)
