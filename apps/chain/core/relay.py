"""What is published: own transactions, blocks that were mined here, and what others publish of theirs.

Transactions travel whole and not as ids that are asked for (`inv`): the overlay brings a message to every subscriber
once, on trees that are there anyhow, and an id of 32 bytes would cost as many datagrams as the 200 bytes that it stands
for, and then one question to the author from each of them. Several of half a second share one message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from apps.chain.core.batches import Batches
from apps.chain.core.desk import Desk
from apps.chain.core.following import Tell
from apps.chain.core.limits import (
    DEAF_S,
    HEAD_BYTES,
    MAX_INVALID_TXS_PER_MINUTE,
    MAX_METERED_AUTHORS,
    MAX_PARTIAL,
    MAX_PUBLISHED_TXS,
)
from apps.chain.core.news import Told, unpack
from apps.chain.core.outcome import Verdict
from apps.chain.core.peers import Peers
from apps.chain.core.talk import Talks
from apps.chain.core.wire import blocks_topic, decode_txs, encode_txs, txs_topic
from overlay.app import AppContext
from overlay.errors import BadMessage, LimitError, LocalError, OverlayError
from overlay.gossip.topic import Delivered
from overlay.runtime.ports import SECOND
from overlay.wire.publication import room_for

#: Own transactions wait so long for others to travel with.
_BATCH_NS = SECOND // 2
_MINUTE_NS = 60 * SECOND
#: With so many messages one that goes by stream is cheaper.
_MANY_MESSAGES = 8


@attrs.define(slots=True, eq=False)
class _Conduct:
    """Of one author: invalid transactions of the last minute, and until when it is not listened to."""

    since_ns: int
    invalid: int = 0
    deaf_until_ns: int = 0


@attrs.define(slots=True, eq=False)
class TxRelay:
    ctx: AppContext
    batches: Batches
    peers: Peers
    chain_id: bytes
    _queue: dict[bytes, None] = attrs.field(factory=dict, init=False)
    _sending: bool = attrs.field(default=False, init=False)
    #: By author; who was heard of longest ago is forgotten first.
    _conduct: dict[bytes, _Conduct] = attrs.field(factory=dict, init=False)

    def publish(self, raw: bytes) -> None:
        """Soon, with others."""
        if len(self._queue) < MAX_PUBLISHED_TXS:
            self._queue[raw] = None
        if not self._sending:
            self._sending = True
            self.ctx.spawn(self._send(), name="transactions")

    async def _send(self) -> None:
        await self.ctx.sleep(_BATCH_NS)
        raws, self._queue, self._sending = list(self._queue), {}, False
        topic = txs_topic(self.chain_id)
        for body in bundled(raws, room_for(topic)):
            try:
                await self.ctx.publish(topic, body)
            except LimitError as error:  # others would not take more of us now; the wallet says them again
                self.ctx.emit("not published", error=str(error))
                return

    async def run(self) -> None:
        subscription = self.ctx.subscribe(txs_topic(self.chain_id))
        async for first in subscription:
            delivered = [first]
            while len(subscription) and len(delivered) < _MANY_MESSAGES:
                delivered.append(await anext(subscription))
            try:
                await self.take([one for one in delivered if one.author_id != self.ctx.id])
            except LocalError as error:
                self.ctx.emit("trouble", error=str(error))

    async def take(self, delivered: Sequence[Delivered]) -> None:
        raws: dict[bytes, bytes] = {}
        for one in delivered:
            if self.peers.is_barred(one.author_id) or self._is_deaf_to(one.author_id):
                continue
            try:
                raws |= dict.fromkeys(decode_txs(one.body), one.author_id)
            except BadMessage as error:
                self.peers.bar(one.author_id, f"transactions: {error.reason}")
        if not raws:
            return
        told = await self.batches.txs(list(raws))
        for (entry, txid, rule, why, blamed), author in zip(told, raws.values(), strict=True):
            if blamed:
                self._count_invalid(author, f"{rule}: {why}")
            elif entry in ("added", "gap"):
                self.ctx.emit("tx", tx=txid, entry=entry)

    def _is_deaf_to(self, author: bytes) -> bool:
        found = self._conduct.get(author)
        return found is not None and found.deaf_until_ns > self.ctx.now.mono_ns

    def _count_invalid(self, author: bytes, why: str) -> None:
        now_ns = self.ctx.now.mono_ns
        found = self._conduct.pop(author, None) or _Conduct(now_ns)
        if now_ns - found.since_ns > _MINUTE_NS:
            found.since_ns, found.invalid = now_ns, 0
        found.invalid += 1
        if found.invalid >= MAX_INVALID_TXS_PER_MINUTE and found.deaf_until_ns <= now_ns:
            found.deaf_until_ns = now_ns + DEAF_S * SECOND
            self.ctx.emit("deaf", peer=author, reason=f"{found.invalid} invalid transactions in a minute: {why}")
        while len(self._conduct) >= MAX_METERED_AUTHORS:
            del self._conduct[next(iter(self._conduct))]
        self._conduct[author] = found


def bundled(raws: Sequence[bytes], room: int) -> list[bytes]:
    """Bodies of messages: of datagrams, as full as they may be, or one that goes by stream if these would be many."""
    bodies: list[bytes] = []
    bundle: list[bytes] = []
    size = HEAD_BYTES
    for raw in raws:
        if bundle and size + HEAD_BYTES + len(raw) > room:
            bodies.append(encode_txs(bundle))
            bundle, size = [], HEAD_BYTES
        bundle.append(raw)
        size += HEAD_BYTES + len(raw)
    if bundle:
        bodies.append(encode_txs(bundle))
    return [encode_txs(raws)] if len(bodies) > _MANY_MESSAGES else bodies


@attrs.define(slots=True, eq=False)
class BlockRelay:
    ctx: AppContext
    desk: Desk
    batches: Batches
    peers: Peers
    talks: Talks
    tell: Tell
    #: Called with a peer that has what does not fit to what is here.
    on_orphan: Callable[[bytes], object]
    chain_id: bytes
    #: Blocks whose missing transactions are being asked for.
    _filling: dict[bytes, None] = attrs.field(factory=dict, init=False)

    async def publish(self, compact: bytes) -> None:
        try:
            await self.ctx.publish(blocks_topic(self.chain_id), compact)
        except LimitError as error:
            self.ctx.emit("not published", error=str(error))

    async def run(self) -> None:
        async for delivered in self.ctx.subscribe(blocks_topic(self.chain_id)):
            if delivered.author_id == self.ctx.id or self.peers.is_barred(delivered.author_id):
                continue
            try:
                await self.take(delivered.body, delivered.author_id)
            except LocalError as error:
                self.ctx.emit("trouble", error=str(error))

    async def take(self, compact: bytes, author: bytes) -> None:
        """A compact block that its author signed."""
        self.peers.heard_of(author)
        packed, block, missing = await self.desk.do("compact", compact, author, self.batches.now_ms)
        told = unpack(packed)
        self.tell(told, author)
        if told[0].verdict is Verdict.ORPHAN:
            self.on_orphan(author)
        elif missing and block not in self._filling and len(self._filling) < MAX_PARTIAL:
            self._filling[block] = None
            self.ctx.spawn(self._fill(block, missing, author), name="block")

    async def _fill(self, block: bytes, missing: Sequence[int], author: bytes) -> None:
        try:
            if not await self._filled(block, missing, author):
                await self._fetched(block, author)
        except LocalError as error:
            self.ctx.emit("trouble", error=str(error))
        finally:
            del self._filling[block]

    async def _filled(self, block: bytes, missing: Sequence[int], author: bytes) -> bool:
        """Whether the missing transactions came and made the block."""
        try:
            txs = await self.talks.of(author).txs(block, missing)
        except BadMessage as error:
            self.peers.bar(author, f"transactions of a block: {error.reason}")
            return False
        except OverlayError:
            return False
        told = await self.batches.fill(block, txs, author) if txs else None
        if told is not None:
            self.tell(told, author)
        return told is not None

    async def _fetched(self, block: bytes, author: bytes) -> None:
        """The whole body, of its author or, if that fails, of whom a sync finds."""
        bodies: list[bytes] = []
        if not self.peers.is_barred(author):
            try:
                await self.talks.of(author).bodies([block], lambda _, body: bodies.append(body))
            except BadMessage as error:
                self.peers.bar(author, f"a body: {error.reason}")
            except OverlayError:
                pass
        told: list[Told] = []
        if bodies and bodies[0]:
            [told] = await self.batches.blocks(bodies, [author])
            self.tell(told, author)
            if told[0].block not in (block, b""):
                self.peers.bar(author, "it gave another block than it was asked for")
                told = []
        if not told or told[0].bad:
            self.on_orphan(b"")
