"""Reads of a chain's file: the ports `View` and `Index` of the core, over a connection of whatever kind."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from apps.chain.core.rows import (
    Account,
    ActiveRow,
    AnchorRow,
    EvidenceRow,
    HeaderRow,
    NameRow,
    Reorg,
    Totals,
    Touch,
    TxRow,
)
from apps.chain.core.store import Table
from apps.chain.shell.columns import HEADER, TABLES, end_of, fits, kinds_of, plain_active, to_header
from apps.chain.shell.limits import MAX_IN_LIST, ROWS_AT_ONCE
from apps.chain.shell.schema import DiskError, damaged, explain

_HEADERS: Final = f"SELECT {HEADER} FROM header"
_SELECT: Final = {table: f"SELECT {columns} FROM {name}" for table, (name, columns, _) in TABLES.items()}
#: Name of the note about the first height whose blocks were not pruned.
KEPT_FROM: Final = "kept from"
Kinds = tuple[type | int, ...]
_KINDS: Final[dict[Table, Kinds]] = {table: kinds_of(columns) for table, (_, columns, _) in TABLES.items()}
_HEADER_KINDS: Final = kinds_of(HEADER)
_REORG_KINDS: Final = kinds_of("at_ms, fork, old, old_height, new, new_height")

#: Above every id, digest and tag: they have 32 bytes at most.
_AFTER_ALL: Final = b"\xff" * 33


class ReadStore:
    """An Index. Made by `view.open_view`; a SqliteStore is one that writes, too. Every method raises DiskError."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._db = db

    def _all(self, sql: str, values: Sequence[object] = (), *, kinds: Kinds = ()) -> list[Any]:
        """`kinds`: what the columns must hold (columns.kinds_of)."""
        try:
            rows = self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise explain(error, self.path) from None
        return self._checked(rows, kinds) if kinds else rows

    def _checked(self, rows: list[Any], kinds: Kinds) -> list[Any]:
        for row in rows:
            if not fits(row, kinds):
                raise damaged(self.path, f"a row that no node writes: {row!r:.80}")
        return rows

    def _one(self, sql: str, values: Sequence[object] = (), *, kind: type | int = 0) -> Any:
        """The first column of the first row, None if there is none."""
        rows = self._all(sql, values, kinds=(kind,) if kind else ())
        return rows[0][0] if rows else None

    def _of(self, table: Table, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """All columns of a table; `sql` is what stands behind them."""
        return self._all(f"{_SELECT[table]} {sql}", values, kinds=_KINDS[table])

    def _header_rows(self, sql: str, values: Sequence[object] = ()) -> list[HeaderRow]:
        rows = self._all(f"{_HEADERS} {sql}", values, kinds=_HEADER_KINDS)
        try:
            return [to_header(row) for row in rows]
        except ValueError as error:
            raise damaged(self.path, f"a header that no node keeps: {error}") from None

    def _some(self, table: Table, keys: Collection[bytes], make: Any) -> dict[bytes, Any]:
        """Rows of a table by its first column, in the order of `keys`."""
        found = {row[0]: make(*row) for row in self._rows_in(table, TABLES[table][2], keys)}
        return {key: found[key] for key in keys if key in found}

    def _rows_in(self, table: Table, column: str, keys: Collection[bytes]) -> Iterator[tuple[Any, ...]]:
        """Rows of a table that have one of `keys` in a column."""
        head = f"{_SELECT[table]} WHERE {column} IN "
        wanted = list(keys)
        for start in range(0, len(wanted), MAX_IN_LIST):
            some = wanted[start : start + MAX_IN_LIST]
            length = 1 << (len(some) - 1).bit_length()
            some += some[-1:] * (length - len(some))
            yield from self._all(f"{head}({'?,' * (length - 1)}?)", some, kinds=_KINDS[table])

    # --- blocks ---

    def header(self, block: bytes) -> HeaderRow | None:
        rows = self._header_rows("WHERE id=?", (block,))
        return rows[0] if rows else None

    def children(self, block: bytes) -> Sequence[HeaderRow]:
        return self._header_rows("WHERE height=(SELECT height FROM header WHERE id=?1)+1 AND parent=?1", (block,))

    def at_height(self, height: int) -> Sequence[HeaderRow]:
        return self._header_rows("WHERE height=?", (height,))

    def best_header(self) -> HeaderRow:
        found: HeaderRow = self._there(self._header_rows("WHERE status>=0 ORDER BY work DESC, n LIMIT 1"))[0]
        return found

    def ids(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        return self._beginning("SELECT id FROM header", "id", prefix, limit)

    def block(self, block: bytes) -> bytes | None:
        sql = "SELECT raw FROM body WHERE n=(SELECT n FROM header WHERE id=?)"
        found: bytes | None = self._one(sql, (block,), kind=bytes)
        return found

    def undo(self, block: bytes) -> bytes | None:
        sql = "SELECT undo FROM undo WHERE n=(SELECT n FROM header WHERE id=?)"
        found: bytes | None = self._one(sql, (block,), kind=bytes)
        return found

    def last_seq(self) -> int:
        return self._one("SELECT max(seq) FROM header WHERE seq>0") or 0

    def reorgs(self, *, limit: int) -> Sequence[Reorg]:
        sql = "SELECT at_ms, fork, old, old_height, new, new_height FROM reorg ORDER BY n DESC LIMIT ?"
        return [Reorg(*row) for row in self._all(sql, (limit,), kinds=_REORG_KINDS)]

    # --- the chain that counts ---

    def tip(self) -> ActiveRow:
        return ActiveRow(*plain_active(self._there(self._of(Table.ACTIVE, "ORDER BY height DESC LIMIT 1"))[0]))

    def active(self, height: int) -> ActiveRow | None:
        rows = self._of(Table.ACTIVE, "WHERE height=?", (height,))
        return ActiveRow(*plain_active(rows[0])) if rows else None

    def actives(self, first: int, last: int) -> Sequence[ActiveRow]:
        rows = self._of(Table.ACTIVE, "WHERE height BETWEEN ? AND ? ORDER BY height", (first, last))
        return [ActiveRow(*plain_active(row)) for row in rows]

    # --- what it says ---

    def accounts(self, keys: Collection[bytes]) -> dict[bytes, Account]:
        return self._some(Table.ACCOUNTS, keys, Account)

    def names(self, names: Collection[bytes]) -> dict[bytes, NameRow]:
        return self._some(Table.NAMES, names, NameRow)

    def evidence(self, keys: Collection[bytes]) -> dict[bytes, EvidenceRow]:
        return self._some(Table.EVIDENCE, keys, EvidenceRow)

    def anchors(self, digest: bytes) -> Sequence[AnchorRow]:
        rows = self._of(Table.ANCHORS, "WHERE digest=? ORDER BY height, pos, op", (digest,))
        return [AnchorRow(*row) for row in rows]

    def tx(self, txid: bytes) -> TxRow | None:
        rows = self._of(Table.TXS, "WHERE txid=?", (txid,))
        return TxRow(*rows[0]) if rows else None

    def touches(self, key: bytes, *, before: tuple[int, int] | None = None, limit: int) -> Sequence[Touch]:
        if before is None:
            rows = self._of(Table.TOUCHES, "WHERE key=? ORDER BY height DESC, pos DESC LIMIT ?", (key, limit))
        else:
            sql = "WHERE key=? AND (height, pos) < (?, ?) ORDER BY height DESC, pos DESC LIMIT ?"
            rows = self._of(Table.TOUCHES, sql, (key, *before, limit))
        return [Touch(*row) for row in rows]

    def rows(self, table: Table) -> Iterator[tuple[Any, ...]]:
        try:
            found = self._db.execute(f"{_SELECT[table]} ORDER BY {TABLES[table][2]}")
            while rows := self._checked(found.fetchmany(ROWS_AT_ONCE), _KINDS[table]):
                yield from map(plain_active, rows) if table is Table.ACTIVE else rows
        except sqlite3.Error as error:
            raise explain(error, self.path) from None

    # --- for people ---

    def txids(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        return self._beginning("SELECT txid FROM tx", "txid", prefix, limit)

    def digests(self, prefix: bytes, *, limit: int) -> Sequence[bytes]:
        return self._beginning("SELECT DISTINCT digest FROM anchor", "digest", prefix, limit)

    def tagged(self, prefix: bytes, *, limit: int) -> Sequence[AnchorRow]:
        sql = "WHERE tag<>x'' AND tag>=? AND tag<? ORDER BY tag, digest, height, pos, op LIMIT ?"
        rows = self._of(Table.ANCHORS, sql, (prefix, end_of(prefix) or _AFTER_ALL, limit))
        return [AnchorRow(*row) for row in rows]

    def keys(self, first: bytes, last: bytes, *, limit: int) -> Sequence[bytes]:
        sql = "SELECT key FROM account WHERE key BETWEEN ? AND ? ORDER BY key LIMIT ?"
        return [row[0] for row in self._all(sql, (first, last, limit), kinds=(32,))]

    def mined(self, miner: bytes, *, before: int, limit: int) -> Sequence[int]:
        sql = "SELECT height FROM active WHERE miner=? AND height<? ORDER BY height DESC LIMIT ?"
        return [row[0] for row in self._all(sql, (miner, before, limit))]

    def contested(self, *, before: int, limit: int) -> Sequence[int]:
        sql = "SELECT height FROM header WHERE height<? GROUP BY height HAVING count(*)>1 ORDER BY height DESC LIMIT ?"
        return [row[0] for row in self._all(sql, (before, limit))]

    def owned(self, owners: Collection[bytes]) -> Sequence[NameRow]:
        rows = sorted(self._rows_in(Table.NAMES, "owner", owners))
        return [NameRow(*row) for row in rows]

    def names_after(self, after: bytes, *, expires: tuple[int, int], limit: int) -> Sequence[NameRow]:
        sql = "WHERE name>? AND expires BETWEEN ? AND ? ORDER BY name LIMIT ?"
        return [NameRow(*row) for row in self._of(Table.NAMES, sql, (after, *expires, limit))]

    def convictions(
        self, *, culprit: bytes | None = None, before: tuple[int, int, int], limit: int
    ) -> Sequence[EvidenceRow]:
        whose, values = ("", ()) if culprit is None else ("culprit=? AND ", (culprit,))
        sql = f"WHERE {whose}(height, pos, op) < (?, ?, ?) ORDER BY height DESC, pos DESC, op DESC, key DESC LIMIT ?"
        return [EvidenceRow(*row) for row in self._of(Table.EVIDENCE, sql, (*values, *before, limit))]

    def touched(self, key: bytes) -> tuple[int, int, int]:
        sql = "SELECT count(*), ifnull(min(height), 0), ifnull(max(height), 0) FROM touch WHERE key=?"
        count, first, last = self._all(sql, (key,))[0]
        return count, first, last

    def richest(self, *, limit: int) -> Sequence[Account]:
        return [Account(*row) for row in self._of(Table.ACCOUNTS, "ORDER BY balance DESC, key LIMIT ?", (limit,))]

    def totals(self) -> Totals:
        accounts = self._all("SELECT count(*), ifnull(sum(balance), 0) FROM account")[0]
        sums = ", ".join(f"ifnull(sum({name}), 0)" for name in ("fees", "txs", "operations", "size"))
        return Totals(*accounts, *self._all(f"SELECT {sums} FROM active")[0])

    def _beginning(self, select: str, column: str, prefix: bytes, limit: int) -> list[bytes]:
        """The first column of rows whose `column` begins so, in its order."""
        sql = f"{select} WHERE {column}>=? AND {column}<? ORDER BY {column} LIMIT ?"
        rows = self._all(sql, (prefix, end_of(prefix) or _AFTER_ALL, limit), kinds=(32,))
        return [row[0] for row in rows]

    def note(self, name: str) -> bytes | None:
        """What `put_note` kept under this name."""
        found: bytes | None = self._one("SELECT value FROM note WHERE name=?", (name,), kind=bytes)
        return found

    def kept_from(self) -> int:
        """The first height whose blocks were not pruned: 0 if none was."""
        return int.from_bytes(self.note(KEPT_FROM) or b"", "big")

    def _there(self, rows: list[Any]) -> list[Any]:
        if not rows:
            facts = {"file": str(self.path), "start the node that fills it": "p2pnode run"}
            raise DiskError("the chain has no block yet", facts)
        return rows
