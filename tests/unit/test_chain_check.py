"""A store whose newest rows do not fit together is noticed, and one that is whole is left as it is."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from apps.chain.core.check import Damaged, check_end
from apps.chain.core.memory import MemoryStore
from apps.chain.core.operations import SetName
from apps.chain.core.rows import Status
from apps.chain.core.store import Table
from overlay.wire import cbor
from tests.support.chains import QUICK, World, anchor, key_of, pay


def world() -> World:
    world = World(QUICK)
    for nonce in range(1, 4):
        world.accepts(world.next(world.make.tx("miner", pay("anna", 5), anchor("doc"), nonce=nonce)))
    return world


def test_a_whole_store_is_left_as_it_is() -> None:
    found = world()
    before = found.digest
    for blocks in (0, 1, 6, 10_000):
        check_end(found.store, QUICK, blocks=blocks)
    assert found.digest == before
    found.goes_on()


def test_what_undoes_a_block_is_in_the_order_of_keys() -> None:
    """Sets of bytes have another order in each process; what is written has one."""
    found = World(QUICK)
    names = [SetName(b"name-%d" % n, b"value") for n in range(8)]
    txs = [
        found.make.tx("miner", *(pay(f"{n}-{at}", 1) for at in range(8)), nonce=1 + n, fee=100) for n in range(8)
    ]  # fmt: skip
    found.accepts(found.next(*txs, found.make.tx("miner", *names, nonce=9, fee=9_000_000)))
    undo = found.store.undo(found.tip)
    assert undo is not None
    accounts, named = cbor.decode(undo, max_items=1_000)
    assert len(accounts) > 64
    assert len(named) == 8
    assert [accounts, named] == [sorted(accounts), sorted(named)]


def change_account(store: MemoryStore) -> None:
    (account,) = store.accounts([key_of("miner").key]).values()
    store.put_accounts([attrs.evolve(account, nonce=account.nonce + 1)])


def change_active(store: MemoryStore) -> None:
    tip = store.tip()
    store.pop_active()
    store.push_active(attrs.evolve(tip, fees=tip.fees + 1))


def change_undo(store: MemoryStore) -> None:
    undo = store.undo(store.tip().id)
    assert undo is not None
    store.put_undo(store.tip().id, undo[:-1] + bytes([undo[-1] ^ 1]))


def other_block(store: MemoryStore) -> None:
    raw = store.block(store.active(store.tip().height - 1).id)  # type: ignore[union-attr]
    assert raw is not None
    store.put_block(store.tip().id, raw)


def lose_touch(store: MemoryStore) -> None:
    key, *_ = list(store.rows(Table.TOUCHES))[-1]
    store.delete_touches(store.touches(key, limit=1))


def lose_anchor(store: MemoryStore) -> None:
    digest, *_ = next(iter(store.rows(Table.ANCHORS)))
    store.delete_anchors(store.anchors(digest)[-1:])


INDEX = "the index does not lead"
DAMAGE: list[tuple[Callable[[MemoryStore], object], str]] = [
    (lambda store: store.delete_bodies([store.tip().id]), "is lost"),
    (lambda store: store.set_status([store.tip().id], Status.READY), "no valid header"),
    (change_account, "accounts or names"),
    (change_active, "does not do what it did"),
    (change_undo, "cannot be taken back"),
    (lambda store: store.put_undo(store.tip().id, b"\x82\x81\x01\x80"), "cannot be taken back"),
    (other_block, "is another one"),
    (lambda store: store.delete_txs([row[0] for row in store.rows(Table.TXS)]), INDEX),
    (lose_touch, INDEX),
    (lose_anchor, INDEX),
]


@pytest.mark.parametrize(("change", "why"), DAMAGE)
def test_what_does_not_fit_is_named(change: Callable[[MemoryStore], object], why: str) -> None:
    store = world().store
    store.begin()
    change(store)
    store.commit()
    with pytest.raises(Damaged, match=why):
        check_end(store, QUICK)
