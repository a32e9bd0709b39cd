"""Durability as something to await: one Commit or Sync effect serves all who wait for it."""

from __future__ import annotations

from collections.abc import Callable

from overlay.errors import LocalError
from overlay.runtime.loop import Future, Loop
from overlay.runtime.ports import Commit, Effect, Failed, Ok, Outcome, Storage, Sync

Waiter = Callable[[Outcome], object]


class Journal:
    """The storage of a peer, and when its writes are safe.

    `after_commit` and `after_sync` may be called many times in one `handle_*`; `flush` (called once by
    the peer before its outbox is handed over) turns them into at most one effect each.
    """

    __slots__ = ("_committing", "_emit", "_in_flight", "_loop", "_next_id", "_syncing", "storage")

    def __init__(
        self, loop: Loop, storage: Storage, emit: Callable[[Effect], object], next_id: Callable[[], int]
    ) -> None:
        self.storage = storage
        self._loop = loop
        self._emit = emit
        self._next_id = next_id
        self._committing: list[Waiter] = []
        self._syncing: list[Waiter] = []
        self._in_flight: dict[int, list[Waiter]] = {}

    def after_commit(self, waiter: Waiter) -> None:
        """Call `waiter` once every write so far survives the death of the process (or failed to)."""
        self._committing.append(waiter)

    def after_sync(self, waiter: Waiter) -> None:
        """Call `waiter` once every write so far survives a power loss (or failed to)."""
        self._syncing.append(waiter)

    async def committed(self) -> None:
        """Raises LocalError if the store could not write."""
        await self._wait(self.after_commit)

    async def synced(self) -> None:
        """Raises LocalError if the store could not write."""
        await self._wait(self.after_sync)

    async def _wait(self, subscribe: Callable[[Waiter], None]) -> None:
        future: Future = self._loop.future()
        subscribe(future.set)
        outcome = await future
        if isinstance(outcome, Failed):
            raise LocalError(f"could not write to the store: {outcome.message}")

    def flush(self) -> None:
        if self._committing:
            self._send(Commit, self._committing)
            self._committing = []
        if self._syncing:
            self._send(Sync, self._syncing)
            self._syncing = []

    def _send(self, effect: type[Commit] | type[Sync], waiters: list[Waiter]) -> None:
        effect_id = self._next_id()
        self._in_flight[effect_id] = waiters
        self._emit(effect(effect_id))

    def done(self, effect_id: int, outcome: Outcome) -> bool:
        """False if the id is not one of this journal's."""
        waiters = self._in_flight.pop(effect_id, None)
        if waiters is None:
            return False
        for waiter in waiters:
            waiter(outcome if isinstance(outcome, Failed) else Ok())
        return True
