"""Questions to one peer, one after another on a stream that is kept for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs

from apps.chain.core.limits import ANSWER_S, EACH_ANSWER_S, LEAST_BYTES_A_S, MAX_BLOCK_BYTES
from apps.chain.core.wire import (
    PROTOCOL,
    AccountIs,
    Answer,
    AskAccount,
    AskBodies,
    AskHeaders,
    AskPool,
    AskProof,
    AskTxs,
    Headers,
    Part,
    Question,
    Txs,
    decode_answer,
    encode_question,
)
from overlay.app import AppContext
from overlay.errors import BadMessage
from overlay.runtime.loop import CancelScope
from overlay.runtime.ports import SECOND
from overlay.runtime.queue import Queue
from overlay.streams import Stream, StreamEnded

#: A stream that was not needed for so long is closed.
IDLE_NS = 60 * SECOND


@attrs.define(slots=True, eq=False)
class _Patience:
    """Until when all that is asked for is waited for, whatever comes of it meanwhile: drops keep nobody waiting."""

    ctx: AppContext
    until_ns: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.until_ns = self.ctx.now.mono_ns + ANSWER_S * SECOND

    def scope(self) -> CancelScope:
        """TimedOut, once it is over."""
        return self.ctx.dht.loop.fail_after(max(0, self.until_ns - self.ctx.now.mono_ns))


@attrs.define(slots=True, eq=False)
class Talk:
    """TimedOut, StreamEnded, NotFound, Refused: there is no answer. BadMessage: a wrong one. Either way the stream is
    over, since what comes later could be taken for the answer to something else."""

    ctx: AppContext
    peer: bytes
    stream: Stream | None = None
    used_ns: int = 0
    #: Holds one item while somebody asks.
    _turn: Queue[None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._turn = Queue(self.ctx.dht.loop, 1)

    async def headers(self, locator: Sequence[bytes]) -> Headers:
        async with self._asked(AskHeaders(tuple(locator))) as stream:
            answer = await self._answer(stream, _Patience(self.ctx))
        if not isinstance(answer, Headers):
            raise BadMessage("asked for headers, it answered something else")
        return answer

    async def bodies(self, blocks: Sequence[bytes], take: Callable[[bytes, bytes], object]) -> None:
        """`take(block, body)` for one after another; an empty one is not there."""
        async with self._asked(AskBodies(tuple(blocks))) as stream:
            patience = _Patience(self.ctx)
            for block in blocks:
                take(block, await self._whole(stream, patience))
                patience.until_ns += EACH_ANSWER_S * SECOND

    async def txs(self, block: bytes, indexes: Sequence[int]) -> tuple[bytes, ...]:
        """() if it has not got the block, or they are too long for one answer."""
        async with self._asked(AskTxs(block, tuple(indexes))) as stream:
            answer = await self._answer(stream, _Patience(self.ctx))
        if not isinstance(answer, Txs) or len(answer.txs) not in (0, len(indexes)):
            raise BadMessage(f"asked for {len(indexes)} transactions, it answered something else")
        return answer.txs

    async def pool(self) -> tuple[bytes, ...]:
        async with self._asked(AskPool()) as stream:
            answer = await self._answer(stream, _Patience(self.ctx))
        if not isinstance(answer, Txs):
            raise BadMessage("asked for what waits, it answered something else")
        return answer.txs

    async def proof(self, of: bytes) -> bytes:
        """Empty: it knows of nothing."""
        async with self._asked(AskProof(of)) as stream:
            return await self._whole(stream, _Patience(self.ctx))

    async def account(self, key: bytes) -> AccountIs:
        async with self._asked(AskAccount(key)) as stream:
            answer = await self._answer(stream, _Patience(self.ctx))
        if not isinstance(answer, AccountIs):
            raise BadMessage("asked for an account, it answered something else")
        return answer

    def close(self, reason: str) -> None:
        if self.stream is not None:
            self.stream.close(reason)
            self.stream = None

    @property
    def idle(self) -> bool:
        """Nobody asks, nor did for a while."""
        return not len(self._turn) and self.ctx.now.mono_ns - self.used_ns > IDLE_NS

    @asynccontextmanager
    async def _asked(self, question: Question) -> AsyncIterator[Stream]:
        await self._turn.put(None)
        try:
            stream = await self._send(encode_question(question))
            yield stream
        except BaseException:
            self.close("an answer did not come, or was wrong")
            raise
        finally:
            self.used_ns = self.ctx.now.mono_ns
            self._turn.get_nowait()

    async def _send(self, question: bytes) -> Stream:
        if self.stream is not None:
            try:
                with _Patience(self.ctx).scope():
                    await self.stream.send(question)
                return self.stream
            except StreamEnded:  # it was not needed for a while
                self.stream = None
        stream: Stream | None = None
        with _Patience(self.ctx).scope():
            stream = self.stream = await self.ctx.connect(self.peer, protocol=PROTOCOL)
            await stream.send(question)
        assert stream is not None  # else it raised
        return stream

    async def _answer(self, stream: Stream, patience: _Patience) -> Answer:
        raw = b""
        with patience.scope():
            raw = await stream.receive()
        return decode_answer(raw)

    async def _whole(self, stream: Stream, patience: _Patience) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            part = await self._answer(stream, patience)
            if not isinstance(part, Part):
                raise BadMessage("asked for bytes, it answered something else")
            patience.until_ns += len(part.data) * SECOND // LEAST_BYTES_A_S
            parts.append(part.data)
            size += len(part.data)
            if size > MAX_BLOCK_BYTES:
                raise BadMessage(f"more than {MAX_BLOCK_BYTES} bytes, of what never has so many")
            if not part.more:
                return b"".join(parts)


@attrs.define(slots=True, eq=False)
class Talks:
    """By peer."""

    ctx: AppContext
    _talks: dict[bytes, Talk] = attrs.field(factory=dict, init=False)

    def of(self, peer: bytes) -> Talk:
        found = self._talks.get(peer)
        if found is None:
            found = self._talks[peer] = Talk(self.ctx, peer, used_ns=self.ctx.now.mono_ns)
        return found

    def end(self, peer: bytes) -> None:
        if talk := self._talks.pop(peer, None):
            talk.close("barred")

    def tidy(self) -> None:
        """Streams that nobody needs are closed."""
        for peer, talk in list(self._talks.items()):
            if talk.idle:
                talk.close("not needed")
                del self._talks[peer]

    def __len__(self) -> int:
        return len(self._talks)
