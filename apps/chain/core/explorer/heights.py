"""Levels 0 to 2: each block by itself, and on the one below it."""

from __future__ import annotations

from apps.chain.core import headers as header_rules
from apps.chain.core import signatures
from apps.chain.core.block import Block, check_body, decode_block, decode_txs
from apps.chain.core.explorer.chain import Chain
from apps.chain.core.explorer.faults import BODIES, SIGNATURES, STEP, STORE, Faulty, Report, Told
from apps.chain.core.header import decode_header, id_of
from apps.chain.core.rows import ActiveRow, HeaderRow, Status
from apps.chain.core.rules import Invalid
from apps.chain.core.tx import Tx
from overlay.identity.keys import Verifier


def check_heights(chain: Chain, report: Report, verifier: Verifier, told: Told) -> None:
    parent = chain.active_header(report.first - 1) if report.first else None
    for height in range(report.first, report.last + 1):
        active = chain.active(height)
        row = chain.view.header(active.id)
        if row is None:
            raise Faulty(active, STORE, "its header is not here")
        _check_header(chain, active, row, parent)
        report.headers += 1
        if report.level >= BODIES and (height >= report.kept_from or height == 0):
            block = check_block(chain, active, row)
            report.bodies += 1
            if report.level >= SIGNATURES:
                report.signatures += _check_txs(chain, active, block, verifier)
        parent = row
        if height % STEP == 0:
            told("blocks", height - report.first, report.last - report.first + 1)


def _check_header(chain: Chain, active: ActiveRow, row: HeaderRow, parent: HeaderRow | None) -> None:
    params = chain.params
    try:
        header = decode_header(row.raw)
        if parent is None:
            expected = chain.params.genesis_id
            if id_of(row.raw) != expected:
                raise Faulty(active, "H12", "it is not the first block of this chain")
            made = row
        else:
            if header.parent != parent.id:
                raise Faulty(active, "H6", f"its parent is {header.parent.hex()[:16]}, not the block below it")
            header_rules.check_alone(header, row.raw, params)
            header_rules.check_placed(header, active.id, parent, params)
            made = header_rules.row_of(header, row.raw, parent, row.seen_ms)
    except Invalid as error:
        raise Faulty(active, error.rule, error.why) from None
    if _said(row) != _said(made):
        raise Faulty(active, STORE, "what is kept of its header is not what the header says")
    if (active.height, active.time, active.difficulty, active.miner, active.txs) != (
        header.height, header.time, header.difficulty, header.miner, header.txs,
    ):  # fmt: skip
        raise Faulty(active, STORE, "what is kept of the block is not what its header says")
    # Where headers are kept alone no block was connected.
    marked = row.status is Status.VALID and (row.seq > 0) is (parent is not None)
    if not chain.light and not marked:
        raise Faulty(active, STORE, f"its block counts, and its header is kept as {row.status.name}, number {row.seq}")


def _said(row: HeaderRow) -> tuple[object, ...]:
    """What follows from the header and those below it."""
    return row.id, row.height, row.parent, row.work, row.time, row.solve_s, row.difficulty, row.txs, row.miner


def check_block(chain: Chain, active: ActiveRow, row: HeaderRow) -> Block:
    raw = chain.view.block(row.id)
    if raw is None:
        raise Faulty(active, STORE, "its body is not here")
    try:
        block = decode_block(raw)
        check_body(block.header, block.txs)
    except Invalid as error:
        raise Faulty(active, error.rule, error.why) from None
    if block.id != row.id or len(raw) != active.size:
        raise Faulty(active, STORE, "its body is another block's")
    return block


def txs_of(chain: Chain, active: ActiveRow, block: Block) -> tuple[Tx, ...]:
    try:
        return decode_txs(block.txs, chain.params.chain_id)
    except Invalid as error:
        raise Faulty(active, error.rule, error.why) from None


def _check_txs(chain: Chain, active: ActiveRow, block: Block, verifier: Verifier) -> int:
    txs = txs_of(chain, active, block)
    bad = signatures.first_bad(signatures.checks_of(txs), verifier=verifier)
    if bad is not None:
        raise Faulty(active, "X7", f"its sender did not sign it (transaction {bad})")
    return len(txs)
