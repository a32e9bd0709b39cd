"""The overlay side of the bridge as the foreign side calls it: what is let in, and answered in time.

    store(key, value)   -> p2pnode.bridge.keeper publishes it
    find(key)           -> p2pnode.bridge.search looks for the newest

The foreign network has no authors, so any bridge may hold any key and the newest wins; who may
write is decided by who may reach a bridge. Nothing here raises for what foreign peers or other
bridges send, and everything that is refused is counted.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs
import trio

from p2pnode.bridge import values
from p2pnode.bridge.commands import Command, Commands
from p2pnode.bridge.keeper import Keeper
from p2pnode.bridge.limits import (
    ANSWER_S,
    CACHE_S,
    FIND_BURST,
    FINDS_PER_S,
    MAX_AT_ONCE,
    MAX_CACHED,
    MAX_WAITING,
)
from p2pnode.bridge.meter import Bucket
from p2pnode.bridge.search import newest
from p2pnode.bridge.values import Value


@attrs.define(slots=True)
class _Finding:
    """One search that several callers wait for."""

    done: trio.Event = attrs.field(factory=trio.Event)
    #: msgpack of the value.
    found: bytes | None = None


class Gateway:
    """`node` is the id text of the node; `counters` is shared with the foreign side and only ever grows."""

    def __init__(self, command: Command, node: str, counters: dict[str, int]) -> None:
        self._commands = Commands(command, node, counters)
        self._count = self._commands.count
        self._keeper = Keeper(self._commands)
        self._finding: dict[bytes, _Finding] = {}
        self._cache: OrderedDict[bytes, tuple[float, bytes | None]] = OrderedDict()
        self._slots = trio.CapacityLimiter(MAX_AT_ONCE)
        self._waiting = 0
        self._find_rate = Bucket(FINDS_PER_S, FIND_BURST, trio.current_time)

    @property
    def kept_keys(self) -> int:
        return len(self._keeper.ledger)

    @property
    def kept_bytes(self) -> int:
        return self._keeper.ledger.size

    async def recall(self) -> None:
        """Keep on with the keys of an earlier life. Call it first."""
        await self._keeper.recall()

    async def upkeep(self) -> None:
        """Keep alive what was stored, and withdraw what is over. Runs for ever."""
        await self._keeper.upkeep()

    async def store(self, key: bytes, value: Value) -> bool:
        """Publish `value` under the foreign 20-byte `key`. False if it was refused or did not get out in time."""
        packed = values.pack_value(value)
        if packed is None:
            return self._refuse("refused_value")
        if self._waiting >= MAX_WAITING:
            return self._refuse("refused_busy")
        outcome = "store_timed_out"
        self._waiting += 1
        try:
            with trio.move_on_after(ANSWER_S):
                async with self._keeper.turn(key), self._slots:
                    outcome = await self._keeper.store(key, packed)
        finally:
            self._waiting -= 1
        if outcome == "stored":
            self._remember(key, packed)
        self._count(outcome)
        return outcome in ("stored", "unchanged")

    async def find(self, key: bytes) -> Value | None:
        """Newest value that any bridge holds under the foreign `key`, None if there is none."""
        now = trio.current_time()
        cached = self._cache.get(key)
        if cached is not None and now - cached[0] < CACHE_S:
            return self._unpack(cached[1])
        finding = self._finding.get(key)
        if finding is None:
            if self._waiting >= MAX_WAITING or not self._find_rate.take():
                self._count("refused_busy")
                return self._unpack(self._kept(key))
            finding = self._finding[key] = _Finding()
            self._waiting += 1
            try:
                finding.found = await self._find(key)
                self._remember(key, finding.found)
            finally:
                self._waiting -= 1
                del self._finding[key]
                finding.done.set()
        else:
            with trio.move_on_after(ANSWER_S):
                await finding.done.wait()
        return self._unpack(finding.found)

    async def _find(self, key: bytes) -> bytes | None:
        found: bytes | None = None
        with trio.move_on_after(ANSWER_S) as scope:
            async with self._slots:
                latest = await newest(self._commands, key, self._keeper.ledger.get(key))
                found = latest.packed if latest else None
        if scope.cancelled_caught:
            self._count("find_timed_out")
        if found is None:
            found = self._kept(key)
        self._count("found" if found is not None else "not_found")
        return found

    def _kept(self, key: bytes) -> bytes | None:
        kept = self._keeper.ledger.get(key)
        return kept.packed if kept else None

    def _remember(self, key: bytes, packed: bytes | None) -> None:
        self._cache[key] = (trio.current_time(), packed)
        self._cache.move_to_end(key)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)

    def _unpack(self, packed: bytes | None) -> Value | None:
        return None if packed is None else values.unpack_value(packed)

    def _refuse(self, reason: str) -> bool:
        self._count(reason)
        return False
