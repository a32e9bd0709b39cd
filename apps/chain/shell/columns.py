"""Rows of the core as tuples of sqlite3, and back."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from apps.chain.core.rows import ActiveRow, HeaderRow, Status
from apps.chain.core.store import Table

#: Columns of a header, in the order of its row.
HEADER: Final = (
    "id, height, parent, work, time, solve_s, difficulty, txs, miner, raw, status, seq, seen_ms, trusted, why"
)
#: Name, columns and order of the other tables.
TABLES: Final[dict[Table, tuple[str, str, str]]] = {
    Table.ACTIVE: ("active", "height, id, time, difficulty, miner, txs, operations, size, fees", "height"),
    Table.ACCOUNTS: ("account", "key, balance, nonce", "key"),
    Table.NAMES: ("name", "name, owner, value, expires", "name"),
    Table.ANCHORS: ("anchor", "digest, height, pos, op, tag", "digest, height, pos, op"),
    Table.EVIDENCE: ("evidence", "key, culprit, height, pos, op", "key"),
    Table.TXS: ("tx", "txid, height, pos", "txid"),
    Table.TOUCHES: ("touch", "key, height, pos", "key, height, pos"),
}


#: Of bytes that are ASCII.
_ASCII: Final = 0
#: What a column holds: numbers, text, bytes, or so many bytes.
_HOLDS: Final[dict[str, type | int]] = {
    **dict.fromkeys(("id", "parent", "miner", "key", "owner", "digest", "culprit", "txid", "old", "new"), 32),
    **dict.fromkeys(("work", "difficulty", "raw", "undo", "value", "tag"), bytes), "why": str, "name": _ASCII,
    **dict.fromkeys(
        ("height", "time", "solve_s", "txs", "status", "seq", "seen_ms", "trusted", "operations", "size", "fees",
         "balance", "nonce", "expires", "pos", "op", "at_ms", "fork", "old_height", "new_height"), int,
    ),
}  # fmt: skip


def kinds_of(columns: str) -> tuple[type | int, ...]:
    """Of `height, id`: (int, 32)."""
    return tuple(_HOLDS[name] for name in columns.split(", "))


def fits(row: tuple[Any, ...], kinds: tuple[type | int, ...]) -> bool:
    """Whether a row holds what a node writes: columns of sqlite3 take anything, and a file may be a stranger's."""
    for value, kind in zip(row, kinds, strict=True):
        if type(value) is kind:
            continue
        if type(value) is not bytes or (len(value) != kind and (kind is not _ASCII or not value.isascii())):
            return False
    return True


def getter(columns: str) -> Callable[[Any], tuple[Any, ...]]:
    """A row of the core -> its values in the order of these columns."""
    found: Callable[[Any], tuple[Any, ...]] = attrgetter(*columns.split(", "))
    return found


def packed(number: int) -> bytes:
    """A number of up to 255 bytes, in the order of numbers: an integer of sqlite3 has 63 bits."""
    length = (number.bit_length() + 7) >> 3
    return length.to_bytes(1, "big") + number.to_bytes(length, "big")


def unpacked(data: bytes) -> int:
    return int.from_bytes(data[1:], "big")


def of_header(row: HeaderRow) -> tuple[Any, ...]:
    return (
        row.id, row.height, row.parent, packed(row.work), row.time, row.solve_s, packed(row.difficulty), row.txs,
        row.miner, row.raw, int(row.status), row.seq, row.seen_ms, row.trusted, row.why,
    )  # fmt: skip


def to_header(values: tuple[Any, ...]) -> HeaderRow:
    (
        block, height, parent, work, time, solve_s, difficulty, txs, miner, raw, status, seq, seen_ms, trusted, why,
    ) = values  # fmt: skip
    return HeaderRow(
        block, height, parent, unpacked(work), time, solve_s, unpacked(difficulty), txs, miner, raw, Status(status),
        seq, seen_ms, trusted=bool(trusted), why=why,
    )  # fmt: skip


def of_active(row: ActiveRow) -> tuple[Any, ...]:
    return (
        row.height, row.id, row.time, packed(row.difficulty), row.miner, row.txs, row.operations, row.size, row.fees,
    )  # fmt: skip


def plain_active(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fields of an ActiveRow."""
    height, block, time, difficulty, *rest = values
    return height, block, time, unpacked(difficulty), *rest


def end_of(prefix: bytes) -> bytes | None:
    """The least bytes after all that start with `prefix`; None if there are none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None
