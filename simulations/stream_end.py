"""One side of a stream: what it sends, what it gets, and how far that is."""

from __future__ import annotations

from collections import deque

import attrs

from overlay.runtime.address import Address
from simulations.host import Host


@attrs.define(slots=True, eq=False)
class End:
    """One side of a stream."""

    host: Host
    life: int
    id: int
    #: Whom this side sees at the other end.
    peer: Address
    other: End | None = None
    #: No way through since then.
    stuck_ns: int | None = None
    #: Its machine has another address now: nothing of this stream gets through any more.
    moved: bool = False
    over: bool = False
    #: The peer closed it: what it sent is still carried.
    closing: bool = False
    # What it sends: waits for window and line; is under way or not given; when the last piece arrives.
    unsent: deque[bytes] = attrs.Factory(deque)
    on_way: int = 0
    #: A piece passes the line, or the stream is not connected yet.
    busy: bool = False
    arrives_ns: int = 0
    # What it gets: pieces that have no way through; bytes that wait for a grant; None is the end.
    outside: deque[bytes | None] = attrs.Factory(deque)
    arrived: deque[bytes | None] = attrs.Factory(deque)
    granted: int = 0

    def take(self, most: int) -> bytes:
        """The first bytes that wait to be sent, at most `most` of them."""
        chunks = self.unsent
        head = chunks.popleft()
        if len(head) > most:
            chunks.appendleft(head[most:])
            return head[:most]
        if not chunks or len(head) + len(chunks[0]) > most:
            return head
        parts, size = [head], len(head)
        while chunks and size + len(chunks[0]) <= most:
            size += len(chunks[0])
            parts.append(chunks.popleft())
        return b"".join(parts)

    def give(self) -> bytes:
        """The first bytes that arrived, as many as are granted."""
        pieces: list[bytes] = []
        while self.arrived and self.granted and (head := self.arrived[0]) is not None:
            if len(head) > self.granted:
                self.arrived[0], head = head[self.granted :], head[: self.granted]
            else:
                self.arrived.popleft()
            self.granted -= len(head)
            pieces.append(head)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def ended(self) -> bool:
        """All was given, and the other side sends no more."""
        return bool(self.arrived) and self.arrived[0] is None
