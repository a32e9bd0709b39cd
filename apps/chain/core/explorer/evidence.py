"""Who was convicted of breaking the rules of the network, and who told."""

from __future__ import annotations

import attrs

from apps.chain.core.explorer.chain import Chain, Page, page_of
from apps.chain.core.operations import Evidence
from apps.chain.core.rows import EvidenceRow
from apps.chain.core.tx import Tx


@attrs.frozen(slots=True)
class Conviction:
    row: EvidenceRow
    #: Seconds since 1970, of the block.
    time: int
    #: Who recorded it, and what; None if the block is not here any more.
    tx: Tx | None

    @property
    def evidence(self) -> bytes | None:
        op = None if self.tx is None else self.tx.operations[self.row.op]
        return op.evidence if type(op) is Evidence else None


def convictions(
    chain: Chain, *, culprit: bytes | None = None, before: tuple[int, int] | None = None, limit: int
) -> Page[Conviction]:
    """Newest first; only those below the height and position `before`."""
    height, pos = before or (chain.height + 1, 0)
    page = page_of(chain.view.convictions(culprit=culprit, before=(height, pos, 0), limit=limit + 1), limit)
    txs = chain.txs_at({(row.height, row.pos) for row in page.rows})
    found = []
    for row in page.rows:
        found.append(Conviction(row, chain.active(row.height).time, txs.get((row.height, row.pos))))
    return Page(found, page.more)
