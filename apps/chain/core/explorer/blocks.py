"""Blocks: lists of them, and all that is known of one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import attrs

from apps.chain.core.block import decode_txs
from apps.chain.core.explorer.chain import Chain, Page, page_of
from apps.chain.core.header import Header, decode_header
from apps.chain.core.rows import ActiveRow, HeaderRow
from apps.chain.core.tx import Tx


@attrs.frozen(slots=True)
class Line:
    """A block of the chain that counts."""

    active: ActiveRow
    #: Seconds since the block before; 0 of the first one.
    solve_s: int


def lines(chain: Chain, *, before: int | None = None, limit: int, miner: bytes | None = None) -> Page[Line]:
    """Newest first; only blocks below the height `before`."""
    end = min(chain.height + 1, chain.height + 1 if before is None else before)
    if miner is None:
        return page_of(between(chain, end - limit - 1, end - 1)[::-1], limit)
    heights = chain.view.mined(miner, before=end, limit=limit + 1)
    return page_of([line for height in heights for line in between(chain, height, height)], limit)


def between(chain: Chain, first: int, last: int) -> list[Line]:
    """Heights `first` to `last`, both included, upwards."""
    rows = chain.view.actives(first - 1, last)
    found = [Line(row, row.time - before.time) for before, row in pairwise(rows)]
    return found if first > 0 else [Line(row, 0) for row in rows[:1]] + found


@attrs.frozen(slots=True)
class Facts:
    row: HeaderRow
    header: Header
    #: None if it is not of the chain that counts.
    active: ActiveRow | None
    #: How deep it lies, itself included; 0 if it is not of the chain that counts.
    confirmations: int
    #: Units for its miner, without fees, and the height whose block credits them.
    reward: int
    credited_at: int
    #: Of whatever branch.
    children: Sequence[bytes]
    #: Of its transactions; None if it is not of the chain that counts, or headers are kept alone.
    operations: int | None
    fees: int | None
    #: Bytes of the block; None if its body is not here.
    raw: bytes | None = attrs.field(repr=False)

    @property
    def size(self) -> int | None:
        return None if self.raw is None else len(self.raw)


def facts(chain: Chain, row: HeaderRow) -> Facts:
    active = chain.view.active(row.height)
    if active is not None and active.id != row.id:
        active = None
    return Facts(
        row, decode_header(row.raw), active,
        confirmations=0 if active is None else chain.height - row.height + 1,
        reward=chain.params.reward(row.height),
        credited_at=row.height + chain.params.maturity,
        children=sorted(child.id for child in chain.view.children(row.id)),
        operations=None if active is None or chain.light else active.operations,
        fees=None if active is None or chain.light else active.fees,
        raw=chain.view.block(row.id),
    )  # fmt: skip


def txs_of(chain: Chain, row: HeaderRow) -> Sequence[Tx] | None:
    """None if its body is not here."""
    body = chain.body(row.id)
    return None if body is None else decode_txs(body.txs, chain.params.chain_id)
