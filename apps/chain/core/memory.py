"""A store in dictionaries, for swarms in the simulator and for tests; it obeys the contract of a disk (store.py)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import attrs

from apps.chain.core.journal import Journal, Rows
from apps.chain.core.limits import MAX_REORGS
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
from apps.chain.core.store import Table
from overlay.errors import LocalError


@attrs.define(slots=True, eq=False)
class MemoryStore:
    """Each table is a dictionary; the journal takes changes of them back."""

    _headers: dict[bytes, HeaderRow] = attrs.Factory(dict)
    #: Parent and height -> ids, as the keys of a dictionary.
    _children: dict[bytes, dict[bytes, None]] = attrs.Factory(dict)
    _heights: dict[int, dict[bytes, None]] = attrs.Factory(dict)
    _blocks: dict[bytes, bytes] = attrs.Factory(dict)
    _undos: dict[bytes, bytes] = attrs.Factory(dict)
    _reorgs: dict[int, Reorg] = attrs.Factory(dict)
    #: Nothing -> the first height whose blocks are kept.
    _kept: dict[None, int] = attrs.Factory(dict)
    _active: dict[int, ActiveRow] = attrs.Factory(dict)
    _accounts: dict[bytes, Account] = attrs.Factory(dict)
    _names: dict[bytes, NameRow] = attrs.Factory(dict)
    _anchors: dict[bytes, dict[tuple[int, int, int], AnchorRow]] = attrs.Factory(dict)
    _evidence: dict[bytes, EvidenceRow] = attrs.Factory(dict)
    _txs: dict[bytes, TxRow] = attrs.Factory(dict)
    _touches: dict[bytes, dict[tuple[int, int], Touch]] = attrs.Factory(dict)
    _journal: Journal = attrs.Factory(Journal)

    # --- transactions ---

    def begin(self) -> None:
        self._journal.begin()

    def commit(self) -> None:
        self._journal.commit()

    def rollback(self) -> None:
        self._journal.rollback()

    def savepoint(self) -> None:
        self._journal.savepoint()

    def rollback_to(self) -> None:
        self._journal.rollback_to()

    def release(self) -> None:
        self._journal.release()

    def pace(self, behind: int) -> None:
        self._journal.pace(behind)

    def power_loss(self) -> None:
        self._journal.power_loss()

    # --- blocks ---

    def header(self, block: bytes) -> HeaderRow | None:
        return self._headers.get(block)

    def children(self, block: bytes) -> Sequence[HeaderRow]:
        return [self._headers[child] for child in self._children.get(block, ())]

    def at_height(self, height: int) -> Sequence[HeaderRow]:
        return [self._headers[block] for block in self._heights.get(height, ())]

    def best_header(self) -> HeaderRow:
        return max((row for row in self._headers.values() if row.status >= Status.HEADER), key=lambda row: row.work)

    def ids(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        return sorted(block for block in self._headers if block.startswith(prefix))[:limit]

    def put_headers(self, rows: Iterable[HeaderRow]) -> None:
        for row in rows:
            if row.id not in self._headers:
                self._journal.put(self._children.setdefault(row.parent, {}), row.id, None)
                self._journal.put(self._heights.setdefault(row.height, {}), row.id, None)
            self._journal.put(self._headers, row.id, row)

    def set_status(self, blocks: Iterable[bytes], status: Status, *, why: str = "") -> None:
        for block in blocks:
            self._journal.put(self._headers, block, attrs.evolve(self._headers[block], status=status, why=why))

    def block(self, block: bytes) -> bytes | None:
        return self._blocks.get(block)

    def put_block(self, block: bytes, raw: bytes) -> None:
        self._journal.put(self._blocks, block, raw)

    def undo(self, block: bytes) -> bytes | None:
        return self._undos.get(block)

    def put_undo(self, block: bytes, undo: bytes) -> None:
        self._journal.put(self._undos, block, undo)

    def delete_bodies(self, blocks: Iterable[bytes]) -> None:
        for block in blocks:
            self._journal.delete(self._blocks, block)
            self._journal.delete(self._undos, block)

    def kept_from(self) -> int:
        return self._kept.get(None, 0)

    def forget_below(self, height: int) -> None:
        for below in range(max(1, self.kept_from()), height):
            self.delete_bodies(self._heights.get(below, ()))
        self._journal.put(self._kept, None, height)

    def last_seq(self) -> int:
        return max((row.seq for row in self._headers.values()), default=0)

    def add_reorg(self, reorg: Reorg) -> None:
        number = max(self._reorgs, default=0) + 1
        self._journal.put(self._reorgs, number, reorg)
        self._journal.delete(self._reorgs, number - MAX_REORGS)

    def reorgs(self, *, limit: int) -> Sequence[Reorg]:
        return [self._reorgs[number] for number in sorted(self._reorgs, reverse=True)[:limit]]

    # --- the chain that counts ---

    def tip(self) -> ActiveRow:
        return self._active[len(self._active) - 1]

    def active(self, height: int) -> ActiveRow | None:
        return self._active.get(height)

    def actives(self, first: int, last: int) -> Sequence[ActiveRow]:
        return [self._active[height] for height in range(max(first, 0), min(last + 1, len(self._active)))]

    def push_active(self, row: ActiveRow) -> None:
        if row.height != len(self._active):
            raise LocalError(f"height {row.height} is not the next, {len(self._active)}")
        self._journal.put(self._active, row.height, row)

    def pop_active(self) -> None:
        self._journal.delete(self._active, len(self._active) - 1)

    # --- what it says ---

    def accounts(self, keys: Collection[bytes]) -> dict[bytes, Account]:
        return _some(self._accounts, keys)

    def put_accounts(self, rows: Iterable[Account]) -> None:
        for row in rows:
            self._journal.put(self._accounts, row.key, row)

    def delete_accounts(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._journal.delete(self._accounts, key)

    def names(self, names: Collection[bytes]) -> dict[bytes, NameRow]:
        return _some(self._names, names)

    def put_names(self, rows: Iterable[NameRow]) -> None:
        for row in rows:
            self._journal.put(self._names, row.name, row)

    def delete_names(self, names: Iterable[bytes]) -> None:
        for name in names:
            self._journal.delete(self._names, name)

    def anchors(self, digest: bytes) -> Sequence[AnchorRow]:
        return [row for _, row in sorted(self._anchors.get(digest, {}).items())]

    def put_anchors(self, rows: Iterable[AnchorRow]) -> None:
        for row in rows:
            self._journal.put(self._anchors.setdefault(row.digest, {}), (row.height, row.pos, row.op), row)

    def delete_anchors(self, rows: Iterable[AnchorRow]) -> None:
        for row in rows:
            self._journal.delete(self._anchors.get(row.digest, {}), (row.height, row.pos, row.op))

    def evidence(self, keys: Collection[bytes]) -> dict[bytes, EvidenceRow]:
        return _some(self._evidence, keys)

    def put_evidence(self, rows: Iterable[EvidenceRow]) -> None:
        for row in rows:
            self._journal.put(self._evidence, row.key, row)

    def delete_evidence(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            self._journal.delete(self._evidence, key)

    def tx(self, txid: bytes) -> TxRow | None:
        return self._txs.get(txid)

    def put_txs(self, rows: Iterable[TxRow]) -> None:
        for row in rows:
            self._journal.put(self._txs, row.txid, row)

    def delete_txs(self, txids: Iterable[bytes]) -> None:
        for txid in txids:
            self._journal.delete(self._txs, txid)

    def touches(self, key: bytes, *, before: tuple[int, int] | None = None, limit: int) -> Sequence[Touch]:
        rows = sorted(self._touches.get(key, {}).items(), reverse=True)
        return [row for at, row in rows if before is None or at < before][:limit]

    def put_touches(self, rows: Iterable[Touch]) -> None:
        for row in rows:
            self._journal.put(self._touches.setdefault(row.key, {}), (row.height, row.pos), row)

    def delete_touches(self, rows: Iterable[Touch]) -> None:
        for row in rows:
            self._journal.delete(self._touches.get(row.key, {}), (row.height, row.pos))

    # --- for people ---

    def txids(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        return sorted(txid for txid in self._txs if txid.startswith(prefix))[:limit]

    def digests(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        return sorted(digest for digest, rows in self._anchors.items() if rows and digest.startswith(prefix))[:limit]

    def tagged(self, prefix: bytes, *, limit: int) -> Sequence[AnchorRow]:
        found = [row for _, row in self._flat(Table.ANCHORS) if row.tag and row.tag.startswith(prefix)]
        return sorted(found, key=lambda row: (row.tag, row.digest, row.height, row.pos, row.op))[:limit]

    def keys(self, first: bytes, last: bytes, *, limit: int) -> Sequence[bytes]:
        return sorted(key for key in self._accounts if first <= key <= last)[:limit]

    def mined(self, miner: bytes, *, before: int, limit: int) -> Sequence[int]:
        return [row.height for row in reversed(self.actives(0, before - 1)) if row.miner == miner][:limit]

    def contested(self, *, before: int, limit: int) -> Sequence[int]:
        return sorted((at for at, ids in self._heights.items() if len(ids) > 1 and at < before), reverse=True)[:limit]

    def owned(self, owners: Collection[bytes]) -> Sequence[NameRow]:
        return [row for _, row in sorted(self._names.items()) if row.owner in owners]

    def names_after(self, after: bytes, *, expires: tuple[int, int], limit: int) -> Sequence[NameRow]:
        names = sorted(self._names.items())
        return [row for name, row in names if name > after and expires[0] <= row.expires <= expires[1]][:limit]

    def convictions(
        self, *, culprit: bytes | None = None, before: tuple[int, int, int], limit: int
    ) -> Sequence[EvidenceRow]:
        rows = [((row.height, row.pos, row.op), row) for row in self._evidence.values()]
        newest = sorted(rows, key=lambda found: (found[0], found[1].key), reverse=True)
        return [row for at, row in newest if at < before and culprit in (None, row.culprit)][:limit]

    def touched(self, key: bytes) -> tuple[int, int, int]:
        heights = [height for height, _ in self._touches.get(key, {})]
        return (len(heights), min(heights), max(heights)) if heights else (0, 0, 0)

    def richest(self, *, limit: int) -> Sequence[Account]:
        return sorted(self._accounts.values(), key=lambda row: (-row.balance, row.key))[:limit]

    def totals(self) -> Totals:
        blocks = self._active.values()
        return Totals(
            len(self._accounts), sum(row.balance for row in self._accounts.values()),
            sum(row.fees for row in blocks), sum(row.txs for row in blocks),
            sum(row.operations for row in blocks), sum(row.size for row in blocks),
        )  # fmt: skip

    # --- all of it ---

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        for _, row in sorted(self._flat(table)):
            yield attrs.astuple(row, recurse=False)

    def _flat(self, table: Table) -> list[tuple[Any, Any]]:
        """(key, row) of a table; keys are unique, so rows are never compared."""
        match table:
            case Table.ANCHORS:
                return [((digest, at), row) for digest, rows in self._anchors.items() for at, row in rows.items()]
            case Table.TOUCHES:
                return [((key, at), row) for key, rows in self._touches.items() for at, row in rows.items()]
        tables: dict[Table, Rows] = {
            Table.ACTIVE: self._active, Table.ACCOUNTS: self._accounts, Table.NAMES: self._names,
            Table.EVIDENCE: self._evidence, Table.TXS: self._txs,
        }  # fmt: skip
        return list(tables[table].items())


def _some(table: dict[bytes, Any], keys: Collection[bytes]) -> dict[bytes, Any]:
    return {key: table[key] for key in keys if key in table}
