"""A chain's log cut short anywhere, as a loss of power leaves it: the file opens at a commit, whole."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs

from apps.chain.core.state import digest_of
from apps.chain.shell.opening import open_chain
from apps.chain.shell.schema import FILE_NAME
from tests.support.chains import QUICK
from tests.support.wanderer import Wanderer, now_ms

#: A power loss leaves whole sectors.
SECTOR = 512
#: What stands where nothing was written, of so many bytes: no file, zeros, or what was there before.
Rest = Callable[[int], bytes]
RESTS: dict[str, Rest] = {"nothing": lambda length: b"", "zeros": bytes, "old": random.Random(1).randbytes}


@attrs.frozen
class Torn:
    """Logs that are cut after each sector, and what was there after each commit."""

    folder: Path
    #: Digest of each commit -> its number.
    commits: dict[bytes, int]

    def cuts(self, rest: Rest, *, step: int = SECTOR) -> list[int]:
        """Numbers of the commits at which the file opens, for a log of which more and more was written."""
        log = (self.folder / f"{FILE_NAME}-wal").read_bytes()
        return [self._opened(log[:at] + rest(len(log) - at)) for at in (*range(0, len(log), step), len(log))]

    def _opened(self, log: bytes) -> int:
        at = self.folder / "torn"
        at.mkdir(exist_ok=True)
        shutil.copyfile(self.folder / FILE_NAME, at / FILE_NAME)
        (at / f"{FILE_NAME}-wal").write_bytes(log)
        chain = open_chain(at / FILE_NAME, QUICK)
        assert chain.store._all("PRAGMA integrity_check") == [("ok",)]
        digest = digest_of(chain.store)
        chain.store.close()
        return self.commits[digest]


def make(folder: Path, *, blocks: int, turns: int, seed: int) -> Torn:
    """A file with so many blocks, and a log with so many turns of a wanderer."""
    path = folder / FILE_NAME
    chance = random.Random(seed)
    _turn(path, chance, blocks, {})
    return _turn(path, chance, turns, {})


def _turn(path: Path, chance: random.Random, turns: int, commits: dict[bytes, int]) -> Torn:
    chain = open_chain(path, QUICK)
    wanderer = Wanderer(chain.store, chance)
    commits[digest_of(chain.store)] = 0
    for _ in range(turns):
        for block in wanderer.blocks():
            chain.ledger.accept_block(block, now_ms(block))
            commits.setdefault(digest_of(chain.store), len(commits))
    kept = path.parent / "kept"
    kept.mkdir(exist_ok=True)
    # Left behind as by a kill; closing moves it away.
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", kept / f"{FILE_NAME}{suffix}")
    chain.store.close()
    return Torn(kept, commits)
