"""Checks a chain from its bytes, as if nobody had checked it before, level by level.

    0  headers: encoding, work, order, times, difficulties, and the sums and marks that are kept beside them
    1  and bodies: they are there, and those of their headers
    2  and transactions: each by itself, and its signature
    3  and all of it once more into a store in memory: what undoes each block is there, and as it was kept, and undoing
       all of them leads back to the first one
    4  and that store holds what this one does

Levels 3 and 4 need memory for all accounts and indexes. Where old blocks were forgotten (`--prune`), of those below
the first that is kept headers alone are checked; levels 3 and 4 take the kept ones back from a copy of the state, and
do them again: what the forgotten ones made is believed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from apps.chain.core import headers as header_rules
from apps.chain.core import signatures, state
from apps.chain.core.block import Block, check_body, decode_block, decode_txs
from apps.chain.core.explorer.chain import Chain
from apps.chain.core.explorer.copied import copy_of
from apps.chain.core.header import decode_header, id_of
from apps.chain.core.judge import Judge
from apps.chain.core.ledger import open_ledger
from apps.chain.core.limits import MAX_UNDO_ITEMS
from apps.chain.core.memory import MemoryStore
from apps.chain.core.rows import ActiveRow, HeaderRow, Status
from apps.chain.core.rules import Invalid
from apps.chain.core.store import Table
from apps.chain.core.tx import Tx
from overlay.errors import BadMessage, LocalError
from overlay.identity.keys import Verifier
from overlay.wire import cbor

HEADERS, BODIES, SIGNATURES, UNDO, REPLAY = range(5)
#: The code of what breaks no rule: the store does not hold what follows from the blocks.
STORE: Final = "STORE"
#: Blocks between two reports of how far it is.
_STEP: Final = 256


@attrs.frozen(slots=True)
class Fault:
    height: int
    block: bytes
    #: Of a rule (rules.py), or STORE.
    code: str
    why: str


@attrs.define(slots=True)
class Report:
    """How far it came: numbers of what is good."""

    level: int
    #: Heights of levels 0 to 2; the others begin with the first block.
    first: int
    last: int
    headers: int = 0
    bodies: int = 0
    #: Transactions whose signature was checked.
    signatures: int = 0
    replayed: int = 0
    #: Below it blocks were forgotten, all but the first one of the chain; 0: none was.
    kept_from: int = attrs.field(default=0, kw_only=True)
    undone: int = 0
    #: Whether the replayed state is the stored one; None: was not compared.
    is_equal: bool | None = None
    fault: Fault | None = None


class _Faulty(Exception):
    def __init__(self, row: ActiveRow, code: str, why: str) -> None:
        super().__init__(why)
        self.fault = Fault(row.height, row.id, code, why)


def verify(
    chain: Chain, level: int, *, first: int = 0, judge: Judge, verifier: Verifier,
    told: Callable[[str, int, int], object] = lambda what, done, total: None,
) -> Report:  # fmt: skip
    """The report ends at the first fault. `told`: what is being done, and how many of how many blocks are done."""
    report = Report(level, first, chain.height, kept_from=chain.view.kept_from())
    try:
        _heights(chain, report, verifier, told)
        if level >= UNDO:
            again = _replay_kept if report.kept_from else _replay
            again(chain, report, judge, told)
    except _Faulty as faulty:
        report.fault = faulty.fault
    return report


# --- levels 0 to 2 -------------------------------------------------------------------------


def _heights(chain: Chain, report: Report, verifier: Verifier, told: Callable[[str, int, int], object]) -> None:
    parent = chain.active_header(report.first - 1) if report.first else None
    for height in range(report.first, report.last + 1):
        active = chain.active(height)
        row = chain.view.header(active.id)
        if row is None:
            raise _Faulty(active, STORE, "its header is not here")
        _check_header(chain, active, row, parent)
        report.headers += 1
        if report.level >= BODIES and (height >= report.kept_from or height == 0):
            block = _check_block(chain, active, row)
            report.bodies += 1
            if report.level >= SIGNATURES:
                report.signatures += _check_txs(chain, active, block, verifier)
        parent = row
        if height % _STEP == 0:
            told("blocks", height - report.first, report.last - report.first + 1)


def _check_header(chain: Chain, active: ActiveRow, row: HeaderRow, parent: HeaderRow | None) -> None:
    params = chain.params
    try:
        header = decode_header(row.raw)
        if parent is None:
            expected = chain.params.genesis_id
            if id_of(row.raw) != expected:
                raise _Faulty(active, "H12", "it is not the first block of this chain")
            made = row
        else:
            if header.parent != parent.id:
                raise _Faulty(active, "H6", f"its parent is {header.parent.hex()[:16]}, not the block below it")
            header_rules.check_alone(header, row.raw, params)
            header_rules.check_placed(header, active.id, parent, params)
            made = header_rules.row_of(header, row.raw, parent, row.seen_ms)
    except Invalid as error:
        raise _Faulty(active, error.rule, error.why) from None
    if _said(row) != _said(made):
        raise _Faulty(active, STORE, "what is kept of its header is not what the header says")
    if (active.height, active.time, active.difficulty, active.miner, active.txs) != (
        header.height, header.time, header.difficulty, header.miner, header.txs,
    ):  # fmt: skip
        raise _Faulty(active, STORE, "what is kept of the block is not what its header says")
    # Where headers are kept alone no block was connected.
    marked = row.status is Status.VALID and (row.seq > 0) is (parent is not None)
    if not chain.light and not marked:
        raise _Faulty(active, STORE, f"its block counts, and its header is kept as {row.status.name}, number {row.seq}")


def _said(row: HeaderRow) -> tuple[object, ...]:
    """What follows from the header and those below it."""
    return row.id, row.height, row.parent, row.work, row.time, row.solve_s, row.difficulty, row.txs, row.miner


def _check_block(chain: Chain, active: ActiveRow, row: HeaderRow) -> Block:
    raw = chain.view.block(row.id)
    if raw is None:
        raise _Faulty(active, STORE, "its body is not here")
    try:
        block = decode_block(raw)
        check_body(block.header, block.txs)
    except Invalid as error:
        raise _Faulty(active, error.rule, error.why) from None
    if block.id != row.id or len(raw) != active.size:
        raise _Faulty(active, STORE, "its body is another block's")
    return block


def _check_txs(chain: Chain, active: ActiveRow, block: Block, verifier: Verifier) -> int:
    try:
        txs = decode_txs(block.txs, chain.params.chain_id)
    except Invalid as error:
        raise _Faulty(active, error.rule, error.why) from None
    bad = signatures.first_bad(signatures.checks_of(txs), verifier=verifier)
    if bad is not None:
        raise _Faulty(active, "X7", f"its sender did not sign it (transaction {bad})")
    return len(txs)


# --- levels 3 and 4 ------------------------------------------------------------------------


def _replay(chain: Chain, report: Report, judge: Judge, told: Callable[[str, int, int], object]) -> None:
    memory = MemoryStore()
    open_ledger(memory, chain.params, judge=judge)  # begins with the first block
    begun = state.digest_of(memory)
    for height in range(1, report.last + 1):
        active = chain.active(height)
        _connect(chain, memory, active, judge)
        report.replayed += 1
        if height % _STEP == 0:
            told("replay", height, report.last)
    if report.level >= REPLAY:
        _compare(chain, memory, report)
    _take_back(chain, memory, report, told)
    if state.digest_of(memory) != begun:
        raise _Faulty(chain.active(0), STORE, "undoing every block does not lead back to the first one")


def _connect(chain: Chain, memory: MemoryStore, active: ActiveRow, judge: Judge) -> None:
    row = chain.header(active.id)
    block = _check_block(chain, active, row)
    memory.begin()
    try:
        memory.put_headers((row,))
        memory.put_block(row.id, block.raw)
        txs = decode_txs(block.txs, chain.params.chain_id)
        state.connect(memory, chain.params, judge, row.id, block.header, txs, size=len(block.raw))
    except Invalid as error:
        raise _Faulty(active, error.rule, error.why) from None
    memory.commit()
    if memory.active(active.height) != active:
        raise _Faulty(active, STORE, "what is kept of the block is not what its transactions say")
    if _undone_by(_undo_of(chain, active)) != _undone_by(memory.undo(active.id)):
        raise _Faulty(active, STORE, "what was kept to undo it does not undo it")


def _txs_of(chain: Chain, active: ActiveRow) -> tuple[Tx, ...]:
    block = _check_block(chain, active, chain.header(active.id))
    try:
        return decode_txs(block.txs, chain.params.chain_id)
    except Invalid as error:
        raise _Faulty(active, error.rule, error.why) from None


def _undo_of(chain: Chain, active: ActiveRow) -> bytes:
    kept = chain.view.undo(active.id)
    if kept is None:
        raise _Faulty(active, STORE, "what undoes it is not here")
    return kept


def _undone_by(undo: bytes | None) -> object:
    """What it puts back, whatever the order; None if it can put nothing back."""
    try:
        return [sorted(rows) for rows in cbor.decode(undo or b"", max_items=MAX_UNDO_ITEMS)]
    except (BadMessage, TypeError):
        return None


def _replay_kept(chain: Chain, report: Report, judge: Judge, told: Callable[[str, int, int], object]) -> None:
    """Where what was kept to undo these blocks is wrong, they break rules when done again, or make another undo."""
    memory = copy_of(chain.view)
    total = report.last - report.kept_from + 1
    for height in range(report.last, report.kept_from - 1, -1):
        active = chain.active(height)
        undo = _undo_of(chain, active)
        if not state.is_undo(undo):
            raise _Faulty(active, STORE, "what was kept to undo it does not undo it")
        memory.begin()
        memory.put_undo(active.id, undo)
        state.disconnect(memory, _txs_of(chain, active))
        memory.commit()
        report.undone += 1
        if height % _STEP == 0:
            told("undo", report.undone, total)
    for height in range(report.kept_from, report.last + 1):
        _connect(chain, memory, chain.active(height), judge)
        report.replayed += 1
        if height % _STEP == 0:
            told("replay", report.replayed, total)
    _compare(chain, memory, report)


def _compare(chain: Chain, memory: MemoryStore, report: Report) -> None:
    report.is_equal = state.digest_of(memory) == state.digest_of(chain.view)
    if not report.is_equal:
        tip = chain.active(report.last)
        raise _Faulty(tip, STORE, f"the replayed state is not the stored one: {_difference(chain, memory)}")


def _take_back(chain: Chain, memory: MemoryStore, report: Report, told: Callable[[str, int, int], object]) -> None:
    for height in range(report.last, 0, -1):
        active = chain.active(height)
        memory.begin()
        try:
            state.disconnect(memory, _txs_of(chain, active))
        except (LocalError, BadMessage) as error:
            raise _Faulty(active, STORE, f"it cannot be undone: {error}") from None
        memory.commit()
        report.undone += 1
        if height % _STEP == 0:
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
