"""A chain that is opened is of this network and whole; old blocks can be forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.chain.core import pruning
from apps.chain.core.block import Block
from apps.chain.core.branch import Branch
from apps.chain.core.limits import MIN_KEPT
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import simulated
from apps.chain.core.state import digest_of
from apps.chain.shell.opening import open_chain
from apps.chain.shell.schema import FILE_NAME, DiskError, damaged
from apps.chain.shell.view import open_view
from overlay.errors import LocalError
from tests.support.chain_folder import Traffic, accept_all, write_chain
from tests.support.chains import PARAMS, Maker


def test_a_chain_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    file = write_chain(tmp_path, 30)
    with open_view(file) as view:
        before = digest_of(view)
        tip = view.tip()
    chain = open_chain(file, PARAMS)
    assert (chain.ledger.tip.id, digest_of(chain.store)) == (tip.id, before)
    make = Maker(PARAMS)
    make.know(chain.ledger.tip)
    block = make.block(tip.id)
    assert chain.ledger.accept_block(block, 1000 * block.header.time).verdict is Verdict.TIP
    chain.store.close()
    with open_view(file) as view:
        assert view.tip().id == block.id


def test_each_block_is_on_the_disk_again_once_the_node_has_caught_up(tmp_path: Path) -> None:
    chain = open_chain(tmp_path / FILE_NAME, PARAMS)
    synchronous: list[int] = []

    def connect(block: Block) -> None:
        assert chain.ledger.accept_block(block, 1000 * block.header.time).verdict is Verdict.TIP
        synchronous.extend(chain.store._db.execute("PRAGMA synchronous").fetchone())

    *blocks, last = Maker(PARAMS).line(PARAMS.genesis_id, 10)
    connect(blocks[0])
    chain.store.sync_each(3)
    for block in blocks[1:6]:
        connect(block)
    chain.store.pace(0)
    for block in blocks[6:]:
        connect(block)
    chain.store.pace(1)
    connect(last)
    chain.store.close()
    normal, full = 1, 2  # https://sqlite.org/pragma.html#pragma_synchronous
    assert synchronous == [full, normal, normal, full, normal, normal, full, full, full, normal]


def test_the_chain_of_another_network_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = write_chain(tmp_path, 3)
    before = file.read_bytes()
    with pytest.raises(LocalError, match="not the one of this network"):
        open_chain(file, simulated(b"another" * 5))
    assert file.read_bytes() == before


def test_rows_that_do_not_fit_are_damage_with_what_to_do(tmp_path: Path) -> None:
    file = write_chain(tmp_path, 40)
    chain = open_chain(file, PARAMS)
    chain.store.begin()
    chain.store.pop_active()
    chain.store.commit()
    chain.store.close()
    with pytest.raises(DiskError, match="the chain is damaged") as caught:
        open_chain(file, PARAMS)
    assert "mv" in caught.value.facts["start afresh"]
    assert list(caught.value.facts)[-2] == "stop the node first"
    for name in ("damaged", "damaged-2"):
        assert f"mkdir '{tmp_path}/{name}' && mv" in damaged(file, "x").facts["start afresh"]
        (tmp_path / name).mkdir()


def test_pruning_keeps_the_newest_blocks_and_all_that_old_ones_made(tmp_path: Path) -> None:
    file = write_chain(tmp_path, 1_000)
    chain = open_chain(file, PARAMS)
    store = chain.store
    before = digest_of(store)
    assert store.kept_from() == 0
    left = []
    while left[-1:] != [0]:
        left.append(pruning.prune(store, 300))
    assert left == [200, 0]
    assert pruning.prune(store, 400) == 0  # what is gone is gone
    assert store.kept_from() == 701
    for row in store.actives(0, 1_000):
        kept = row.height == 0 or row.height >= 701
        assert (store.block(row.id) is not None) is kept
        assert (store.undo(row.id) is not None) is (kept and row.height > 0)
    assert digest_of(store) == before
    store.close()
    # It goes on, and can be opened and read.
    chain = open_chain(file, PARAMS)
    make = Maker(PARAMS)
    make.know(chain.ledger.tip)
    accept_all(chain.ledger, make.line(chain.ledger.tip.id, 2))
    chain.store.close()
    with open_view(file) as view:
        assert (view.kept_from(), view.tip().height) == (701, 1_002)


def test_too_little_cannot_be_kept(tmp_path: Path) -> None:
    chain = open_chain(tmp_path / "chain.db", PARAMS)
    with pytest.raises(LocalError, match="288 blocks are always kept"):
        pruning.prune(chain.store, MIN_KEPT - 1)
    assert pruning.prune(chain.store, MIN_KEPT) == 0
    chain.store.close()


def test_a_branch_from_below_what_was_kept_is_not_followed(tmp_path: Path) -> None:
    file = write_chain(tmp_path, 320, every=1_000)
    chain = open_chain(file, PARAMS)
    pruning.prune(chain.store, MIN_KEPT)
    tip, digest = chain.ledger.tip, digest_of(chain.store)
    traffic = Traffic(Maker(PARAMS), PARAMS.genesis_id, every=1_000)
    (*_, fork) = traffic.blocks(20)
    longer = traffic.make.line(fork.id, 301)
    now_ms = 1000 * longer[-1].header.time
    chain.ledger.accept_headers([block.raw_header for block in longer], now_ms, Branch())
    outcomes = chain.ledger.accept_blocks(longer, now_ms)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.SIDE}
    assert chain.ledger.best.work > tip.work
    assert (chain.ledger.tip, digest_of(chain.store)) == (tip, digest)
    chain.store.close()
    open_chain(file, PARAMS).store.close()
