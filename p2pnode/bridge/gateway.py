"""The overlay side of the bridge: a foreign key becomes records of ours, and back.

    store(key, value)   signed record (author this node, salt 0xff "kad1" key), then provider of the meeting key
    find(key)           providers of the meeting key, the signed record of each, the newest seq wins

The foreign network has no authors, so any bridge may hold any key and the newest wins; who may
write is decided by who may reach a bridge. Nothing here raises for what foreign peers or other
bridges send, and everything that is refused is counted.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Protocol

import attrs
import trio

from overlay.errors import BadMessage
from p2pnode.bridge import values
from p2pnode.bridge.ledger import Kept, Ledger
from p2pnode.bridge.limits import (
    ANSWER_S,
    CACHE_S,
    FIND_BURST,
    FINDS_PER_S,
    KEEP_S,
    MAX_AT_ONCE,
    MAX_AUTHORS,
    MAX_CACHED,
    MAX_WAITING,
    RECORD_TTL_S,
    RENEW_CHECK_S,
    RENEW_S,
    STORE_BURST,
    STORES_PER_S,
)
from p2pnode.bridge.meter import Bucket
from p2pnode.bridge.values import Value


class Command(Protocol):
    """A node's commands. A failed one raises an exception that has a `code` (p2pnode.driver.CommandFailed)."""

    async def __call__(self, name: str, /, **args: Any) -> Any: ...


@attrs.define(slots=True)
class _Finding:
    """One search that several callers wait for."""

    done: trio.Event = attrs.field(factory=trio.Event)
    #: msgpack of the value.
    found: bytes | None = None


@attrs.define(slots=True)
class _Turn:
    """The order of stores under one key: a later set must get the later seq."""

    lock: trio.Lock = attrs.field(factory=trio.Lock)
    users: int = 0


@attrs.frozen(slots=True)
class _Claim:
    seq: int
    author: str
    #: msgpack of the value, or where it is.
    held: bytes | values.Manifest


@attrs.frozen(slots=True)
class _Newest:
    claim: _Claim
    packed: bytes


