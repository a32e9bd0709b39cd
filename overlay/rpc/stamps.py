"""Stamps order the messages of one sender and make old ones stale.

A sender's stamps never go back, whatever its clock or its disk do: they are taken from blocks
whose end is synced to disk before the first of the block is used.
"""

from __future__ import annotations

import attrs

from overlay.errors import LocalError
from overlay.limits import FRESH_WINDOW_S, MAX_STAMPS_REMEMBERED, STAMP_BLOCK
from overlay.runtime.journal import Journal
from overlay.runtime.ports import SECOND, Failed, Now, Outcome

_KEY = b"stamp"


class StampSource:
    """Gives out stamps; `reserve` must have been awaited once before the first."""

    __slots__ = ("_journal", "_last", "_reserved", "_reserving")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        stored = journal.storage.get(_KEY)
        self._last = int.from_bytes(stored, "big") if stored else 0
        self._reserved = 0  # nothing yet in this life
        self._reserving = False

    @property
    def ready(self) -> bool:
        return self._last < self._reserved

    async def reserve(self, now: Now) -> None:
        """Returns once a block is synced. Raises LocalError if the disk refuses."""
        self._reserving = True
        end = self._write_block(now)
        try:
            await self._journal.synced()
        finally:
            self._reserving = False
        self._reserved = end

    def take(self, now: Now) -> int:
        """The next stamp: above all before it, at least wall milliseconds while the block allows."""
        if not self.ready:
            raise LocalError("no stamp is reserved: the store has not confirmed the last block")
        # A clock that jumped ahead of the block must wait for the next block, order must not.
        self._last = max(self._last + 1, min(now.wall_ms, self._reserved - STAMP_BLOCK // 2))
        if self._reserved - max(self._last, now.wall_ms) < STAMP_BLOCK // 2:
            self.renew(now)
        return self._last

    def renew(self, now: Now) -> None:
        """Ask for another block, unless one is being written. Also when none is left: the disk may work again."""
        if not self._reserving:
            self._reserving = True
            end = self._write_block(now)
            self._journal.after_sync(lambda outcome: self._on_synced(outcome, end))

    def _write_block(self, now: Now) -> int:
        end = max(self._last, self._reserved, now.wall_ms) + STAMP_BLOCK
        self._journal.storage.put(_KEY, end.to_bytes(8, "big"))
        return end

    def _on_synced(self, outcome: Outcome, end: int) -> None:
        self._reserving = False
        if not isinstance(outcome, Failed):  # else: it is asked again, by whoever needs the next stamp
            self._reserved = end


@attrs.define(slots=True)
class _Seen:
    floor: int
    mark: int
    highest: int
    marked_ns: int


class FreshStamps:
    """The receiver's side: is this request newer than what its sender said half a minute ago?

    Two marks a sender, so what was said 30 to 60 s ago may still pass. That is for requests that change
    nothing; what acts is refused from the moment at which its reply is forgotten (`refuse_up_to`).
    """

    __slots__ = ("_senders",)

    def __init__(self) -> None:
        self._senders: dict[bytes, _Seen] = {}

    def accept(self, key: bytes, stamp: int, now_ns: int, *, newest: bool = False) -> bool:
        """`newest`: only if nothing as new was heard from this sender."""
        seen = self._senders.pop(key, None)
        if seen is None:
            if len(self._senders) >= MAX_STAMPS_REMEMBERED:
                del self._senders[next(iter(self._senders))]
            seen = _Seen(0, stamp, stamp, now_ns)
            self._senders[key] = seen
            return True
        self._senders[key] = seen  # least recently heard is forgotten first
        age = now_ns - seen.marked_ns
        if age >= FRESH_WINDOW_S * SECOND:
            # Two windows without a word: all that was heard is older than the window.
            seen.floor = max(seen.floor, seen.highest if age >= 2 * FRESH_WINDOW_S * SECOND else seen.mark)
            seen.mark, seen.marked_ns = seen.highest, now_ns
        if stamp <= (seen.highest if newest else seen.floor):
            return False
        seen.highest = max(seen.highest, stamp)
        return True

    def refuse_up_to(self, key: bytes, stamp: int) -> None:
        """Nothing of this sender with this stamp or a smaller one passes any more."""
        seen = self._senders.get(key)
        if seen is not None:
            seen.floor = max(seen.floor, stamp)

    def __len__(self) -> int:
        return len(self._senders)
