"""Transactions over dictionaries: every change is noted with what was there before, so that it can be taken back."""

from __future__ import annotations

from typing import Any, Final

import attrs

from apps.chain.core.limits import MAX_UNSYNCED
from overlay.errors import LocalError

_MISSING: Final = object()

Rows = dict[Any, Any]


@attrs.define(slots=True, eq=False)
class Journal:
    """The transactions of a store (store.py), one at a time. LocalError for calls in a wrong order."""

    #: (table, key, what was there), oldest first; None outside a transaction.
    _notes: list[tuple[Rows, Any, Any]] | None = None
    #: How many there were at the savepoint.
    _mark: int | None = None
    #: Notes of transactions that a loss of power takes back.
    _unsynced: list[list[tuple[Rows, Any, Any]]] = attrs.Factory(list)
    _sync_each: int = 1

    def begin(self) -> None:
        if self._notes is not None:
            raise LocalError("a transaction is open already")
        self._notes = []

    def commit(self) -> None:
        self._unsynced.append(self._open())
        if len(self._unsynced) >= self._sync_each:
            self._unsynced.clear()
        self._notes = self._mark = None

    def rollback(self) -> None:
        self._back_to(0)
        self._notes = self._mark = None

    def savepoint(self) -> None:
        if self._mark is not None:
            raise LocalError("there is a savepoint already")
        self._mark = len(self._open())

    def rollback_to(self) -> None:
        if self._mark is None:
            raise LocalError("there is no savepoint")
        self._back_to(self._mark)

    def release(self) -> None:
        if self._mark is None:
            raise LocalError("there is no savepoint")
        self._mark = None

    def pace(self, behind: int) -> None:
        """With so many blocks still to come: at the tip each transaction is synced, before it every so many."""
        self._sync_each = MAX_UNSYNCED if behind > 0 else 1

    def power_loss(self) -> None:
        """What was not synced is gone, as is a transaction that is open."""
        taken = [*self._unsynced, *([self._notes] if self._notes is not None else [])]
        self._unsynced.clear()
        for notes in reversed(taken):
            self._notes = notes
            self._back_to(0)
        self._notes = self._mark = None

    def put(self, table: Rows, key: Any, row: Any) -> None:
        self._open().append((table, key, table.get(key, _MISSING)))
        table[key] = row

    def delete(self, table: Rows, key: Any) -> None:
        if key in table:
            self._open().append((table, key, table.pop(key)))

    def _open(self) -> list[tuple[Rows, Any, Any]]:
        if self._notes is None:
            raise LocalError("no transaction is open")
        return self._notes

    def _back_to(self, mark: int) -> None:
        notes = self._open()
        while len(notes) > mark:
            table, key, before = notes.pop()
            if before is _MISSING:
                del table[key]
            else:
                table[key] = before
