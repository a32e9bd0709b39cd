"""What became of a transaction that was to wait for a block, and what it pays."""

from __future__ import annotations

import enum

import attrs

from apps.chain.core.rules import Rule
from apps.chain.core.tx import Tx


class Entry(enum.StrEnum):
    ADDED = "added"
    #: It waits for a nonce before it.
    GAP = "gap"
    KNOWN = "known"
    #: It pays too little, or there are too many.
    REFUSED = "refused"
    INVALID = "invalid"


@attrs.frozen(slots=True)
class Admission:
    entry: Entry
    txid: bytes
    rule: Rule | None = attrs.field(default=None, kw_only=True)
    why: str = attrs.field(default="", kw_only=True)
    #: What was behind a gap before and is in line now, and what had to go.
    promoted: tuple[Tx, ...] = attrs.field(default=(), kw_only=True)
    dropped: tuple[Tx, ...] = attrs.field(default=(), kw_only=True)

    @property
    def blamed(self) -> bool:
        """Whether no correct peer sends it; rules S depend on what a peer knows of the chain."""
        return self.rule is not None and self.rule.startswith("X")


def rate_of(tx: Tx) -> float:
    """Units for a byte."""
    return tx.fee / len(tx.raw)


def full_of_better(tx: Tx) -> Admission:
    return Admission(Entry.REFUSED, tx.txid, why="the pool is full of transactions that pay more")
