"""The access line of a node: so many bytes a second, and a queue that is not endless."""

from __future__ import annotations

from typing import Final

import attrs

from overlay.runtime.ports import SECOND

#: IPv4 and UDP, on the line with every datagram.
HEADERS: Final = 28


@attrs.define(slots=True, eq=False)
class Pipe:
    """One direction. What comes while `queue_ns` of work is waiting is lost, as at a router's tail-drop queue.

    Streams keep half of the queue filled if they have enough to send: TCP that backs off when the queue is full lets it
    swing between little and all. The rest of what they have waits at their senders, and datagrams overtake it; what
    they take so is added to what streams send later.
    """

    bytes_per_s: int
    queue_ns: int
    #: When all that it was given has passed.
    free_ns: int = 0
    #: When the last datagram has passed.
    _last_ns: int = 0

    def take(self, size: int, now_ns: int) -> int | None:
        """How long a datagram takes until its last byte has passed, in ns; None: lost."""
        begin_ns = max(now_ns, self._last_ns, min(self.free_ns, now_ns + self.queue_ns // 2))
        if begin_ns - now_ns > self.queue_ns:
            return None
        takes_ns = (size + HEADERS) * SECOND // self.bytes_per_s
        self.free_ns = max(now_ns, self.free_ns) + takes_ns
        self._last_ns = begin_ns + takes_ns
        return self._last_ns - now_ns

    def carry(self, size: int, now_ns: int) -> int:
        """The same for a piece of a stream, whose sender waits instead: when it has passed."""
        self.free_ns = max(now_ns, self.free_ns) + size * SECOND // self.bytes_per_s
        return self.free_ns
