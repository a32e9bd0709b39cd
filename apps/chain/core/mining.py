"""What a miner works on: a header without its nonce, over the transactions of a template (pool.py)."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from apps.chain.core import merkle
from apps.chain.core.block import Block, make_block
from apps.chain.core.header import Header
from apps.chain.core.params import Params
from apps.chain.core.rows import HeaderRow
from apps.chain.core.tx import Tx


def header_on(
    params: Params, tip: HeaderRow, txs: Sequence[Tx], miner: bytes, now_ms: int, *, extra: bytes = b""
) -> Header:
    """`miner`: public key of who is credited. `work.search` looks for the nonce behind `header.prefix_of` it."""
    return Header(
        tip.height + 1, tip.id, merkle.root_of([tx.leaf for tx in txs]), len(txs), max(tip.time + 1, now_ms // 1000),
        params.difficulty_after(tip.height, tip.difficulty, tip.solve_s), miner, extra=extra,
    )  # fmt: skip


def assembled(raw_header: bytes, txs: Sequence[Tx]) -> Block:
    """The block of a header that was found, over these transactions."""
    return make_block(raw_header, [tx.raw for tx in txs])


@attrs.define(slots=True, eq=False)
class Templates:
    """What is being worked on, and what was before it."""

    #: Root of the transactions -> those of the template that has it; the newest two.
    txs: dict[bytes, tuple[Tx, ...]] = attrs.field(init=False, factory=dict)

    def make(self, params: Params, tip: HeaderRow, txs: tuple[Tx, ...], miner: bytes, now_ms: int) -> Header:
        """As `header_on`, and kept."""
        header = header_on(params, tip, txs, miner, now_ms)
        self.txs[header.root] = txs
        while len(self.txs) > 2:
            del self.txs[next(iter(self.txs))]
        return header
