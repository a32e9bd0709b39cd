"""Bodies that go by stream: who announced one is asked for it, and another one if he is slow, wrong or gone.

Whoever announces a message has its body. So he is asked at once; another source only if there is no stream to him yet,
or once he brought nothing for half a second, or less than an author may say in that time; never more than three at the
same time. Who does not send what he announced breaks a promise, as with HAVE; so does whoever is so slow that another
body finds no place for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from overlay.errors import LimitError, OverlayError, Refused, RemoteError, TimedOut
from overlay.gossip.awaited import Awaited, Fetch, Source
from overlay.gossip.line import Line
from overlay.gossip.lines import Lines
from overlay.gossip.state import GossipState
from overlay.gossip.topic import Topic
from overlay.limits import (
    BODY_BYTES_PER_AUTHOR_S,
    KEPT_S,
    MAX_AWAITED,
    MAX_AWAITED_BYTES,
    MAX_AWAITED_BYTES_PER_AUTHOR,
    MAX_AWAITED_PER_AUTHOR,
    MAX_BODY_RUNNING,
    MAX_BODY_SOURCES,
)
from overlay.rpc.contact import Contact
from overlay.runtime.group import Group
from overlay.runtime.ports import MS, SECOND
from overlay.streams import End, StreamEnded
from overlay.wire.gossip import Call
from overlay.wire.publication import Publication, body_digest

#: A source that brought nothing for so long is not the only one that is asked.
_PATIENCE_NS = 500 * MS
#: Whoever sends no first part for so long has broken a promise, as with HAVE. On a stream that was there already it is
#: asked once more on a new one: it may have died and come back.
_FIRST_NS = 1500 * MS
#: ... no stream for so long, which is three round trips and CALL, or no further part, for the line may be a slow one.
_STALLED_NS = 3 * SECOND


def _slow_ns(size: int) -> int:
    """An author may say that much in this time. Who takes longer is not the only one that is asked. A body that takes
    `_STALLED_NS` more makes room for another one: after 7.5 s at most, as what found no place is offered for 10 s."""
    return _PATIENCE_NS + size * SECOND // BODY_BYTES_PER_AUTHOR_S


@attrs.define(slots=True, eq=False)
class Fetches:
    state: GossipState
    lines: Lines
    #: Called with each message once its body is there.
    _arrived: Callable[[Awaited, Fetch], object]
    #: By hash and size: of two announcements with the same hash one may lie about the other.
    _fetches: dict[tuple[bytes, int], Fetch] = attrs.Factory(dict)
    #: By id of the message.
    _by_id: dict[bytes, Fetch] = attrs.Factory(dict)

    def __len__(self) -> int:
        """Messages that wait for their body."""
        return len(self._by_id)

    def __contains__(self, known_as: bytes) -> bool:
        return known_as in self._by_id

    @property
    def running(self) -> int:
        """Sources that are being asked."""
        return sum(len(fetch.running) for fetch in self._fetches.values())

    def sizes(self, author: bytes | None = None, *, without: Sequence[Fetch] = ()) -> tuple[int, int]:
        """(messages, bytes) that are awaited, of one author or of all."""
        sizes = [
            one.publication.size
            for fetch in self._fetches.values()
            if fetch not in without
            for one in fetch.messages.values()
            if author in (None, one.publication.author)
        ]
        return len(sizes), sum(sizes)

    def room_for(self, publication: Publication) -> bool:
        """Whether one more may be awaited. Asked before its signature is checked, so nothing makes room yet."""
        return self._in_the_way(publication) is not None

    def begin(self, topic: Topic, publication: Publication, known_as: bytes, sender: Contact) -> None:
        """A message came without its body, and there is `room_for` it."""
        for out in self._in_the_way(publication) or ():
            for source in out.running:
                if self.state.now_ns - source.asked_ns >= _slow_ns(out.size):
                    self._broke(source)
            self._forget(out)
        where = publication.digest, publication.size
        fetch = self._fetches.get(where)
        if fetch is None:
            fetch = self._fetches[where] = Fetch(*where, self.state.now_ns)
        fetch.messages[known_as] = Awaited(known_as, topic, publication)
        self._by_id[known_as] = fetch
        self.more(known_as, sender)

    def more(self, known_as: bytes, sender: Contact) -> bool:
        """It says that it has that message, too. Whether the message is one that waits for its body."""
        fetch = self._by_id.get(known_as)
        if fetch is None:
            return False
        key, awaited = sender.key, fetch.messages[known_as]
        source = fetch.sources.get(key)
        if source is not None and not source.failed:
            return True
        if not self.state.conducts.good(key, self.state.now_ns) or self.state.banned(key):
            return True
        near = key in awaited.topic.mesh or key == awaited.publication.author
        if source is None and len(fetch.sources) >= MAX_BODY_SOURCES:
            out = next((one for one, other in fetch.sources.items() if near and not other.near), None)
            out = out or next((one for one, other in fetch.sources.items() if other.failed), None)
            if out is None:
                return True
            del fetch.sources[out]
        fetch.sources[key] = Source(sender, known_as, near)
        if fetch.task is None:
            fetch.task = self.state.spawn(self._fetch(fetch), f"body of {awaited.topic.name}")
        else:
            fetch.wake()
        return True

    def expire(self) -> None:
        """Nobody keeps them for longer."""
        for fetch in tuple(self._fetches.values()):
            if self.state.now_ns - fetch.since_ns >= KEPT_S * SECOND:
                self._forget(fetch)

    # --- inside -----------------------------------------------------------------------------

    def _in_the_way(self, publication: Publication) -> list[Fetch] | None:
        """Those that make room: for whom nobody is left to be asked, then of those that are late the slowest first.
        None: they are not enough."""
        author, size, now_ns = publication.author, publication.size, self.state.now_ns
        others = [f for f in self._fetches.values() if (f.digest, f.size) != (publication.digest, size)]
        late = [f for f in others if f.task is not None and now_ns - f.since_ns >= _slow_ns(f.size) + _STALLED_NS]
        late.sort(key=lambda f: f.brought * SECOND // (now_ns - f.since_ns))
        able, out = [*(f for f in others if f.task is None), *late], list[Fetch]()
        while True:
            count, total = self.sizes(without=out)
            mine, my_total = self.sizes(author, without=out)
            crowded = count >= MAX_AWAITED or total + size > MAX_AWAITED_BYTES
            mine_crowded = mine >= MAX_AWAITED_PER_AUTHOR or my_total + size > MAX_AWAITED_BYTES_PER_AUTHOR
            if not crowded and not mine_crowded:
                return out
            one = next((f for f in able if f not in out and (crowded or f.is_of(author))), None)
            if one is None:
                return None
            out.append(one)

    def _forget(self, fetch: Fetch) -> None:
        if fetch.task is not None:
            fetch.task.cancel()
        self._fetches.pop((fetch.digest, fetch.size), None)
        for known_as in fetch.messages:
            self._by_id.pop(known_as, None)

    async def _fetch(self, fetch: Fetch) -> None:
        """Until the body is there, or nobody is left who could be asked."""
        try:
            while fetch.body is None and any(not source.asked_ns for source in fetch.sources.values()):
                async with self.state.loop.group(name="body") as group:
                    await self._try(fetch, group)
                    self._judge(fetch)
                    group.cancel()
        finally:
            fetch.task = fetch.news = None
        if fetch.body is not None:
            self._forget(fetch)
            for one in fetch.messages.values():
                self._arrived(one, fetch)

    async def _try(self, fetch: Fetch, group: Group) -> None:
        """Until the body is there, or nobody is being asked."""
        loop = self.state.loop
        while fetch.body is None:
            source = self._next(fetch)
            if source is not None:
                source.asked_ns = source.moved_ns = fetch.moved_ns = self.state.now_ns
                source.running = True
                group.spawn(self._attempt(fetch, source), name=f"body from {source.contact.address}")
            elif not fetch.running:
                return
            fetch.news = loop.future()
            with loop.move_on_after(_PATIENCE_NS):
                await fetch.news

    def _next(self, fetch: Fetch) -> Source | None:
        """Who is asked now, beside those who are: who kept what it promised, then to whom a stream is there, then the
        near ones, then the first. Who is reached at once is also asked as long as nobody else is reached."""
        now_ns, running = self.state.now_ns, fetch.running
        waiting = [source for source in fetch.sources.values() if not source.asked_ns]
        if len(running) >= MAX_BODY_RUNNING:
            return None
        if running:
            slow = now_ns - running[0].asked_ns >= _slow_ns(fetch.size)
            moves = now_ns - fetch.moved_ns < _PATIENCE_NS and not slow
            if moves and any(source.reached for source in running):
                return None
            if moves:
                waiting = [source for source in waiting if self._has_line(source)]
        broken = self.state.conducts.broken
        return min(
            waiting, key=lambda one: (broken(one.contact.key), not self._has_line(one), not one.near), default=None
        )

    def _has_line(self, source: Source) -> bool:
        return self.lines.live(source.contact.key) is not None

    async def _attempt(self, fetch: Fetch, source: Source) -> None:
        key = source.contact.key
        try:
            body = await self._receive(fetch, source)
            if body_digest(body) != fetch.digest:
                raise RemoteError("a body with another hash than was asked for")
            fetch.body, fetch.by = body, key
        except OverlayError as error:
            source.failed = True
            match error:
                case RemoteError():
                    self.state.count("wrong body")
                    self.state.blame(key)
                case LimitError() | Refused() | StreamEnded(end=End.BUSY):
                    self.state.count("body refused")
                case _:
                    self._broke(source)
        finally:
            source.running = False
            fetch.wake()

    async def _receive(self, fetch: Fetch, source: Source) -> bytes:
        """Twice, if the stream that was there already is one of an earlier life of that peer."""
        began_ns = self.state.now_ns
        for again in (True, False):
            with self.state.loop.fail_after(_STALLED_NS):
                line = await self.lines.reach(source.contact, self._call(fetch, source))
            assert line is not None
            again = again and line.opened_ns < began_ns
            source.reached, source.asked_ns, source.moved_ns = True, self.state.now_ns, self.state.now_ns
            try:
                return await self._over(line, fetch, source)
            except (StreamEnded, TimedOut):
                if source.brought or not again:
                    raise
                if line.heard_ns < source.asked_ns:
                    line.stream.finish(End.SILENT, "it sends nothing of what it was asked for")
        raise AssertionError("the second time is the last")

    async def _over(self, line: Line, fetch: Fetch, source: Source) -> bytes:
        loop, asked = self.state.loop, None
        try:
            with loop.fail_after(_FIRST_NS):
                asked = await line.ask(fetch.digest, fetch.size)
                await asked.more()
            assert asked is not None  # the scope above raises if it is cut short
            while True:
                source.brought, source.moved_ns = asked.got, self.state.now_ns
                fetch.moved_ns = self.state.now_ns
                if asked.whole:
                    return b"".join(asked.parts)
                with loop.fail_after(_STALLED_NS):
                    await asked.more()
        finally:
            if asked is not None:
                asked.give_up()

    def _call(self, fetch: Fetch, source: Source) -> Call:
        return Call(fetch.messages[source.known_as].topic.key, source.known_as)

    def _judge(self, fetch: Fetch) -> None:
        """Whoever was asked in vain before the one who brought it. A new stream has its time."""
        for source in fetch.running:
            chance_ns = _PATIENCE_NS if source.reached else _STALLED_NS // 2
            if self.state.now_ns - source.moved_ns >= chance_ns:
                self._broke(source)
        if fetch.by:
            self.state.conducts.kept(fetch.by)

    def _broke(self, source: Source) -> None:
        source.failed = True
        self.state.count("body not sent")
        self.state.conducts.broke(source.contact.key, self.state.now_ns)
