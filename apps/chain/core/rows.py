"""What is kept of a chain: the rows of a store (store.py), as the ledger writes and an explorer reads them."""

from __future__ import annotations

import enum

import attrs


class Status(enum.IntEnum):
    """How far a block has come."""

    #: Breaks a rule that its header commits to; nothing changes that.
    INVALID = -2
    #: Descends from such a one.
    DOOMED = -1
    #: The header is here, and good.
    HEADER = 0
    #: The body is here, that of some block before it is not.
    BODY = 1
    #: All bodies down to the first block are here; it was never connected.
    READY = 2
    #: It was connected once, so it keeps every rule.
    VALID = 3


@attrs.frozen(slots=True)
class HeaderRow:
    """By id. Only headers that keep H1 to H13 have a row."""

    id: bytes
    height: int
    parent: bytes
    #: Sum of difficulties down to the first block, below 2**256.
    work: int
    time: int
    #: Seconds since its parent.
    solve_s: int
    difficulty: int
    txs: int
    miner: bytes
    raw: bytes = attrs.field(repr=False)
    status: Status
    #: Order in which blocks became READY, from 1; 0: did not yet. Of equal work the first counts (F2).
    seq: int
    #: When the header came, milliseconds since 1970.
    seen_ms: int
    #: It is the block that is assumed valid, or one before it: no signature is checked.
    trusted: bool = attrs.field(default=False, kw_only=True)
    #: Rule and facts, if it is INVALID.
    why: str = attrs.field(default="", kw_only=True)


@attrs.frozen(slots=True)
class ActiveRow:
    """By height: the chain that counts, with what is asked about each block most often."""

    height: int
    id: bytes
    time: int
    difficulty: int
    miner: bytes
    txs: int
    operations: int
    #: Bytes of the block.
    size: int
    #: Units; credited to the miner with the reward once it is mature.
    fees: int


@attrs.frozen(slots=True)
class Account:
    """By key. Never deleted but by undoing the block that made it: a nonce that began anew would allow replays."""

    key: bytes
    balance: int
    nonce: int


@attrs.frozen(slots=True)
class NameRow:
    """By name."""

    name: bytes
    owner: bytes
    value: bytes
    #: First height at which anybody may claim it.
    expires: int


@attrs.frozen(slots=True)
class AnchorRow:
    """By (digest, height, position of the transaction, position of the operation)."""

    digest: bytes
    height: int
    pos: int
    op: int
    tag: bytes


@attrs.frozen(slots=True)
class EvidenceRow:
    """By key: SHA-256 of the evidence."""

    key: bytes
    #: Public key of who is convicted.
    culprit: bytes
    height: int
    pos: int
    op: int


@attrs.frozen(slots=True)
class TxRow:
    """By txid: where a transaction is in the chain that counts."""

    txid: bytes
    height: int
    pos: int


@attrs.frozen(slots=True)
class Touch:
    """By all of it: a transaction that an account sent, or was paid by."""

    key: bytes
    height: int
    pos: int


@attrs.frozen(slots=True)
class Reorg:
    """A change to another branch. For people: nothing depends on it."""

    at_ms: int
    #: Height of the last block that both have.
    fork: int
    #: Tips before and after, and their heights.
    old: bytes
    old_height: int
    new: bytes
    new_height: int


@attrs.frozen(slots=True)
class Totals:
    """Sums over the chain that counts."""

    accounts: int
    #: Units that accounts have together.
    balances: int
    #: Units; of all blocks.
    fees: int
    txs: int
    operations: int
    #: Bytes of all blocks.
    size: int
