"""A chain in a process of its own, to be killed: `python -m tests.support.chain_process ROLE FOLDER SEED`.

reorgs   opens the chain and goes from branch to branch; tells the work of its tip after each call
prunes   the same on one branch, pruning all the while
torn     as reorgs, but writes an account that nobody credited: proves that the check can fail
migrate  opens a file of version 1 with a version 2 that makes every large table anew
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from apps.chain.core import pruning
from apps.chain.core.block import Block, decode_block
from apps.chain.core.ledger import open_ledger
from apps.chain.core.memory import MemoryStore
from apps.chain.core.rows import Account
from apps.chain.core.state import digest_of
from apps.chain.shell import schema
from apps.chain.shell.opening import Chain, open_chain
from apps.chain.shell.schema import FILE_NAME
from tests.support.chain_folder import Everything, Traffic, accept_all, write_chain
from tests.support.chains import QUICK, Maker, key_of
from tests.support.failing_vfs import FailingDisk
from tests.support.wanderer import Wanderer, now_ms

ROOT = Path(__file__).parents[2]
#: So that kills also hit the moments in which the log is moved into the file.
CHECKPOINT_PAGES = 24
KEPT = 300
#: Version 2 of the file.
STEPS = (
    (
        "CREATE TABLE touch2(key BLOB NOT NULL, height INTEGER NOT NULL, pos INTEGER NOT NULL,"
        " PRIMARY KEY(key, height, pos)) WITHOUT ROWID",
        "INSERT INTO touch2 SELECT key, height, pos FROM touch",
        "DROP TABLE touch",
        "ALTER TABLE touch2 RENAME TO touch",
        # So that it takes long enough.
        "CREATE TABLE slow AS SELECT touch.* FROM touch, active WHERE active.height < 30",
        "DROP TABLE slow",
    ),
)


# --- in the child --------------------------------------------------------------------------


def tell(number: int) -> None:
    os.write(1, number.to_bytes(8, "big"))


def wander(folder: Path, seed: int, *, torn: bool) -> None:
    tell(0)
    chain = open_chain(folder / FILE_NAME, QUICK)
    chance = random.Random(seed)
    chain.store.sync_each(chance.choice((1, 64)))
    ledger, store = chain.ledger, chain.store
    wanderer = Wanderer(store, chance)
    while True:
        blocks = wanderer.blocks()
        if chance.random() < 0.5:
            ledger.accept_blocks(blocks, now_ms(blocks[-1]), checked=Everything())
        else:
            for block in blocks:
                ledger.accept_block(block, now_ms(block), checked=Everything())
        assert ledger.tip.id == blocks[-1].id
        tell(ledger.tip.work)
        if torn:
            store.begin()
            store.put_accounts([Account(key_of("thief").key, 1, 0)])
            store.commit()


def prune(folder: Path) -> None:
    tell(0)
    chain = open_chain(folder / FILE_NAME, QUICK)
    store, ledger = chain.store, chain.ledger
    for blocks in traffic(store.tip().height):
        accept_all(ledger, blocks)
        while pruning.prune(store, KEPT):
            pass
        tell(ledger.tip.work)


def traffic(height: int) -> Iterator[list[Block]]:
    """What comes above `height` of one certain chain, five at a time, for ever."""
    source = Traffic(Maker(QUICK), QUICK.genesis_id, every=2)
    for _ in source.blocks(height):
        pass
    while True:
        yield list(source.blocks(5))


def migrate(folder: Path) -> None:
    schema.STEPS = STEPS
    tell(0)
    open_chain(folder / FILE_NAME, QUICK)
    tell(1)


# --- in the parent -------------------------------------------------------------------------


def killed(role: str, folder: Path, chance: random.Random, *, most: int = 40, turns: int = 200_000) -> int:
    """The last number that the child told, also of those that it told while it was being killed.

    It dies after it told up to `most` numbers, one time in eight while it opens the file, and up to so many turns of
    a loop later: without them every kill would hit just after a call."""
    command = [sys.executable, "-m", "tests.support.chain_process", role, str(folder), str(chance.getrandbits(32))]
    count = 0 if chance.random() < 1 / 8 else chance.randint(min(1, most), most)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    with child.stdout as pipe:
        told = pipe.read(8)  # it runs
        for _ in range(count):
            told += pipe.read(8)
        for _ in range(chance.randrange(turns)):
            pass
        child.send_signal(signal.SIGKILL)
        told += pipe.read()
    assert child.wait() == -signal.SIGKILL or role == "migrate", "the child ended by itself"
    whole = told[: len(told) // 8 * 8]
    return int.from_bytes(whole[-8:], "big")


def check(folder: Path, least_work: int) -> Chain:
    """What the file says is what its blocks make of an empty store; nothing that was told is lost. To be closed."""
    db = sqlite3.connect(folder / FILE_NAME)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    chain = open_chain(folder / FILE_NAME, QUICK)
    try:
        assert chain.ledger.tip.work >= least_work, "a block that was connected is gone"
        assert digest_of(chain.store) == replayed(chain), "the rows are not what the blocks make of them"
    except BaseException:
        chain.store.close()
        raise
    return chain


def replayed(chain: Chain) -> bytes:
    ledger = open_ledger(memory := MemoryStore(), QUICK)
    blocks = []
    for row in chain.store.actives(1, chain.ledger.tip.height):
        raw = chain.store.block(row.id)
        assert raw is not None
        blocks.append(decode_block(raw))
    if blocks:
        accept_all(ledger, blocks)
    return digest_of(memory)


def kill_and_check(folder: Path, *, seed: int, kills: int, role: str = "reorgs") -> int:
    """Changes of branch that were survived."""
    chance = random.Random(seed)
    reorgs = 0
    for number in range(kills):
        # Anew now and then: a long chain takes long to be replayed.
        home = folder / str(number // 25)
        home.mkdir(exist_ok=True)
        chain = check(home, killed(role, home, chance))
        found = len(chain.store.reorgs(limit=1_000))
        chain.store.close()
        if number % 25 == 24 or number == kills - 1:
            reorgs += found
    return reorgs


def kill_pruning_and_check(folder: Path, *, seed: int, kills: int) -> int:
    """The first height that was kept in the end."""
    chance = random.Random(seed)
    write_chain(folder, KEPT + 10, params=QUICK, every=2)
    memory = MemoryStore()
    ledger = open_ledger(memory, QUICK)
    blocks = traffic(0)
    for _ in range(kills):
        least = killed("prunes", folder, chance, most=8)
        chain = open_chain(folder / FILE_NAME, QUICK)
        store, tip = chain.store, chain.ledger.tip
        while ledger.tip.height < tip.height:
            accept_all(ledger, next(blocks))
        # Five at a time are one transaction here and there.
        assert ledger.tip.id == tip.id
        assert tip.work >= least
        assert digest_of(store) == digest_of(memory)
        kept = store.kept_from()
        assert kept <= tip.height - KEPT + 1
        for row in store.actives(1, tip.height):
            is_kept = row.height >= kept
            assert (store.block(row.id) is not None, store.undo(row.id) is not None) == (is_kept, is_kept), row
        while pruning.prune(store, KEPT):
            pass
        assert store.kept_from() == tip.height - KEPT + 1
        store.close()
    return kept


def kill_migrating_and_check(folder: Path, *, seed: int, kills: int) -> tuple[int, int]:
    """How many were killed before and after the newer version was there."""
    chance = random.Random(seed)
    made = write_chain(folder / "made", 100, params=QUICK, every=1, txs=40)
    counts = [0, 0]
    for number in range(kills):
        home = folder / str(number)
        home.mkdir()
        shutil.copyfile(made, home / FILE_NAME)
        killed("migrate", home, chance, most=chance.choice((0, 0, 0, 1)), turns=2_000_000)
        db = sqlite3.connect(home / FILE_NAME)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ((version,),) = db.execute("PRAGMA user_version").fetchall()
        db.close()
        counts[version - 1] += 1
        steps, schema.STEPS = schema.STEPS, STEPS if version == 2 else ()
        try:
            check(home, 0).store.close()
        finally:
            schema.STEPS = steps
        shutil.rmtree(home)
    return counts[0], counts[1]


def main(role: str, folder: Path, seed: int) -> None:
    schema.CHECKPOINT_PAGES = CHECKPOINT_PAGES  # type: ignore[misc]
    with FailingDisk():
        match role:
            case "reorgs" | "torn":
                wander(folder, seed, torn=role == "torn")
            case "prunes":
                prune(folder)
            case "migrate":
                migrate(folder)
            case _:
                raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
