"""Stamps order the messages of one sender and make old ones stale.

A sender's stamps never go back, whatever its clock or its disk do: they are taken from blocks
whose end is synced to disk before the first of the block is used.
"""

from __future__ import annotations

from struct import Struct

from overlay.errors import LimitError, LocalError
from overlay.limits import FRESH_WINDOW_S, MAX_STAMPS_REMEMBERED, STAMP_BLOCK, STAMP_SPARE
from overlay.rpc.oldest import forget_oldest
from overlay.runtime.journal import Journal
from overlay.runtime.ports import SECOND, Failed, Now, Outcome

_KEY = b"stamp"
#: Who gives back what is left ends now; a message that comes in meanwhile must not have it reserve anew.
_REST_NS = 2 * SECOND


class StampSource:
    """Gives out stamps; `reserve` must have been awaited once before the first."""

    __slots__ = ("_blocks", "_journal", "_last", "_reserved", "_reserving", "_resting_until_ns")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        stored = journal.storage.get(_KEY)
        self._last = int.from_bytes(stored, "big") if stored else 0
        self._reserved = 0  # nothing yet in this life
        self._reserving = False
        #: Blocks written so far: only the newest that is on disk may be used.
        self._blocks = 0
        self._resting_until_ns = 0

    @property
    def last(self) -> int:
        """No stamp above it was ever given out, in this life or before."""
        return self._last

    @property
    def ready(self) -> bool:
        return self._last < self._reserved

    async def reserve(self, now: Now) -> None:
        """Returns once a block is synced. Raises LocalError if the disk refuses."""
        self._reserving = True
        block, end = self._write_block(now)
        try:
            await self._journal.synced()
        finally:
            self._reserving = False
        if block == self._blocks:
            self._reserved = end

    def take(self, now: Now) -> int:
        """The next stamp: above all before it, at least wall milliseconds while the block allows."""
        if not self.ready:
            raise LocalError("no stamp is reserved: the store has not confirmed the last block")
        # A clock that jumped ahead of the block must wait for the next block, order must not.
        self._last = max(self._last + 1, min(now.wall_ms, self._reserved - STAMP_SPARE // 2))
        if self._reserved - self._last <= STAMP_SPARE // 2 or self._reserved - now.wall_ms < STAMP_BLOCK // 2:
            self.renew(now)
        return self._last

    def skip_to(self, stamp: int) -> None:
        """What is given out from now on is above this one, as far as the block allows."""
        self._last = max(self._last, min(stamp, self._reserved - STAMP_SPARE // 2))

    def renew(self, now: Now) -> None:
        """Ask for another block, unless one is being written. Also when none is left: the disk may work again."""
        if not self._reserving and now.mono_ns >= self._resting_until_ns:
            try:
                block, end = self._write_block(now)
            except LimitError:
                return  # the store is behind: it is asked again, by whoever takes the next stamp
            self._reserving = True
            self._journal.after_sync(lambda outcome: self._on_synced(outcome, block, end))

    async def give_back(self, now: Now) -> None:
        """Return what is left of the block: the next life goes on where this one ended, not where its block does.

        From this call on no stamp is given out, and for two seconds no block is asked for. A crash before the disk
        has written it costs a block, as any crash. Raises LocalError or LimitError if the disk refuses.
        """
        if not self.ready and not self._reserving:
            return
        self._reserved = self._last
        self._blocks += 1  # one that is being written lies below what is written now
        self._resting_until_ns = now.mono_ns + _REST_NS
        self._journal.storage.put(_KEY, self._last.to_bytes(8, "big"))
        await self._journal.synced()

    def _write_block(self, now: Now) -> tuple[int, int]:
        """(which, its end)"""
        # Ahead of the clock only as many stamps are needed as there are messages: restarts in a row do not add up.
        end = max(max(self._last, self._reserved) + STAMP_SPARE, now.wall_ms + STAMP_BLOCK)
        self._journal.storage.put(_KEY, end.to_bytes(8, "big"))
        self._blocks += 1
        return self._blocks, end

    def _on_synced(self, outcome: Outcome, block: int, end: int) -> None:
        self._reserving = False
        # If it failed, it is asked again, by whoever needs the next stamp.
        if block == self._blocks and not isinstance(outcome, Failed):
            self._reserved = end


#: Of a sender: nothing up to this stamp passes; the highest at the last mark, the highest of all; when that mark was
#: made; when anything was heard. Hundreds are remembered, thousands at most: half of what an object and its numbers
#: take.
_SEEN = Struct("<QQQqq")
_pack, _unpack = _SEEN.pack, _SEEN.unpack


class FreshStamps:
    """The receiver's side: is this request newer than what its sender said half a minute ago?

    Two marks a sender, so what was said 30 to 60 s ago may still pass. That is for requests that change
    nothing; what acts is refused from the moment at which its reply is forgotten (`refuse_up_to`).

    Of whom is forgotten anything passes, so it is who was not heard for longest: strangers by the thousand do not
    make who goes on talking forgotten.
    """

    __slots__ = ("_senders",)

    def __init__(self) -> None:
        self._senders: dict[bytes, bytes] = {}

    def accept(self, key: bytes, stamp: int, now_ns: int, *, newest: bool = False) -> bool:
        """`newest`: only if nothing as new was heard from this sender."""
        seen = self._senders.get(key)
        if seen is None:
            if len(self._senders) >= MAX_STAMPS_REMEMBERED:
                forget_oldest(self._senders, _heard_ns)
            self._senders[key] = _pack(0, stamp, stamp, now_ns, now_ns)
            return True
        floor, mark, highest, marked_ns, _ = _unpack(seen)
        age = now_ns - marked_ns
        if age >= FRESH_WINDOW_S * SECOND:
            # Two windows without a word: all that was heard is older than the window.
            floor = max(floor, highest if age >= 2 * FRESH_WINDOW_S * SECOND else mark)
            mark, marked_ns = highest, now_ns
        passes: bool = stamp > (highest if newest else floor)
        self._senders[key] = _pack(floor, mark, max(highest, stamp) if passes else highest, marked_ns, now_ns)
        return passes

    def refuse_up_to(self, key: bytes, stamp: int) -> None:
        """Nothing of this sender with this stamp or a smaller one passes any more."""
        seen = self._senders.get(key)
        if seen is not None:
            floor, *rest = _unpack(seen)
            self._senders[key] = _pack(max(floor, stamp), *rest)

    def __len__(self) -> int:
        return len(self._senders)


def _heard_ns(seen: bytes) -> int:
    return int.from_bytes(seen[32:], "little", signed=True)
