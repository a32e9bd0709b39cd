"""Levels 3 and 4: all blocks once more into a store in memory, and back."""

from __future__ import annotations

from apps.chain.core import state
from apps.chain.core.explorer.chain import Chain
from apps.chain.core.explorer.copied import copy_of
from apps.chain.core.explorer.faults import REPLAY, STEP, STORE, Faulty, Report, Told
from apps.chain.core.explorer.heights import check_block, txs_of
from apps.chain.core.judge import Judge
from apps.chain.core.ledger import open_ledger
from apps.chain.core.limits import MAX_UNDO_ITEMS
from apps.chain.core.memory import MemoryStore
from apps.chain.core.rows import ActiveRow
from apps.chain.core.rules import Invalid
from apps.chain.core.store import Table
from apps.chain.core.tx import Tx
from overlay.errors import BadMessage, LocalError
from overlay.wire import cbor


def replay(chain: Chain, report: Report, judge: Judge, told: Told) -> None:
    memory = MemoryStore()
    open_ledger(memory, chain.params, judge=judge)  # begins with the first block
    begun = state.digest_of(memory)
    for height in range(1, report.last + 1):
        active = chain.active(height)
        _connect(chain, memory, active, judge)
        report.replayed += 1
        if height % STEP == 0:
            told("replay", height, report.last)
    if report.level >= REPLAY:
        _compare(chain, memory, report)
    _take_back(chain, memory, report, told)
    if state.digest_of(memory) != begun:
        raise Faulty(chain.active(0), STORE, "undoing every block does not lead back to the first one")


def _connect(chain: Chain, memory: MemoryStore, active: ActiveRow, judge: Judge) -> None:
    row = chain.header(active.id)
    block = check_block(chain, active, row)
    memory.begin()
    try:
        memory.put_headers((row,))
        memory.put_block(row.id, block.raw)
        txs = txs_of(chain, active, block)
        state.connect(memory, chain.params, judge, row.id, block.header, txs, size=len(block.raw))
    except Invalid as error:
        raise Faulty(active, error.rule, error.why) from None
    memory.commit()
    if memory.active(active.height) != active:
        raise Faulty(active, STORE, "what is kept of the block is not what its transactions say")
    if _undone_by(_undo_of(chain, active)) != _undone_by(memory.undo(active.id)):
        raise Faulty(active, STORE, "what was kept to undo it does not undo it")


def _kept_txs(chain: Chain, active: ActiveRow) -> tuple[Tx, ...]:
    return txs_of(chain, active, check_block(chain, active, chain.header(active.id)))


def _undo_of(chain: Chain, active: ActiveRow) -> bytes:
    kept = chain.view.undo(active.id)
    if kept is None:
        raise Faulty(active, STORE, "what undoes it is not here")
    return kept


def _undone_by(undo: bytes | None) -> object:
    """What it puts back, whatever the order; None if it can put nothing back."""
    try:
        return [sorted(rows) for rows in cbor.decode(undo or b"", max_items=MAX_UNDO_ITEMS)]
    except (BadMessage, TypeError):
        return None


def replay_kept(chain: Chain, report: Report, judge: Judge, told: Told) -> None:
    """Where what was kept to undo these blocks is wrong, they break rules when done again, or make another undo."""
    memory = copy_of(chain.view)
    total = report.last - report.kept_from + 1
    for height in range(report.last, report.kept_from - 1, -1):
        active = chain.active(height)
        undo = _undo_of(chain, active)
        if not state.is_undo(undo):
            raise Faulty(active, STORE, "what was kept to undo it does not undo it")
        memory.begin()
        memory.put_undo(active.id, undo)
        state.disconnect(memory, _kept_txs(chain, active))
        memory.commit()
        report.undone += 1
        if height % STEP == 0:
            told("undo", report.undone, total)
    for height in range(report.kept_from, report.last + 1):
        _connect(chain, memory, chain.active(height), judge)
        report.replayed += 1
        if height % STEP == 0:
            told("replay", report.replayed, total)
    _compare(chain, memory, report)


def _compare(chain: Chain, memory: MemoryStore, report: Report) -> None:
    report.is_equal = state.digest_of(memory) == state.digest_of(chain.view)
    if not report.is_equal:
        tip = chain.active(report.last)
        raise Faulty(tip, STORE, f"the replayed state is not the stored one: {_difference(chain, memory)}")


def _take_back(chain: Chain, memory: MemoryStore, report: Report, told: Told) -> None:
    for height in range(report.last, 0, -1):
        active = chain.active(height)
        memory.begin()
        try:
            state.disconnect(memory, _kept_txs(chain, active))
        except (LocalError, BadMessage) as error:
            raise Faulty(active, STORE, f"it cannot be undone: {error}") from None
        memory.commit()
        report.undone += 1
        if height % STEP == 0:
            told("undo", report.undone, report.last)


def _difference(chain: Chain, memory: MemoryStore) -> str:
    """The first row in which they differ."""
    for table in Table:
        ours, theirs = iter(memory.rows(table)), iter(chain.view.rows(table))
        while (row := next(ours, None)) == (kept := next(theirs, None)):
            if row is None:
                break
        else:
            return f"table {table.value}: {_shown(row)} is right, {_shown(kept)} is kept"
    return "nothing that can be named"


def _shown(row: tuple[object, ...] | None) -> str:
    if row is None:
        return "no row"
    return "(" + ", ".join(value.hex()[:16] if isinstance(value, bytes) else str(value) for value in row) + ")"
