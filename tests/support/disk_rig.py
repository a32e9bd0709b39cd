"""Two disks of file sharing and what goes between them; as a process, a download to be killed.

python -m tests.support.disk_rig SOURCE HOME FOLDER SEED    fetches the share of SOURCE from there, unit by unit, in an
                                                            order that SEED chooses; one byte on stdout for each
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from apps.files.core import bits, disk
from apps.files.core.info import Info, decode_info
from apps.files.core.layout import Layout, layout_of
from apps.files.core.merkle import HASH_BYTES
from apps.files.shell import units
from apps.files.shell.disk import Disk

ROOT = Path(__file__).parents[2]
#: Small units: many in little data.
SMALL = 16 * 1024


@attrs.frozen(slots=True)
class Shared:
    """A share that was scanned by `source`."""

    source: Disk
    share: bytes
    info: Info = attrs.field(repr=False)
    layout: Layout

    @property
    def raw(self) -> bytes:
        return self.info.raw

    def unit(self, number: int) -> disk.Unit:
        """As a peer would send it."""
        place = self.layout.unit(number)
        layer = self.source.layer(self.share, place.file)
        (data,) = self.source.read(self.share, ((place.file, place.offset, place.length, 0, b""),))
        assert data is not None
        return place.file, place.offset, place.height, layer[HASH_BYTES * place.index :][:HASH_BYTES], data

    def fetch(self, to: Disk, numbers: Iterable[int] | None = None) -> tuple[int, ...]:
        wanted = range(self.layout.units) if numbers is None else numbers
        return tuple(code for number in wanted for code in to.write(self.share, (self.unit(number),)))

    def held(self, to: Disk, folder: Path, wanted: tuple[int, ...] | None = None) -> int:
        """Open it there; the set of units that are there."""
        return bits.decode_bitfield(to.open(self.share, self.raw, str(folder), wanted)[1], self.layout.units)


def share(home: Path, path: Path, *, name: str | None = None, piece: int | None = SMALL) -> Shared:
    source = Disk(str(home))
    raw, share_id = source.scan(str(path), name, piece)
    info = decode_info(raw)
    return Shared(source, share_id, info, layout_of(info))


@contextmanager
def folder() -> Iterator[Path]:
    """In memory, where fsync is free, and gone afterwards: for many examples or many files in one test."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)).resolve()
    try:
        yield path
    finally:
        shutil.rmtree(path)


def make_tree(folder: Path, contents: dict[str, bytes]) -> Path:
    for name, data in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def tree_at(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder: contents of files, None for the rest."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


# --- to be killed --------------------------------------------------------------------------


def kill_and_check(folder: Path, *, seed: int, kills: int) -> tuple[int, int]:
    """(units acknowledged before some kill, downloads that were completed); AssertionError if one is lost or wrong."""
    chance = random.Random(seed)
    contents = {f"{i // 7}/file {i}": chance.randbytes(chance.choice((0, 1, 5_000, SMALL, 300_000))) for i in range(30)}
    contents["zeros"] = bytes(20 * SMALL)
    shared = share(folder / "seed", make_tree(folder / "shared", contents))
    target = folder / "target"
    acknowledged, completed = 0, 0
    done: set[int] = set()
    for _ in range(kills):
        order = chance.randrange(2**32)
        count = 0 if chance.random() < 1 / 8 else chance.randint(1, 150)
        done |= _killed_after(count, chance.randrange(100_000), folder, order)
        acknowledged += count
        at = Disk(str(folder / "home"), margin=0)
        held = shared.held(at, target)
        lost = [number for number in done if not held >> number & 1]
        assert not lost, f"{len(lost)} acknowledged units are gone"
        for number in bits.first_from(held, 0):
            place = shared.layout.unit(number)
            (data,) = at.read(shared.share, ((place.file, place.offset, place.length, 0, b""),))
            assert data == shared.unit(number)[4], f"unit {number} is wrong"
        at.close()
        if (target / "shared").exists():
            completed += 1
            assert tree_at(target) == {f"shared/{name}": data for name, data in tree_at(folder / "shared").items()} | {
                "shared": None
            }
            at.forget(shared.share, True)
            assert tree_at(target) == {}
            done.clear()
    return acknowledged, completed


def _killed_after(acknowledgements: int, turns: int, folder: Path, order: int) -> set[int]:
    """Units that the child acknowledged, also those while it was being killed."""
    line = [sys.executable, "-m", "tests.support.disk_rig", folder / "seed", folder / "home", folder / "target"]
    child = subprocess.Popen([*line, str(order)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    with child.stdout as pipe:
        got = b"".join(pipe.readline() for _ in range(acknowledgements))
        for _ in range(turns):
            pass
        child.send_signal(signal.SIGKILL)
        got += pipe.read()
    assert child.wait() in (-signal.SIGKILL, 0)
    return {int(number) for number in got.split(b"\n")[:-1]}


def _missing(held: int, layout: Layout, order: random.Random) -> Iterator[int]:
    numbers = [number for number in range(layout.units) if not held >> number & 1]
    order.shuffle(numbers)
    yield from numbers


def main(source: str, home: str, folder: str, seed: str) -> None:
    units.CHECKPOINT_BYTES = 20 * SMALL  # type: ignore[misc]
    seeding = Disk(source)
    share_id = bytes.fromhex(next(name for name in os.listdir(source) if len(name) == 64))
    seeding.open(share_id, b"", "", None)
    info = decode_info(seeding.info(share_id))
    shared = Shared(seeding, share_id, info, layout_of(info))
    at = Disk(home, margin=0)
    held = shared.held(at, Path(folder))
    for number in _missing(held, shared.layout, random.Random(int(seed))):
        assert shared.fetch(at, [number]) == (disk.GOOD,)
        os.write(1, b"%d\n" % number)
    at.finish(share_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
