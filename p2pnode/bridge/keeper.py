"""What this bridge publishes for foreign keys, from the first put to the last withdrawal.

    signed record (author this node, salt 0xff "kad1" key), the blobs of a long value, provider of the meeting key

A publication may end at any of its steps, because the foreign peer waits 5 s and no longer. Whatever it had
begun by then is counted in the ledger, and is either kept or withdrawn. A key whose new value may or may not have
got out is in doubt: its old value is signed again within a minute, so that all bridges read the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from p2pnode.bridge import values
from p2pnode.bridge.commands import Commands, Unanswered
from p2pnode.bridge.ledger import Kept, Ledger
from p2pnode.bridge.limits import (
    MAX_AT_ONCE,
    RECORD_TTL_S,
    RENEW_AT_ONCE,
    RENEW_CHECK_S,
    RENEW_LIMIT_S,
    STORE_BURST,
    STORES_PER_S,
)
from p2pnode.bridge.meter import Bucket
from p2pnode.bridge.search import newest


@attrs.define(slots=True)
class _Turn:
    """The order of stores under one key: a later set must get the later seq."""

    lock: trio.Lock = attrs.field(factory=trio.Lock)
    users: int = 0


@attrs.define(slots=True)
class Keeper:
    _commands: Commands
    ledger: Ledger = attrs.field(init=False, factory=Ledger)
    _turns: dict[bytes, _Turn] = attrs.field(init=False, factory=dict)
    _rate: Bucket = attrs.field(init=False, factory=lambda: Bucket(STORES_PER_S, STORE_BURST, trio.current_time))
    _renewing: trio.CapacityLimiter = attrs.field(init=False, factory=lambda: trio.CapacityLimiter(RENEW_AT_ONCE))
    #: Set when there is something to withdraw.
    _loosened: trio.Event = attrs.field(init=False, factory=trio.Event)

    async def recall(self) -> None:
        """Keep on with the keys of an earlier life: the node's own records tell which. Call it first."""
        try:
            self.ledger.recall(await self._commands.run("own", values=True), trio.current_time())
        except Unanswered:
            return
        self._commands.count("recalled", len(self.ledger))

    @asynccontextmanager
    async def turn(self, key: bytes) -> AsyncIterator[None]:
        """Who publishes under `key` does it inside, one after another in the order of arrival."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

    async def store(self, key: bytes, packed: bytes) -> str:
        """Publish; what came of it, as the name of a counter. Call it in the key's turn; may be cancelled."""
        kept = self.ledger.get(key)
        if kept is not None and kept.seq and kept.packed == packed:
            latest = await newest(self._commands, key, kept)
            if latest is not None and latest.packed == packed:
                # A foreign peer's hourly republish: the record is out, and nobody has written since.
                kept.stored = trio.current_time()
                return "unchanged"
        fresh = Kept(packed, stored=trio.current_time())
        if not self.ledger.reserve(key, fresh):
            return "refused_quota"
        try:
            await trio.sleep(self._rate.reserve())
            return "stored" if await self._publish(key, fresh) else "store_failed"
        finally:
            if fresh.seq:
                self.ledger.keep(key, fresh)
            else:
                self.ledger.give_back(key, fresh)
            self._loosened.set()

    async def upkeep(self) -> None:
        """Withdraw what is loose, forget what nobody stored for a week, renew what would expire. Runs for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._withdraw)
            while True:
                await trio.sleep(RENEW_CHECK_S)
                now = trio.current_time()
                self.ledger.drop_old(now)
                self._loosened.set()
                async with trio.open_nursery() as renewals:
                    for key in self.ledger.due(now)[:MAX_AT_ONCE]:
                        renewals.start_soon(self._renew, key)

    async def tidy(self) -> None:
        """Have the node forget what no key needs any more; what it could not forget waits for the next time."""
        for name in self.ledger.loose():
            if not self.ledger.take_loose(name):
                continue  # came into use again
            gone = False
            try:
                await self._commands.run("forget", **({"key": name} if isinstance(name, str) else {"salt": name}))
                gone = True
                self._commands.count("withdrawn")
            except Unanswered as failure:
                gone = failure.code == "not_found"  # there it has expired, or a cancelled put has undone itself
            finally:
                if not gone:
                    self.ledger.loosen([name])

    async def _withdraw(self) -> None:
        while True:
            await self.tidy()
            await self._loosened.wait()
            self._loosened = trio.Event()

    async def _renew(self, key: bytes) -> None:
        """Publish again what is still the newest; what another bridge has overwritten is its to keep."""
        async with self._renewing:
            # Nobody waits for the answer, so it may take as long as our network does; but not for ever.
            with trio.move_on_after(RENEW_LIMIT_S):
                async with self.turn(key):
                    kept = self.ledger.get(key)
                    if kept is None or not kept.is_due(trio.current_time()):
                        return  # it was stored meanwhile
                    kept.tried = trio.current_time()
                    latest = await newest(self._commands, key, kept)
                    if latest is None:
                        return
                    if latest.author != self._commands.node:
                        self.ledger.drop(key)
                        self._loosened.set()
                        self._commands.count("overtaken")
                    elif await self._publish(key, kept):
                        self._commands.count("renewed")

    async def _publish(self, key: bytes, kept: Kept) -> bool:
        """`kept` gets its seq as soon as it is signed, its time once it is announced as well."""
        record = await self._record(kept)
        if record is None:
            return False
        self.ledger.doubt(key)
        try:
            put = await self._commands.run(
                "put", value=record, salt=values.salt_of(key), ttl_s=RECORD_TTL_S, profile="cheap"
            )
            kept.seq = int(put["seq"])
            await self._commands.run("provide", key=values.meeting_key(key), ttl_s=RECORD_TTL_S)
        except Unanswered:
            return False
        kept.published = trio.current_time()
        return True

    async def _record(self, kept: Kept) -> bytes | None:
        """Value of the signed record; None if a piece of a long value could not be stored."""
        if not kept.chunks:
            return values.inline_record(kept.packed)
        failed: list[bytes] = []
        async with trio.open_nursery() as nursery:
            for chunk in values.chunks_of(kept.packed):
                nursery.start_soon(self._put_chunk, chunk, failed)
        return None if failed else values.manifest_record(values.Manifest(len(kept.packed), kept.chunks))

    async def _put_chunk(self, chunk: bytes, failed: list[bytes]) -> None:
        try:
            await self._commands.run("put", value=chunk, ttl_s=RECORD_TTL_S, profile="cheap")
        except Unanswered:
            failed.append(chunk)
