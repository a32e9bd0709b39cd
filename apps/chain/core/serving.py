"""Answers to the questions of other peers, on the streams that they open."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from apps.chain.core.desk import Desk
from apps.chain.core.limits import ANSWER_S, HEADERS_PER_MESSAGE, MAX_PART, MAX_SERVED, MAX_SERVED_PER_PEER
from apps.chain.core.peers import Peers
from apps.chain.core.wire import (
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
    Standing,
    Txs,
    decode_question,
    decode_where,
    encode_answer,
    encode_standing,
)
from overlay.app import AppContext
from overlay.errors import BadMessage, LocalError, Refused, TimedOut
from overlay.runtime.ports import SECOND
from overlay.streams import Stream

#: A stream on which nothing is asked for so long is closed: its place may be another's.
_IDLE_NS = 6 * ANSWER_S * SECOND


@attrs.define(slots=True, eq=False)
class Serving:
    ctx: AppContext
    desk: Desk
    peers: Peers
    #: Called with a peer that says where it is.
    on_told: Callable[[bytes, Standing], object]
    #: Streams by peer.
    _served: dict[bytes, int] = attrs.field(factory=dict, init=False)

    def standing(self) -> Standing:
        s = self.desk.summary
        return Standing(s.height, s.tip, s.work, s.mark_height, s.mark, s.digest, s.light, s.kept_from)

    async def on_request(self, peer: bytes, body: bytes) -> bytes:
        if self.peers.is_barred(peer):
            raise Refused("barred")
        try:
            said = decode_where(body)
        except BadMessage as error:
            raise Refused(error.reason) from None
        self.peers.heard_of(peer)
        if said is not None:
            self.on_told(peer, said)
        return encode_standing(self.standing())

    async def on_stream(self, stream: Stream) -> None:
        peer = stream.peer
        if self.peers.is_barred(peer):
            raise Refused("barred")
        if self._served.get(peer, 0) >= MAX_SERVED_PER_PEER or sum(self._served.values()) >= MAX_SERVED:
            raise Refused("no room")
        self._served[peer] = self._served.get(peer, 0) + 1
        try:
            await self._talk(stream)
        finally:
            self._served[peer] -= 1
            if not self._served[peer]:
                del self._served[peer]

    async def _talk(self, stream: Stream) -> None:
        while True:
            try:
                with self.ctx.dht.loop.fail_after(_IDLE_NS):
                    raw = await stream.receive()
            except TimedOut:
                return
            try:
                question = decode_question(raw)
            except BadMessage as error:
                self.peers.bar(stream.peer, f"a question: {error.reason}")
                raise Refused(error.reason) from None
            try:
                await self._answer(stream, question)
            except LocalError as error:  # our disk: nobody is to blame
                raise Refused(f"not now: {error}") from None

    async def _answer(self, stream: Stream, question: Question) -> None:
        match question:
            case AskBodies(blocks):
                for block in blocks:
                    await self._send_parts(stream, await self.desk.serve("body", block) or b"")
            case AskProof(of):
                await self._send_parts(stream, await self.desk.serve("proof", of) or b"")
            case _:
                await stream.send(encode_answer(await self._single(question)))

    async def _single(self, question: AskHeaders | AskTxs | AskPool | AskAccount) -> Answer:
        match question:
            case AskHeaders(locator):
                headers = await self.desk.serve("after", locator)
                return Headers(tuple(headers), len(headers) < HEADERS_PER_MESSAGE)
            case AskTxs(block, indexes):
                return Txs(tuple(await self.desk.serve("txs_at", block, indexes)))
            case AskPool():
                return Txs(tuple(await self.desk.serve("best_txs")))
            case AskAccount(key):
                balance, nonce, _, _ = await self.desk.serve("account", key)
                return AccountIs(balance, nonce, self.desk.summary.height)

    async def _send_parts(self, stream: Stream, data: bytes) -> None:
        for part in _parts(data):
            await stream.send(encode_answer(part))


def _parts(data: bytes) -> Iterator[Part]:
    for at in range(0, max(1, len(data)), MAX_PART):
        yield Part(at + MAX_PART < len(data), data[at : at + MAX_PART])
