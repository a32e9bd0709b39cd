"""Mining: what is worked on, who looks for the nonce, and when it begins anew.

Who looks is a port. In a node it is a process beside it (`Bench`), in a swarm it is chance in virtual time, with a hash
rate for each node (simulations.chain).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs

from apps.chain.core.desk import Desk
from apps.chain.core.following import Tell
from apps.chain.core.header import decode_header
from apps.chain.core.limits import IDLE_MINING_S, MAX_AHEAD_S, NONCE_BYTES, REFRESH_S
from apps.chain.core.news import unpack
from apps.chain.core.rules import Invalid
from overlay.app import AppContext
from overlay.errors import LocalError, TimedOut
from overlay.runtime.future import Future
from overlay.runtime.loop import CancelScope
from overlay.runtime.ports import SECOND


@attrs.frozen(slots=True)
class Work:
    """A header without its nonce."""

    #: All bytes before the nonce (header.prefix_of); `work.search` takes them.
    prefix: bytes = attrs.field(repr=False)
    difficulty: int
    #: work.Pow.
    pow: int
    parent: bytes
    txs: int


#: Work of this moment: its time and what waits are those of now. LocalError if there is none.
Fresh = Callable[[], Awaitable[Work]]


class Miner(Protocol):
    """Looks for nonces."""

    async def solve(self, fresh: Fresh, how: How) -> bytes:
        """The whole header of some work, with a good nonce. Cancelled when another block has come."""
        ...


@attrs.frozen(slots=True)
class How:
    """As a person wants it. Threads and duty are the worker's affair."""

    threads: int = 1
    #: Percent of the time that it works.
    duty: int = 100
    #: Only while something waits, or when the last block is old.
    on_demand: bool = False


@attrs.define(slots=True, eq=False)
class Bench:
    """The port for a process that asks for work and brings what it found, by two commands of the application:

        mine_work  {"after": number, "rate"?: hashes a second or null}
                   -> {"number", "prefix", "difficulty", "pow", "threads", "duty"}, or {"number"} alone: rest.
                      Answered when there is other work than that of `after`, and after WORK_S in any case.
        mine_found {"number", "nonce": 16 hex digits} -> {"taken": bool}   False: too late
    """

    ctx: AppContext
    number: int = attrs.field(default=0, init=False)
    #: Hashes a second, as the process said last; None: it rests, or there is none.
    rate: int | None = attrs.field(default=None, init=False)
    _work: Work | None = attrs.field(default=None, init=False)
    _how: How = attrs.field(factory=How, init=False)
    _found: Future[bytes] | None = attrs.field(default=None, init=False)
    _changed: Future[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._changed = self.ctx.dht.loop.future()

    async def solve(self, fresh: Fresh, how: How) -> bytes:
        self._how = how
        try:
            while True:
                self._put(await fresh())
                self._found = self.ctx.dht.loop.future()
                with self.ctx.dht.loop.move_on_after(REFRESH_S * SECOND):
                    return await self._found
        finally:
            self._found = None
            self._put(None)

    def _put(self, work: Work | None) -> None:
        self._work = work
        self.number += 1
        changed, self._changed = self._changed, self.ctx.dht.loop.future()
        changed.set()

    async def work(self, after: int, wait_ns: int) -> dict[str, Any]:
        if after == self.number:
            with self.ctx.dht.loop.move_on_after(wait_ns):
                await self._changed
        if self._work is None:
            return {"number": self.number}
        work, how = self._work, self._how
        return {
            "number": self.number, "prefix": work.prefix, "difficulty": work.difficulty, "pow": work.pow,
            "threads": how.threads, "duty": how.duty,
        }  # fmt: skip

    def found(self, number: int, nonce: bytes) -> bool:
        if len(nonce) != NONCE_BYTES:
            raise LocalError(f"a nonce has {NONCE_BYTES} bytes, not {len(nonce)}")
        if number != self.number or self._work is None or self._found is None:
            return False
        return self._found.set(self._work.prefix + nonce)


@attrs.define(slots=True, eq=False)
class Mining:
    """Whether this node mines, and on what."""

    ctx: AppContext
    desk: Desk
    miner: Miner
    tell: Tell
    #: Is given the compact block that was mined.
    publish: Callable[[bytes], Awaitable[None]]
    how: How | None = attrs.field(default=None, init=False)
    found: int = attrs.field(default=0, init=False)
    _changed: Future[None] = attrs.field(init=False)
    _solving: CancelScope | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._changed = self.ctx.dht.loop.future()
        self.desk.watch(lambda before, after: self._on_change(before.tip != after.tip, before.waiting < after.waiting))

    def set(self, how: How | None) -> None:
        """None: not at all."""
        self.how = how
        self._on_change(True, True)

    def _on_change(self, tip: bool, more: bool) -> None:
        if tip and self._solving is not None:
            self._solving.cancel()
        if tip or more:
            changed, self._changed = self._changed, self.ctx.dht.loop.future()
            changed.set()

    async def run(self) -> None:
        while True:
            how = self.how
            if how is None or not self._wanted(how):
                with self.ctx.dht.loop.move_on_after(REFRESH_S * SECOND) if how else self.ctx.dht.loop.scope():
                    await self._changed
                continue
            raw = None
            try:
                with self.ctx.dht.loop.scope() as self._solving:
                    raw = await self.miner.solve(self._fresh, how)
                self._solving = None
                if raw is not None:
                    await self._take(raw)
            except (LocalError, TimedOut) as error:
                self.ctx.emit("trouble", error=str(error))
                await self.ctx.sleep(REFRESH_S * SECOND)

    def _wanted(self, how: How) -> bool:
        summary = self.desk.summary
        age_s = self.ctx.now.wall_ms // 1000 - summary.time
        # The next block is at least a second later than its parent: one that others would hold is not worked on.
        if age_s + MAX_AHEAD_S < 1:
            return False
        return not how.on_demand or summary.waiting > 0 or age_s >= IDLE_MINING_S

    async def _fresh(self) -> Work:
        return Work(*await self.desk.do("template", self.ctx.dht.endpoint.signer.key, self.ctx.now.wall_ms))

    async def _take(self, raw: bytes) -> None:
        try:
            root = decode_header(raw).root
        except Invalid as error:
            self.ctx.emit("trouble", error=f"the miner gave no header: {error}")
            return
        mined = await self.desk.do("mined", raw, root, self.ctx.now.wall_ms)
        if mined is None:
            return
        told, compact = unpack(mined[0]), mined[1]
        self.tell(told, b"")
        if not told[0].bad:
            self.found += 1
            self.ctx.emit("mined", block=told[0].block, verdict=str(told[0].verdict))
            await self.publish(compact)
