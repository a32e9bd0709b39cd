"""Streams of gossip: one with each neighbour, opened when a body is first wanted, closed when none was for a while.

A peer that cannot be reached by stream may be one that reaches us: it is asked to (CALL), and whichever stream comes
first is used, both ways.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from overlay.errors import LimitError, OverlayError
from overlay.gossip.line import Line
from overlay.gossip.state import GossipState
from overlay.limits import MAX_BODY_DIALS, MAX_BODY_STREAMS
from overlay.rpc.contact import Contact
from overlay.runtime.future import Future
from overlay.runtime.ports import MS, SECOND
from overlay.streams import End, Stream, StreamEnded
from overlay.wire.bodies import PROTOCOL
from overlay.wire.gossip import Call
from overlay.wire.registry import BodyRefusal

#: Blocks of a chain come once in seconds or minutes, and a new stream costs three round trips.
_IDLE_NS = 180 * SECOND
#: What was just used does not make room, even if nobody waits on it.
_FRESH_NS = 5 * SECOND
#: A stream within two seconds' reach is there by then; the other side may be faster.
_CALL_NS = 500 * MS


@attrs.define(slots=True, eq=False)
class Lines:
    state: GossipState
    #: Called when there is something to `expire`.
    _tend: Callable[[], object]
    #: By key; two, if both sides opened one at the same time.
    _lines: dict[bytes, list[Line]] = attrs.Factory(dict)
    _dialling: dict[bytes, None] = attrs.Factory(dict)
    #: By key: set with the line that comes, or with None if ours could not be opened.
    _coming: dict[bytes, Future[Line | None]] = attrs.Factory(dict)

    def __attrs_post_init__(self) -> None:
        self.state.streams.serve(PROTOCOL, self._taken)

    def __len__(self) -> int:
        """Streams that are there or being opened."""
        return sum(line.live for lines in self._lines.values() for line in lines) + len(self._dialling)

    @property
    def serving(self) -> int:
        """Tasks that send bodies."""
        return sum(line.serving for lines in self._lines.values() for line in lines)

    def live(self, key: bytes) -> Line | None:
        return next((line for line in reversed(self._lines.get(key, ())) if line.live), None)

    async def reach(self, contact: Contact, call: Call) -> Line:
        """A stream with that peer, whoever opens it. Waits for ever; LimitError if there are too many."""
        key = contact.key
        line = self.live(key)
        if line is not None:
            return line
        self.dial(contact)
        with self.state.loop.move_on_after(_CALL_NS):
            line = await self._next(key)
        if line is None:
            self.state.ask(contact, call, lambda _who, _answer: None, lambda: None)
        while line is None:
            line = await self._next(key)
        return line

    def dial(self, contact: Contact) -> None:
        """Open a stream, unless one is there or on its way. LimitError."""
        key = contact.key
        if key in self._dialling or self.live(key) is not None:
            return
        if len(self._dialling) >= MAX_BODY_DIALS or not self._room():
            raise LimitError(f"{MAX_BODY_STREAMS} streams of gossip are in use, or {MAX_BODY_DIALS} being opened")
        self._dialling[key] = None
        self.state.spawn(self._dial(contact), f"gossip with {contact.address}")

    def warm(self, members: Iterable[Contact]) -> None:
        """More bodies may come in this mesh: have a stream between each two members, opened by one of them."""
        for contact in members:
            spare = len(self) < MAX_BODY_STREAMS // 2 and len(self._dialling) < MAX_BODY_DIALS // 2
            if spare and contact.key > self.state.endpoint.signer.key and not self.state.banned(contact.key):
                self.dial(contact)

    def expire(self) -> None:
        """Close those that nobody needed lately, and those of whom is banned."""
        for key, lines in self._lines.items():
            for line in lines:
                if self.state.banned(key):
                    line.stream.finish(End.REFUSED, "this node does not deal with that peer")
                elif line.idle and self.state.now_ns - line.used_ns >= _IDLE_NS:
                    line.stream.close("no body was asked for lately")

    # --- inside -----------------------------------------------------------------------------

    async def _next(self, key: bytes) -> Line | None:
        coming = self._coming.get(key)
        if coming is None:
            coming = self._coming[key] = self.state.loop.future()
        try:
            return await coming
        finally:
            if not coming.awaited and self._coming.get(key) is coming:
                del self._coming[key]

    def _came(self, key: bytes, line: Line | None) -> None:
        coming = self._coming.pop(key, None)
        if coming is not None:
            coming.set(line)

    async def _dial(self, contact: Contact) -> None:
        addresses = [contact.address, *self.state.endpoint.peers.addresses_of(contact.id)]
        try:
            stream = await self.state.streams.open(contact.id, addresses, PROTOCOL)
        except OverlayError:
            self.state.count("no stream")
            self._came(contact.key, None)
            return
        finally:
            del self._dialling[contact.key]
        await self._attend(stream)

    def _taken(self, stream: Stream) -> None:
        """Another peer opened it."""
        if not self._room():
            return stream.finish(End.BUSY, "enough streams of gossip are open")
        self.state.spawn(self._attend(stream), f"gossip with {stream.address}")
        return None

    async def _attend(self, stream: Stream) -> None:
        key, line = stream.key, Line(self.state.loop, stream, self.state.now_ns)
        self._lines.setdefault(key, []).append(line)
        self._came(key, line)
        self._tend()
        try:
            await line.read(self._on_ask)
        finally:
            self._lines[key].remove(line)
            if not self._lines[key]:
                del self._lines[key]

    def _on_ask(self, line: Line) -> None:
        if not line.serving:
            line.serving = True
            self.state.spawn(self._serve(line), f"gossip to {line.stream.address}")

    async def _serve(self, line: Line) -> None:
        try:
            while line.queue:
                ask = line.queue.popleft()
                await line.answer(ask, self._found(line.stream.key, ask.digest))
        except StreamEnded:
            pass
        finally:
            line.serving = False

    def _found(self, key: bytes, digest: bytes) -> bytes | BodyRefusal:
        held = self.state.bodies.get(digest)
        if held is None:
            return BodyRefusal.NOT_HERE
        if self.state.banned(key) or not held.give(key):
            return BodyRefusal.NOT_NOW
        return held.body

    def _room(self) -> bool:
        """Of the idle ones a stranger's goes first, then what is unused for longest."""
        if len(self) < MAX_BODY_STREAMS:
            return True
        now_ns, topics = self.state.now_ns, self.state.topics.values()
        idle = [
            (near, line.used_ns, line)
            for key, lines in self._lines.items()
            for near in (any(topic.concerns(key) for topic in topics),)
            for line in lines
            if line.idle and not (near and now_ns - line.used_ns < _FRESH_NS)
        ]
        if not idle:
            return False
        min(idle, key=lambda one: one[:2])[2].stream.finish(End.BUSY, "it made room for another one")
        return True
