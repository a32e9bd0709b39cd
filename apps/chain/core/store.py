"""The store that a ledger needs: tables of rows (rows.py), written in transactions.

Three ports. `View` reads, and is all that a mempool needs; `Index` reads by other keys, too, for an explorer; `Store`
writes. `MemoryStore` (memory.py) keeps everything in dictionaries, for swarms and tests. One on a disk should answer
each call with one statement: a ledger asks for all accounts of a block at once, and writes them at once.

Contract. Nothing is written outside `begin` ... `commit`. `rollback` undoes all since `begin`; `rollback_to` all since
`savepoint`, of which there is at most one, and which `release` gives up. A reader in another process sees whole
transactions only. A call that fails (a disk may be full) leaves a transaction that can only be rolled back. `put_*`
replaces rows of the same key; `delete_*` of what is not there does nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from apps.chain.core.rows import (
    Account,
    ActiveRow,
    AnchorRow,
    EvidenceRow,
    HeaderRow,
    NameRow,
    Reorg,
    Status,
    Totals,
    Touch,
    TxRow,
)


class Table(enum.StrEnum):
    """The tables that follow from the chain that counts, and from nothing else (state.digest_of)."""

    ACTIVE = "active"
    ACCOUNTS = "accounts"
    NAMES = "names"
    ANCHORS = "anchors"
    EVIDENCE = "evidence"
    TXS = "txs"
    TOUCHES = "touches"


class View(Protocol):
    """Reads. What is not there is None, or missing in the answer."""

    # --- blocks ---

    def header(self, block: bytes) -> HeaderRow | None: ...

    def children(self, block: bytes) -> Sequence[HeaderRow]:
        """Headers whose parent is this one, which is here; in no order."""
        ...

    def at_height(self, height: int) -> Sequence[HeaderRow]:
        """All headers of a height, of whatever branch."""
        ...

    def best_header(self) -> HeaderRow:
        """That of most work that is neither INVALID nor DOOMED; of equal ones the one that was put first."""
        ...

    def ids(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        """Blocks whose ids begin so, in the order of their bytes."""
        ...

    def block(self, block: bytes) -> bytes | None:
        """Bytes of a block whose body is here."""
        ...

    def undo(self, block: bytes) -> bytes | None: ...

    def kept_from(self) -> int:
        """The first height whose blocks were not forgotten: 0 if none was."""
        ...

    def last_seq(self) -> int:
        """The greatest `seq` of a header."""
        ...

    def reorgs(self, *, limit: int) -> Sequence[Reorg]:
        """Newest first."""
        ...

    # --- the chain that counts ---

    def tip(self) -> ActiveRow: ...

    def active(self, height: int) -> ActiveRow | None: ...

    def actives(self, first: int, last: int) -> Sequence[ActiveRow]:
        """Of heights `first` to `last`, both included, upwards."""
        ...

    # --- what it says ---

    def accounts(self, keys: Collection[bytes]) -> dict[bytes, Account]: ...

    def names(self, names: Collection[bytes]) -> dict[bytes, NameRow]: ...

    def evidence(self, keys: Collection[bytes]) -> dict[bytes, EvidenceRow]: ...

    def anchors(self, digest: bytes) -> Sequence[AnchorRow]:
        """Oldest first."""
        ...

    def tx(self, txid: bytes) -> TxRow | None: ...

    def touches(self, key: bytes, *, before: tuple[int, int] | None = None, limit: int) -> Sequence[Touch]:
        """Newest first; only those below the height and position `before`."""
        ...

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        """All rows of a table as tuples of their fields, in the order of their keys."""
        ...


class Index(View, Protocol):
    """Reads by other keys: what an explorer asks, and no ledger. Each is one statement of a store on a disk."""

    # --- what begins so, or lies between ---

    def txids(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        """Of the chain that counts, in the order of their bytes."""
        ...

    def digests(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        """That are anchored, each once, in the order of their bytes."""
        ...

    def tagged(self, prefix: bytes, *, limit: int) -> Sequence[AnchorRow]:
        """Anchors whose tag begins so, by (tag, digest, height, pos, op); those without a tag never."""
        ...

    def keys(self, first: bytes, last: bytes, *, limit: int) -> Sequence[bytes]:
        """Of accounts, `first` to `last`, both included, upwards."""
        ...

    # --- blocks ---

    def mined(self, miner: bytes, *, before: int, limit: int) -> Sequence[int]:
        """Heights below `before` of blocks of this miner in the chain that counts, downwards."""
        ...

    def contested(self, *, before: int, limit: int) -> Sequence[int]:
        """Heights below `before` with more than one header, downwards."""
        ...

    # --- what the chain says ---

    def owned(self, owners: Collection[bytes]) -> Sequence[NameRow]:
        """Expired ones too, in the order of the names."""
        ...

    def names_after(self, after: bytes, *, expires: tuple[int, int], limit: int) -> Sequence[NameRow]:
        """Names above `after` whose end is in first <= expires <= last, in their order."""
        ...

    def convictions(
        self, *, culprit: bytes | None = None, before: tuple[int, int, int], limit: int
    ) -> Sequence[EvidenceRow]:
        """Newest first; only those below the height, position and operation `before`."""
        ...

    def touched(self, key: bytes) -> tuple[int, int, int]:
        """How many transactions touch an account, and the heights of the first and the last; (0, 0, 0) for none."""
        ...

    def richest(self, *, limit: int) -> Sequence[Account]:
        """Most units first, of equal ones the lower key."""
        ...

    def totals(self) -> Totals:
        ...


class Store(View, Protocol):
    # --- transactions ---

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def savepoint(self) -> None: ...

    def rollback_to(self) -> None: ...

    def release(self) -> None: ...

    # --- blocks ---

    def put_headers(self, rows: Iterable[HeaderRow]) -> None: ...

    def set_status(self, blocks: Iterable[bytes], status: Status, *, why: str = "") -> None:
        """Of headers that are there."""
        ...

    def put_block(self, block: bytes, raw: bytes) -> None:
        """Of a header that is there."""
        ...

    def put_undo(self, block: bytes, undo: bytes) -> None:
        """Of a header that is there."""
        ...

    def delete_bodies(self, blocks: Iterable[bytes]) -> None:
        """Blocks and what undoes them; headers stay."""
        ...

    def forget_below(self, height: int) -> None:
        """As `delete_bodies`, of all blocks below that height but the first, on whatever branch. It is `kept_from`
        now, and not below what that was."""
        ...

    def add_reorg(self, reorg: Reorg) -> None:
        """Only the newest limits.MAX_REORGS are kept."""
        ...

    # --- the chain that counts ---

    def push_active(self, row: ActiveRow) -> None:
        """Above the tip; the very first one at height 0."""
        ...

    def pop_active(self) -> None: ...

    # --- what it says ---

    def put_accounts(self, rows: Iterable[Account]) -> None: ...

    def delete_accounts(self, keys: Iterable[bytes]) -> None: ...

    def put_names(self, rows: Iterable[NameRow]) -> None: ...

    def delete_names(self, names: Iterable[bytes]) -> None: ...

    def put_anchors(self, rows: Iterable[AnchorRow]) -> None: ...

    def delete_anchors(self, rows: Iterable[AnchorRow]) -> None: ...

    def put_evidence(self, rows: Iterable[EvidenceRow]) -> None: ...

    def delete_evidence(self, keys: Iterable[bytes]) -> None: ...

    def put_txs(self, rows: Iterable[TxRow]) -> None: ...

    def delete_txs(self, txids: Iterable[bytes]) -> None: ...

    def put_touches(self, rows: Iterable[Touch]) -> None: ...

    def delete_touches(self, rows: Iterable[Touch]) -> None: ...
