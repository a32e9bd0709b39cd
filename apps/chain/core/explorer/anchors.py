"""Since when does it exist: digests that were anchored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs

from apps.chain.core.explorer.chain import Chain
from apps.chain.core.limits import MAX_AHEAD_S
from apps.chain.core.operations import Anchor
from apps.chain.core.rows import AnchorRow
from apps.chain.core.tx import Tx

if TYPE_CHECKING:
    from apps.chain.core.proof import Proof


@attrs.frozen(slots=True)
class Anchored:
    row: AnchorRow
    #: Seconds since 1970, of the block.
    time: int
    #: Milliseconds since 1970 at which this store had the header; 0 if it does not know.
    seen_ms: int
    confirmations: int
    #: Hashes that the blocks from this one to the tip cost on average.
    work: int
    #: None if its block is not here any more.
    tx: Tx | None

    @property
    def no_later_than(self) -> int:
        """Seconds since 1970. A block is taken only if its time is at most so far ahead (H9)."""
        return self.time + MAX_AHEAD_S


def anchored(chain: Chain, digest: bytes) -> list[Anchored]:
    """Oldest first: the first is what counts."""
    return with_blocks(chain, chain.view.anchors(digest))


def proved(chain: Chain, proof: Proof, digest: bytes) -> list[Anchored]:
    """By a proof of a block of this chain, where headers are kept alone; empty if it proves something else."""
    header, tip = chain.header(proof.ids[0]), chain.active_header(chain.height)
    work, confirmations = tip.work - header.work + header.difficulty, tip.height - header.height + 1
    return [
        Anchored(
            AnchorRow(digest, header.height, proof.position, at, op.tag), header.time, header.seen_ms,
            confirmations, work, proof.tx,
        )
        for at, op in enumerate(proof.tx.operations) if type(op) is Anchor and op.digest == digest
    ]  # fmt: skip


def with_blocks(chain: Chain, rows: Sequence[AnchorRow]) -> list[Anchored]:
    txs = chain.txs_at(_places(rows))
    tip = chain.active_header(chain.height)
    found = []
    for row in rows:
        header = chain.active_header(row.height)
        work = tip.work - header.work + header.difficulty
        confirmations = tip.height - row.height + 1
        tx = txs.get((row.height, row.pos))
        found.append(Anchored(row, header.time, header.seen_ms, confirmations, work, tx))
    return found


def _places(rows: Iterable[AnchorRow]) -> set[tuple[int, int]]:
    return {(row.height, row.pos) for row in rows}
