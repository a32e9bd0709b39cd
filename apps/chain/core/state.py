"""Connecting a block to the tip, and taking it back.

All checks come before the first write. What undoes a block is kept beside it: accounts and names as they were,

    undo = [[[key, balance, nonce] or [key], ...], [[name, owner, value, expires] or [name], ...]]

where a single item stands for what was not there. All else that a block wrote follows from its transactions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from apps.chain.core.header import Header
from apps.chain.core.judge import Judge
from apps.chain.core.limits import MAX_UNDO_ITEMS
from apps.chain.core.operations import Anchor, Evidence, Pay
from apps.chain.core.params import Params
from apps.chain.core.rows import Account, ActiveRow, AnchorRow, NameRow, Touch, TxRow
from apps.chain.core.rules import Invalid
from apps.chain.core.store import Store, Table, View
from apps.chain.core.tx import Tx
from apps.chain.core.working import Working, evidence_key
from overlay.errors import BadMessage, LocalError
from overlay.wire import cbor

#: Kinds of the columns of what an undo puts back.
_ACCOUNT = (bytes, int, int)
_NAME = (bytes, bytes, bytes, int)


@attrs.frozen(slots=True)
class Index:
    """Rows that follow from the transactions of a block alone."""

    txs: list[TxRow]
    touches: list[Touch]
    anchors: list[AnchorRow]


def index_of(txs: Sequence[Tx], height: int) -> Index:
    index = Index([], [], [])
    for pos, tx in enumerate(txs):
        index.txs.append(TxRow(tx.txid, height, pos))
        touched = {tx.sender: None}
        for at, operation in enumerate(tx.operations):
            kind = type(operation)
            if kind is Pay:
                touched[operation.to] = None  # type: ignore[union-attr]
            elif kind is Anchor:
                index.anchors.append(AnchorRow(operation.digest, height, pos, at, operation.tag))  # type: ignore[union-attr]
        index.touches.extend(Touch(key, height, pos) for key in touched)
    return index


def connect(
    store: Store, params: Params, judge: Judge, block: bytes, header: Header, txs: Sequence[Tx], *, size: int
) -> None:
    """Makes a block the tip, whose header, body and signatures are good; Invalid (S, X9) with nothing written.

    `size`: bytes of the block."""
    height = header.height
    mature = store.active(height - params.maturity) if height > params.maturity else None
    working = Working(store, params, height, judge)
    working.load(txs, keys=(mature.miner,) if mature else ())
    for pos, tx in enumerate(txs):
        try:
            working.apply(tx, pos)
        except Invalid as error:
            raise Invalid(error.rule, f"{error.why} (transaction {pos})") from None
    if mature:  # after the transactions: what is credited here can be spent in the next block
        working.credit(mature.miner, params.reward(mature.height) + mature.fees)
    accounts, names = working.changed_accounts(), working.changed_names()
    store.put_undo(block, _encode_undo(working, accounts, names))
    store.put_accounts(accounts)
    if names:
        store.put_names([row for row in names.values() if row is not None])
        store.delete_names([name for name, row in names.items() if row is None])
    if txs:
        index = index_of(txs, height)
        store.put_txs(index.txs)
        store.put_touches(index.touches)
        store.put_anchors(index.anchors)
        store.put_evidence(working.evidence)
    store.push_active(
        ActiveRow(
            height, block, header.time, header.difficulty, header.miner, len(txs), working.operations, size,
            working.fees,
        )
    )  # fmt: skip


def disconnect(store: Store, txs: Sequence[Tx]) -> None:
    """Takes back the tip, whose transactions these are."""
    tip = store.tip()
    undo = store.undo(tip.id)
    if undo is None:
        raise LocalError(f"block {tip.height} cannot be taken back: what undoes it is gone")
    accounts, names = cbor.decode(undo, max_items=MAX_UNDO_ITEMS)
    store.put_accounts([Account(*item) for item in accounts if len(item) > 1])
    store.delete_accounts([item[0] for item in accounts if len(item) == 1])
    if names:
        store.put_names([NameRow(*item) for item in names if len(item) > 1])
        store.delete_names([item[0] for item in names if len(item) == 1])
    if txs:
        index = index_of(txs, tip.height)
        store.delete_txs([row.txid for row in index.txs])
        store.delete_touches(index.touches)
        store.delete_anchors(index.anchors)
        evidence = [op.evidence for tx in txs for op in tx.operations if type(op) is Evidence]
        store.delete_evidence([evidence_key(item) for item in evidence])
    store.pop_active()


def is_undo(undo: bytes) -> bool:
    """Whether it has the form of what `connect` keeps; for one that was read from a file of a stranger."""
    try:
        accounts, names = cbor.decode(undo, max_items=MAX_UNDO_ITEMS)
        return all(_fits(item, _ACCOUNT) for item in accounts) and all(_fits(item, _NAME) for item in names)
    except (BadMessage, TypeError, ValueError):
        return False


def _fits(item: Any, kinds: tuple[type[bytes] | type[int], ...]) -> bool:
    """A key alone, or all of a row; numbers that a disk can hold."""
    if type(item) is not list or len(item) not in (1, len(kinds)):
        return False
    columns = zip(item, kinds, strict=False)
    return all(type(value) is kind and (type(value) is not int or 0 <= value < 1 << 63) for value, kind in columns)


def _encode_undo(working: Working, accounts: list[Account], names: dict[bytes, NameRow | None]) -> bytes:
    before: list[list[Any]] = []
    for account in accounts:
        was = working.account_before(account.key)
        before.append([account.key] if was is None else [was.key, was.balance, was.nonce])
    names_before: list[list[Any]] = []
    for name in names:
        row = working.name_before(name)
        names_before.append([name] if row is None else [row.name, row.owner, row.value, row.expires])
    return cbor.encode([before, names_before])


def digest_of(view: View, tables: Iterable[Table] = Table) -> bytes:
    """32 bytes over all that follows from the chain that counts: equal on every node with the same tip.

    It reads everything. No rule depends on it; nodes and tests compare it to find code that is not deterministic."""
    digest = hashlib.sha256()
    for table in tables:
        digest.update(cbor.encode(table.value))
        for row in view.rows(table):
            digest.update(cbor.encode(row))
    return digest.digest()


def supply_of(params: Params, view: View) -> int:
    """Units that all accounts must have together: rewards that are mature, less fees that are not yet."""
    tip = view.tip().height
    mature = sum(params.reward(height) for height in range(1, tip - params.maturity + 1))
    return mature - sum(row.fees for row in view.actives(max(1, tip - params.maturity + 1), tip))
