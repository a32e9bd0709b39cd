"""The chain as an application: a peer keeps it with all others that run it on this network.

Events: block, synced, tx, mined, reorg, held, invalid, diverged, bad peer, deaf, tx lost, gap filled, not published,
trouble.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from apps.chain.core import commands
from apps.chain.core.batches import Batches, functions
from apps.chain.core.books import OPERATIONS
from apps.chain.core.care import Care
from apps.chain.core.desk import Desk
from apps.chain.core.fetching import FEW_BLOCKS
from apps.chain.core.herald import Herald
from apps.chain.core.light import Light
from apps.chain.core.limits import DEEP_REORG, PRUNED_TOGETHER
from apps.chain.core.miner import Bench, How, Miner, Mining
from apps.chain.core.news import Told
from apps.chain.core.obstacles import obstacle
from apps.chain.core.operations import Anchor
from apps.chain.core.outcome import Verdict
from apps.chain.core.params import Params
from apps.chain.core.peers import Peers
from apps.chain.core.relay import BlockRelay, TxRelay
from apps.chain.core.rules import Rule
from apps.chain.core.serving import Serving
from apps.chain.core.sync import Sync
from apps.chain.core.talk import Talks
from apps.chain.core.wallet import Wallet
from apps.chain.core.wire import PROTOCOL
from overlay.app import App, AppContext
from overlay.errors import LocalError, OverlayError
from overlay.identity.keys import Verifier, verify
from overlay.runtime.future import Future
from overlay.runtime.ports import SECOND
from overlay.wire import cbor

#: Held blocks are looked at, and streams that nobody needs are closed, so often.
_TICK_NS = SECOND
#: Bodies that do not come by themselves in so many ticks are fetched.
_BEHIND_TICKS = 3
#: Others are asked where they are after so many targets.
_COMPARE_TARGETS = 2
#: [threads, duty, on demand, whether it mines].
_MINE = b"mine"


class Chain(App):
    name = "chain"

    def __init__(
        self, params: Params, operations: Mapping[str, Callable[..., Any]], *, light: bool = False,
        keep: int = 0, miner: Miner | None = None,
    ) -> None:  # fmt: skip
        """`operations`: all of a `books.Books`, which has the same parameters; `keep`: its. `miner`: who looks for
        nonces here; None: a process beside the node, by commands."""
        missing = [name for name in OPERATIONS if name not in operations]
        if missing:
            raise LocalError(f"the books of a chain lack {', '.join(missing)}")
        self.params, self.operations, self.light, self.keep = params, operations, light, keep
        self.functions = functions(lambda: self._verifier)
        self._verifier: Verifier = verify
        self._miner = miner
        self._ctx: AppContext | None = None
        #: Blocks that the last change of branch took back which is an alarm, height above which, and when (wall ms).
        self.deep: tuple[int, int, int] | None = None
        #: Why it does not go on, as was reported last.
        self._told = ""
        #: How often a peer gave another block than the one that is assumed valid.
        self._contradicted = 0
        self.desk: Desk
        self.peers: Peers
        self.talks: Talks
        self.batches: Batches
        self.sync: Sync
        self.mining: Mining
        self.bench: Bench
        self.txs: TxRelay
        self.blocks: BlockRelay
        self.wallet: Wallet
        self.care: Care
        self.serving: Serving
        self.herald: Herald
        self.verified: Light

    @property
    def ctx(self) -> AppContext:
        assert self._ctx is not None
        return self._ctx

    async def run(self, ctx: AppContext) -> None:
        self._ctx, self._verifier = ctx, ctx.dht.endpoint.verifier
        opened: Future[None] = ctx.dht.loop.future()
        commands.declare(self, ctx, opened)
        self.desk = await Desk.open(ctx)
        chain_id = self.params.chain_id
        self.talks = Talks(ctx)
        self.peers = Peers(ctx, chain_id, self.talks.end)
        self.batches = Batches(ctx, self.desk, chain_id)
        every_ns = _COMPARE_TARGETS * self.params.target_s * SECOND
        self.sync = Sync(ctx, self.desk, self.peers, self.talks, self.batches, self.tell, every_ns, self.light)
        self.blocks = BlockRelay(
            ctx, self.desk, self.batches, self.peers, self.talks, self.tell, self.sync.wake, chain_id
        )
        self.txs = TxRelay(ctx, self.batches, self.peers, chain_id)
        self.wallet = Wallet(ctx, self.desk, self.batches, self.txs, self.params, lambda: self.is_synced)
        self.care = Care(self.wallet)
        self.serving = Serving(ctx, self.desk, self.peers, self.sync.told)
        self.herald = Herald(ctx, self.desk, self.peers, self.serving, self.sync)
        self.verified = Light(ctx, self.desk, self.peers, self.talks, self.params)
        self.bench = Bench(ctx)
        self.mining = Mining(
            ctx, self.desk, self.bench if self._miner is None else self._miner, self.tell, self.publish_block
        )
        ctx.services.provide("anchor", self.anchor)
        ctx.services.provide("beacon", self.beacon)
        ctx.serve(self.serving.on_request)
        self.mining.set(self.how if self.mines else None)
        for at_ms, fork, old_height in await self.desk.do("reorgs"):
            if old_height - fork > DEEP_REORG:
                self.deep = old_height - fork, fork, at_ms
        if not self.light:
            await self._tried(self.wallet.load())
        self._spawn()
        opened.set()

    def _spawn(self) -> None:
        """What runs beside: all of it ends with the application."""
        tasks: list[tuple[str, Awaitable[None]]] = [
            ("peers", self.peers.run()), ("sync", self.sync.run()), ("blocks", self.blocks.run()),
            ("ticks", self._tick()),
        ]  # fmt: skip
        if not self.light:
            self.ctx.accept(self.serving.on_stream, protocol=PROTOCOL)
            tasks += [
                ("transactions", self.txs.run()), ("mining", self.mining.run()), ("wallet", self.care.run()),
                ("what waits", self._take_pool()), ("herald", self.herald.run()),
            ]  # fmt: skip
        for name, task in tasks:
            self.ctx.spawn(task, name=name)  # type: ignore[arg-type]

    # --- what becomes of blocks ---------------------------------------------------------------

    def tell(self, told: Sequence[Told], source: bytes) -> None:
        """Reports what became of what `source` sent (b"": of our own), and bars who sent what no correct peer does.

        What had waited for it is reported, and nobody is blamed for it: who sent that is not known any more."""
        for at, one in enumerate(told):
            self._report(one, source)
            if one.bad and at == 0 and source:
                self.peers.bar(source, f"{one.rule}: {one.why}")
            elif one.verdict is Verdict.TIP and at == 0:
                self.peers.helped(source)

    def _report(self, one: Told, source: bytes) -> None:
        if one.verdict is Verdict.HELD:
            self.ctx.emit("held", block=one.block, reason=one.why, peer=source)
        elif one.bad:
            self._contradicted += one.rule == Rule.H13
            fields = {"block": one.culprit or one.block, "rule": one.rule, "reason": one.why, "peer": source}
            self.ctx.emit("invalid", **fields)
        if one.disconnected:
            depth, fork = len(one.disconnected), one.disconnected[-1][0] - 1
            new = one.connected[-1] if one.connected else (0, b"", 0)
            if depth > DEEP_REORG:
                self.deep = depth, fork, self.ctx.now.wall_ms
            self.care.reconsider()
            if back := [(height, block) for height, block, txs in one.disconnected if txs]:
                self.ctx.spawn(self._tried(self.wallet.returned(back)), name="what was sent")
            self.ctx.emit(
                "reorg", depth=depth, deep=depth > DEEP_REORG, fork=fork, old=one.disconnected[0][1], new=new[1],
                height=new[0],
            )  # fmt: skip
        if len(one.connected) > FEW_BLOCKS:
            first, last = one.connected[0], one.connected[-1]
            self.ctx.emit("synced", first=first[0], last=last[0], block=last[1])
        else:
            for height, block, txs in one.connected:
                self.ctx.emit("block", height=height, block=block, txs=txs)

    async def _tried(self, work: Awaitable[None]) -> None:
        """It goes on without it if the disk fails."""
        try:
            await work
        except LocalError as error:
            self.ctx.emit("trouble", error=str(error))

    @property
    def is_synced(self) -> bool:
        """Nobody who was asked has more than is here, and it goes on."""
        s = self.desk.summary
        return not self.trouble and self.sync.done and (s.light or s.best_height <= s.height + 1)

    @property
    def trouble(self) -> str:
        """Why the chain does not go on here, and what to do; "": it does."""
        found = obstacle(self.desk.summary, self.params, forgotten=self.sync.forgotten, contradicted=self._contradicted)
        return self.desk.trouble or found

    async def _prune(self) -> None:
        s = self.desk.summary
        if self.keep and s.height - self.keep - s.kept_from >= PRUNED_TOGETHER:
            while await self.desk.do("prune"):
                pass

    async def _tick(self) -> None:
        behind = 0
        while True:
            await self.ctx.sleep(_TICK_NS)
            self.talks.tidy()
            # A header whose body nobody has sent, nor is being asked for it.
            summary = self.desk.summary
            behind = behind + 1 if summary.best_work > summary.work else 0
            if behind == _BEHIND_TICKS:
                behind = 0
                self.sync.wake()
            try:
                if self.desk.summary.held:
                    for told in await self.batches.tick():
                        self.tell(told, b"")
                await self._prune()
            except LocalError as error:
                self.ctx.emit("trouble", error=str(error))
            else:
                self._complain()

    def _complain(self) -> None:
        """Of what no operation fails for, once."""
        told, self._told = self._told, "" if self.desk.trouble else self.trouble
        if self._told and self._told != told:
            self.ctx.emit("trouble", error=self._told)

    async def _take_pool(self) -> None:
        """What waited before this node came: of the first that gives it."""
        while not self.sync.done:
            await self.ctx.sleep(SECOND)
        for one in self.peers.with_work(0):
            try:
                raws = await self.talks.of(one.id).pool()
                await self.batches.txs(raws)
                return
            except OverlayError:
                continue

    async def publish_block(self, compact: bytes) -> None:
        """One that was mined here."""
        await self.blocks.publish(compact)

    # --- for other applications --------------------------------------------------------------

    async def anchor(self, digest: bytes, tag: bytes) -> bytes:
        """Has these 32 bytes written into the chain, with at most 32 bytes beside them; id of the transaction.

        LocalError if the account has too little."""
        return (await self.wallet.send([Anchor(digest, tag=tag)])).txid

    async def beacon(self, height: int) -> bytes | None:
        """32 bytes that nobody knew before the block of this height; None: fewer than DEEP_REORG blocks stand on it.

        Whoever mines it may throw it away, at the price of a reward, if it does not like them: a bias of one bit."""
        return await self.desk.do("beacon", height)  # type: ignore[no-any-return]

    # --- mining ------------------------------------------------------------------------------

    def _kept_mining(self) -> tuple[How, bool]:
        """As was said last, and whether it mines."""
        saved = self.ctx.storage.get(_MINE)
        if saved is None:
            return How(), False
        *how, mines = cbor.decode(saved)
        return How(*how), mines

    @property
    def how(self) -> How:
        """As was said last, whether it mines now or not."""
        return self._kept_mining()[0]

    @property
    def mines(self) -> bool:
        return self._kept_mining()[1]

    async def mine(self, how: How | None) -> None:
        """From now on, also after a restart. None: no more; how it was done is kept for the next time."""
        if self.light and how is not None:
            raise LocalError("a light node cannot mine: it does not know what an account has")
        self.ctx.storage.put(_MINE, cbor.encode([*attrs.astuple(how or self.how), how is not None]))
        await self.ctx.storage.synced()
        self.mining.set(how)