class Gateway:
    """`counters` is shared with the foreign side and only ever grows."""

    def __init__(self, command: Command, node: str, counters: dict[str, int]) -> None:
        self._command = command
        #: Id text of this node.
        self._node = node
        self._counters = counters
        self._ledger = Ledger()
        self._turns: dict[bytes, _Turn] = {}
        self._finding: dict[bytes, _Finding] = {}
        self._cache: OrderedDict[bytes, tuple[float, bytes | None]] = OrderedDict()
        self._slots = trio.CapacityLimiter(MAX_AT_ONCE)
        self._waiting = 0
        self._store_rate = Bucket(STORES_PER_S, STORE_BURST, trio.current_time)
        self._find_rate = Bucket(FINDS_PER_S, FIND_BURST, trio.current_time)

    @property
    def kept_keys(self) -> int:
        return len(self._ledger)

    @property
    def kept_bytes(self) -> int:
        return self._ledger.size

    async def recall(self) -> None:
        """Keep on with the keys of an earlier life: the node's own records tell which. Call it first."""
        try:
            self._ledger.recall(await self._run("own", values=True), trio.current_time())
        except _Unanswered:
            return
        self._count("recalled", len(self._ledger))

    async def store(self, key: bytes, value: Value) -> bool:
        """Publish `value` under the foreign 20-byte `key`. False if it was refused or did not get out in time."""
        packed = values.pack_value(value)
        if packed is None:
            return self._refuse("refused_value")
        if self._waiting >= MAX_WAITING:
            return self._refuse("refused_busy")
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        self._waiting += 1
        try:
            with trio.move_on_after(ANSWER_S):
                async with turn.lock, self._slots:
                    return await self._store(key, packed)
            return self._refuse("store_timed_out")
        finally:
            self._waiting -= 1
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

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
                kept = self._ledger.get(key)
                return self._unpack(kept.packed if kept else None)
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

    async def upkeep(self) -> None:
        """Forget what nobody stored for a week; renew what would expire. Runs for ever."""
        while True:
            await self._tidy()
            await trio.sleep(RENEW_CHECK_S)
            now = trio.current_time()
            for key, kept in self._ledger:
                if now - kept.stored > KEEP_S:
                    self._ledger.drop(key)
            due = [key for key, kept in self._ledger if now - kept.published > RENEW_S]
            async with trio.open_nursery() as nursery:
                for key in due[:MAX_AT_ONCE]:
                    nursery.start_soon(self._renew, key)

    async def _renew(self, key: bytes) -> None:
        """Publish again what is still the newest; what another bridge has overwritten is its to keep."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            with trio.move_on_after(ANSWER_S):
                async with turn.lock, self._slots:
                    kept = self._ledger.get(key)
                    newest = await self._newest(key)
                    if kept is None or newest is None:
                        return
                    if newest.claim.author != self._node:
                        self._ledger.drop(key)
                        self._count("overtaken")
                    elif await self._publish(key, kept):
                        kept.published = trio.current_time()
                        self._count("renewed")
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[key]

    async def _store(self, key: bytes, packed: bytes) -> bool:
        kept = self._ledger.get(key)
        if kept is not None and kept.packed == packed:
            newest = await self._newest(key)
            if newest is not None and newest.packed == packed:
                # A foreign peer's hourly republish: the record is out, and nobody has written since.
                kept.stored = trio.current_time()
                self._count("unchanged")
                return True
        fresh = Kept(packed, stored=0, published=0)
        if not self._ledger.has_room(key, fresh):
            return self._refuse("refused_quota")
        await trio.sleep(self._store_rate.reserve())
        fresh.stored = fresh.published = trio.current_time()
        try:
            published = await self._publish(key, fresh)
        finally:  # room is taken after the fact, by at most MAX_AT_ONCE values at once: that much over the quota
            if fresh.seq:
                self._ledger.keep(key, fresh)
            else:
                self._ledger.loosen(fresh.chunks)
        await self._tidy()
        if not published:
            return self._refuse("store_failed")
        self._remember(key, packed)
        self._count("stored")
        return True

    async def _publish(self, key: bytes, kept: Kept) -> bool:
        record = await self._record(kept)
        if record is None:
            return False
        try:
            result = await self._run("put", value=record, salt=values.salt_of(key), ttl_s=RECORD_TTL_S, profile="cheap")
            kept.seq = int(result["seq"])
            await self._run("provide", key=values.meeting_key(key), ttl_s=RECORD_TTL_S)
        except _Unanswered:
            return False
        return True

    async def _tidy(self) -> None:
        """Have the node forget what no key needs any more."""
        for loose in self._ledger.take_loose():
            try:
                await self._run("forget", **{loose.argument: loose.value})
                self._count("withdrawn")
            except _Unanswered as failure:
                if failure.code != "not_found":  # there it has expired
                    self._ledger.put_back(loose)

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
            await self._run("put", value=chunk, ttl_s=RECORD_TTL_S, profile="cheap")
        except _Unanswered:
            failed.append(chunk)

    async def _find(self, key: bytes) -> bytes | None:
        found: bytes | None = None
        with trio.move_on_after(ANSWER_S) as scope:
            async with self._slots:
                newest = await self._newest(key)
                found = newest.packed if newest else None
        if scope.cancelled_caught:
            self._count("find_timed_out")
        if found is None:
            kept = self._ledger.get(key)
            found = kept.packed if kept else None
        self._count("found" if found is not None else "not_found")
        return found

    async def _newest(self, key: bytes) -> _Newest | None:
        """Of all bridges that are said to hold it, and this one."""
        claims: list[_Claim] = []
        kept = self._ledger.get(key)
        if kept is not None:
            claims.append(_Claim(kept.seq, self._node, kept.packed))
        try:
            answer = await self._run("providers", key=values.meeting_key(key))
        except _Unanswered:
            answer = {"providers": []}
        held = [claim.author for claim in claims]
        named = dict.fromkeys(provider["id"] for provider in answer["providers"])
        authors = [author for author in named if author not in held][:MAX_AUTHORS]
        async with trio.open_nursery() as nursery:
            for author in authors:
                nursery.start_soon(self._claim, author, key, claims)
        for claim in sorted(claims, key=lambda claim: (claim.seq, claim.author), reverse=True):
            try:
                packed = await self._assemble(claim.held)
                values.unpack_value(packed)
            except BadMessage:
                self._count("bad_record")
            else:
                return _Newest(claim, packed)
        return None

    async def _claim(self, author: str, key: bytes, claims: list[_Claim]) -> None:
        try:
            answer = await self._run("get", author=author, salt=values.salt_of(key))
            claims.append(_Claim(int(answer["seq"]), author, values.decode_record(answer["value"])))
        except BadMessage:
            self._count("bad_record")
        except _Unanswered:
            pass

    async def _assemble(self, held: bytes | values.Manifest) -> bytes:
        if isinstance(held, bytes):
            return held
        pieces = [b""] * len(held.keys)
        async with trio.open_nursery() as nursery:
            for index, name in enumerate(held.keys):
                nursery.start_soon(self._get_chunk, name, pieces, index)
        return values.join(held, pieces)

    async def _get_chunk(self, name: str, pieces: list[bytes], index: int) -> None:
        try:
            pieces[index] = (await self._run("get", key=name))["value"]
        except _Unanswered:
            pass  # the value is then too short

    async def _run(self, name: str, **args: Any) -> Any:
        """The answer of a command; raises _Unanswered if it failed in a way that a node may."""
        try:
            return await self._command(name, **args)
        except Exception as error:
            code = getattr(error, "code", None)
            if not isinstance(code, str):
                raise  # a bug of ours
            if code != "not_found":
                self._count("overlay_failed")
            raise _Unanswered(code) from None

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

    def _count(self, what: str, by: int = 1) -> None:
        if by:
            self._counters[what] = self._counters.get(what, 0) + by


class _Unanswered(Exception):
    """A command failed as commands may (nobody has it, nobody answers)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
