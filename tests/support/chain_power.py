"""A chain whose power goes at any of its writes: what was synced is there, and whatever is there is whole."""

from __future__ import annotations

import random
from pathlib import Path

import attrs

from apps.chain.core.pruning import prune
from apps.chain.core.state import digest_of
from apps.chain.shell.opening import Chain, open_chain
from apps.chain.shell.schema import FILE_NAME
from tests.support.chain_folder import Everything
from tests.support.chains import QUICK
from tests.support.failing_vfs import FailingDisk
from tests.support.medium import Medium
from tests.support.wanderer import Wanderer, now_ms

#: The power goes at one of so many operations of the disk.
_SELDOM = 40


@attrs.frozen
class Cut:
    folder: Path
    #: Number of the last commit that was synced by then, and of the last of all.
    synced: int
    newest: int


@attrs.define(eq=False)
class Power:
    """Cuts the power of one chain again and again, each time on a copy of its disk."""

    folder: Path
    chance: random.Random
    #: Digest of the state -> number of the commit that made it.
    commits: dict[bytes, int] = attrs.Factory(dict)
    cuts: list[Cut] = attrs.Factory(list)
    _synced: int = 0

    def cut(self, medium: Medium) -> None:
        if self.chance.randrange(_SELDOM):
            return
        into = self.folder / f"cut-{len(self.cuts)}"
        medium.cut(into, self.chance)
        self.cuts.append(Cut(into, self._synced, len(self.commits)))

    def committed(self, chain: Chain) -> None:
        number = self.commits.setdefault(digest_of(chain.store), len(self.commits))
        if chain.store._unsynced == 0:
            self._synced = number


def live(home: Path, disk: FailingDisk, chance: random.Random, *, turns: int, keep: int = 0) -> Power:
    """Goes from branch to branch, now syncing each commit and now few; `keep`: it is pruned to so many blocks."""
    power = Power(home.parent / f"{home.name}-cuts", chance)
    power.folder.mkdir()
    disk.medium = Medium(home, watch=power.cut)
    chain = open_chain(home / FILE_NAME, QUICK)
    power.committed(chain)
    wanderer = Wanderer(chain.store, chance)
    for _ in range(turns):
        chain.store.sync_each(chance.choice((1, 1, 8, 64)))
        blocks = wanderer.blocks()
        together = chance.random() < 0.5
        for some in [blocks] if together else [[block] for block in blocks]:
            chain.ledger.accept_blocks(some, now_ms(some[-1]), checked=Everything())
            power.committed(chain)
        if keep:
            prune(chain.store, keep)
            power.committed(chain)
    chain.store.close()
    disk.medium = None
    return power


def opened(cut: Cut, commits: dict[bytes, int]) -> int:
    """Number of the commit at which the file is."""
    chain = open_chain(cut.folder / FILE_NAME, QUICK)
    store = chain.store
    try:
        assert store._all("PRAGMA integrity_check") == [("ok",)]
        for row in store.actives(1, store.tip().height):
            is_kept = row.height >= store.kept_from()
            assert (store.block(row.id) is not None, store.undo(row.id) is not None) == (is_kept, is_kept), row
        return commits[digest_of(store)]
    finally:
        store.close()


def cut_and_check(
    folder: Path, disk: FailingDisk, *, seed: int, lives: int, turns: int, keep: int = 0
) -> tuple[int, int]:
    """Lives of a chain one after another, each from what a cut left of the one before, the first from what is in
    `folder`/first. How many cuts were looked at; after how many of them something was gone that nobody had synced."""
    chance = random.Random(seed)
    home = folder / "first"
    home.mkdir(exist_ok=True)
    looked = lost = 0
    for _ in range(lives):
        power = live(home, disk, chance, turns=turns, keep=keep)
        for cut in power.cuts:
            found = opened(cut, power.commits)
            assert found >= cut.synced, f"commit {cut.synced} was synced, and the file is at {found}"
            looked += 1
            lost += found < cut.newest - 1
        home = chance.choice(power.cuts).folder
    return looked, lost
