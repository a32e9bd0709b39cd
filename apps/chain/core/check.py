"""Whether a store fits together where it was written last, as it must, whatever ended its node."""

from __future__ import annotations

from typing import Any

import attrs

from apps.chain.core import state
from apps.chain.core.block import Block, check_body, decode_block, decode_txs
from apps.chain.core.judge import Judge, nobody
from apps.chain.core.limits import MAX_UNDO_ITEMS
from apps.chain.core.params import Params
from apps.chain.core.rows import ActiveRow, Status
from apps.chain.core.store import Store, View
from apps.chain.core.tx import Tx
from overlay.errors import LocalError, OverlayError
from overlay.wire import cbor

#: A change of branch rarely goes farther back. Empty ones take a millisecond, six of the largest less than a second.
CHECKED_BLOCKS = 6


class Damaged(LocalError):
    """The rows of a store contradict each other."""


@attrs.frozen(slots=True)
class _Newest:
    row: ActiveRow
    #: Accounts and names before it, in the order of their keys: that in which they were written says nothing.
    undo: list[list[Any]]
    block: Block
    txs: tuple[Tx, ...]


def check_end(store: Store, params: Params, *, judge: Judge = nobody, blocks: int = CHECKED_BLOCKS) -> None:
    """Takes the newest blocks back and connects them again, in a transaction that is rolled back.

    Damaged, if anything is not as it was. Signatures are not checked: the header commits to them."""
    store.begin()
    try:
        _check(store, params, judge, blocks)
    except Damaged:
        raise
    except (OverlayError, TypeError, ValueError) as error:  # the last two of bytes that are not what was written
        raise Damaged(f"the newest blocks cannot be taken back and connected again: {error}") from error
    finally:
        store.rollback()


def _check(store: Store, params: Params, judge: Judge, blocks: int) -> None:
    tip = store.tip()
    header = store.header(tip.id)
    if header is None or header.status is not Status.VALID or header.height != tip.height:
        raise Damaged(f"the tip, block {tip.height}, has no valid header")
    newest = [_read(store, params, height) for height in range(tip.height, max(0, tip.height - blocks), -1)]
    keys, names = set[bytes](), set[bytes]()
    for one in newest:
        accounts, named = one.undo
        keys.update(item[0] for item in accounts)
        names.update(item[0] for item in named)
        _check_index(store, one)
    said = store.accounts(keys), store.names(names)
    for one in newest:
        state.disconnect(store, one.txs)
    for one in reversed(newest):
        row, block = one.row, one.block
        state.connect(store, params, judge, row.id, block.header, one.txs, size=len(block.raw))
        if store.active(row.height) != row or _undo(store, row.id) != one.undo:
            raise Damaged(f"block {row.height} does not do what it did")
    if (store.accounts(keys), store.names(names)) != said:
        raise Damaged("accounts or names are not what the newest blocks make of them")


def _read(view: View, params: Params, height: int) -> _Newest:
    row = view.active(height)
    raw, undo = (view.block(row.id), _undo(view, row.id)) if row else (None, None)
    if row is None or raw is None or undo is None:
        raise Damaged(f"block {height} is lost, or what undoes it")
    block = decode_block(raw)
    if block.id != row.id:
        raise Damaged(f"block {height} is another one")
    check_body(block.header, block.txs)
    return _Newest(row, undo, block, decode_txs(block.txs, params.chain_id))


def _undo(view: View, block: bytes) -> list[list[Any]] | None:
    undo = view.undo(block)
    return None if undo is None else [sorted(part) for part in cbor.decode(undo, max_items=MAX_UNDO_ITEMS)]


def _check_index(view: View, one: _Newest) -> None:
    """Transactions, accounts and anchors lead to the block."""
    index = state.index_of(one.txs, one.row.height)
    if not (
        all(view.tx(row.txid) == row for row in index.txs)
        and all(row in view.touches(row.key, before=(row.height, row.pos + 1), limit=1) for row in index.touches)
        and all(row in view.anchors(row.digest) for row in index.anchors)
    ):
        raise Damaged(f"the index does not lead to the transactions of block {one.row.height}")
