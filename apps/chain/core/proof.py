"""Proofs that a transaction is in a chain, which anybody can check alone with SHA-256: no node, no store.

    proof = [1, facts, time, tx, position, path, [header, ...]]
            facts, time: the chain (params.py); from them follows the chain id that the transaction is signed for
            path: 32 bytes for each step of the tree; headers: that of its block, and those on top of it

A proof says that so much work was done behind the transaction. That this chain is the one that all use, says only
somebody who knows one of its blocks: whose id is among `Proof.ids`.
"""

from __future__ import annotations

from typing import Any

import attrs

from apps.chain.core import merkle
from apps.chain.core.block import decode_block
from apps.chain.core.header import Header, decode_header, id_of
from apps.chain.core.headers import check_least, check_work
from apps.chain.core.limits import MAX_PROOF_BYTES, MAX_PROOF_ITEMS
from apps.chain.core.params import Params
from apps.chain.core.rows import TxRow
from apps.chain.core.rules import Invalid, Rule
from apps.chain.core.store import View
from apps.chain.core.tx import Tx, decode_tx
from overlay.errors import BadMessage, LocalError, NotFound
from overlay.identity.keys import Verifier, verify
from overlay.wire import cbor

VERSION = 1


@attrs.frozen(slots=True)
class Proof:
    """What a proof says once it is checked."""

    params: Params
    tx: Tx
    #: Of the block that holds it, and where in it.
    header: Header
    position: int
    #: Ids of that block and of those on top of it, upwards.
    ids: tuple[bytes, ...] = attrs.field(repr=False)
    #: Hashes that were spent on these blocks.
    work: int
    #: Of the last one.
    last: Header


def make_proof(view: View, params: Params, row: TxRow, *, last: int | None = None) -> bytes:
    """Of a transaction in the chain that counts, with the headers up to height `last`, else to the tip."""
    blocks = view.actives(row.height, view.tip().height if last is None else last)
    raw = view.block(blocks[0].id) if blocks else None
    if raw is None:
        raise NotFound(f"the body of block {row.height} is not here (pruned?): ask a node that keeps all of them")
    txs = decode_block(raw).txs
    path = merkle.path_of([merkle.leaf_of(tx) for tx in txs], row.pos)
    headers = [header.raw for block in blocks if (header := view.header(block.id)) is not None]
    return cbor.encode(
        [VERSION, params.facts(), params.genesis_time, txs[row.pos], row.pos, b"".join(path), headers]
    )  # fmt: skip


def prolonged(raw: bytes, view: View, *, last: int | None = None) -> bytes:
    """A proof that `check_proof` takes, of a block of this chain, with the headers up to height `last`, else to the
    tip."""
    *items, headers = cbor.decode(raw, max_items=MAX_PROOF_ITEMS)
    height = decode_header(headers[0]).height
    blocks = view.actives(height + 1, view.tip().height if last is None else last)
    more = [header.raw for block in blocks if (header := view.header(block.id)) is not None]
    return cbor.encode([*items, [headers[0], *more]])


def check_proof(raw: bytes, *, verifier: Verifier = verify) -> Proof:
    """BadMessage, often Invalid with its rule, unless it proves what it says."""
    if len(raw) > MAX_PROOF_BYTES:
        raise BadMessage(f"a proof of {len(raw)} bytes, at most {MAX_PROOF_BYTES}")
    match cbor.decode(raw, max_items=MAX_PROOF_ITEMS):
        case [int(version), list(facts), int(time), bytes(raw_tx), int(position), bytes(path), [*headers]]:
            if version != VERSION or not headers or any(type(header) is not bytes for header in headers):
                raise BadMessage(f"a proof of version {version} with {len(headers)} headers")
        case _:
            raise BadMessage("no proof: it has other items")
    params = _params_of(facts, time)
    tx = decode_tx(raw_tx, params.chain_id)
    if not verifier(tx.sender, tx.signed, tx.signature):
        raise Invalid(Rule.X7, "its sender did not sign the transaction")
    checked, ids = _check_headers(headers, params)
    first = checked[0]
    steps = [path[at : at + merkle.HASH_BYTES] for at in range(0, len(path), merkle.HASH_BYTES)]
    if not merkle.proves(first.root, first.txs, position, tx.leaf, steps):
        raise Invalid(Rule.B3, f"the path does not lead from the transaction to block {first.height}")
    work = sum(header.difficulty for header in checked)
    return Proof(params, tx, first, position, ids, work, checked[-1])


def _params_of(facts: list[Any], time: int) -> Params:
    try:
        return Params.of_facts(facts, genesis_time=time)
    except (LocalError, BadMessage) as error:
        raise BadMessage(f"no chain has these facts: {error}") from None


def _check_headers(raws: list[bytes], params: Params) -> tuple[list[Header], tuple[bytes, ...]]:
    """Each on the one before. Of the first two the difficulty cannot be checked, what came before is not here."""
    headers: list[Header] = []
    ids: list[bytes] = []
    for raw in raws:
        header = decode_header(raw)
        check_least(header, params)
        check_work(header.difficulty, raw, params)
        if headers:
            before = headers[-1]
            if header.parent != ids[-1] or header.height != before.height + 1:
                raise Invalid(Rule.H7, f"block {header.height} is not on block {before.height}")
            if header.time <= before.time:
                raise Invalid(Rule.H8, f"block {header.height} is not later than the one before it")
            if len(headers) > 1:
                solve_s = before.time - headers[-2].time
                expected = params.difficulty_after(before.height, before.difficulty, solve_s)
                if header.difficulty != expected:
                    raise Invalid(Rule.H10, f"block {header.height} has difficulty {header.difficulty} != {expected}")
        headers.append(header)
        ids.append(id_of(raw))
    return headers, tuple(ids)
