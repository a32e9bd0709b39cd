"""Whom of the routing table to ping next, and when."""

from __future__ import annotations

import heapq

from overlay.dht.bucket import Entry
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

#: A healthy contact is pinged after a minute of silence, or later if the table is large: upkeep
#: never costs more than one ping in KEEPALIVE_PER_CONTACT.
KEEPALIVE_NS = 60 * SECOND
KEEPALIVE_PER_CONTACT_NS = 2 * SECOND
#: A failing contact is pinged again after 1, 2, 4, 8, 10, 10, ... seconds for five minutes (a cable
#: that is plugged in again heals within 10 s), then once a minute.
RETRY_NS = SECOND
RETRY_MAX_NS = 10 * SECOND
RETRY_EAGER_NS = 300 * SECOND
RETRY_LATE_NS = 60 * SECOND
#: A contact named by `due` is not named again before this: its ping is under way.
PING_GUARD_NS = 10 * SECOND


class PingQueue:
    """A heap with one current item an entry (`Entry.queued_ns`); it may be earlier than `Entry.due_ns`,
    so that putting a ping off, which every answer does, costs no heap operation."""

    __slots__ = ("_heap", "_rng", "_serial")

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._serial = 0
        self._heap: list[tuple[int, int, Entry]] = []

    def postpone(self, entry: Entry, now_ns: int, table_size: int) -> None:
        """It is well: ping it after the keep-alive interval, within a quarter so that pings spread."""
        interval = max(KEEPALIVE_NS, table_size * KEEPALIVE_PER_CONTACT_NS)
        self.schedule(entry, now_ns + interval - interval // 4 + (self._rng.below(1 << 16) * (interval // 2) >> 16))

    def retry(self, entry: Entry, now_ns: int) -> None:
        """It failed: ping it again after a growing wait."""
        if now_ns - entry.failing_since_ns >= RETRY_EAGER_NS:
            wait = RETRY_LATE_NS
        else:
            wait = min(RETRY_NS << min(entry.failures - 1, 8), RETRY_MAX_NS)
        self.schedule(entry, now_ns + wait)

    def guard(self, entry: Entry, now_ns: int) -> None:
        """Its ping is under way."""
        self.schedule(entry, max(entry.due_ns, now_ns + PING_GUARD_NS))

    def schedule(self, entry: Entry, due_ns: int) -> None:
        entry.due_ns = due_ns
        if 0 <= entry.queued_ns <= due_ns:
            return  # it is looked at earlier anyway, and then again at due_ns
        self._push(entry)
        if len(self._heap) > 64 and self._serial % 64 == 0:  # now and then: superseded items go
            self._heap = [item for item in self._heap if item[2].queued_ns == item[0]]
            heapq.heapify(self._heap)

    def due(self, now_ns: int) -> Contact | None:
        """Somebody whose ping is due; it will not be named again while that is under way."""
        due_ns = self.earliest_ns()
        if due_ns is None or due_ns > now_ns:
            return None
        entry = self._heap[0][2]
        entry.due_ns = now_ns + PING_GUARD_NS
        return entry.contact

    def earliest_ns(self) -> int | None:
        heap = self._heap
        while heap:
            time_ns, _, entry = heap[0]
            if entry.queued_ns == time_ns and entry.due_ns <= time_ns:
                return time_ns
            heapq.heappop(heap)
            if entry.queued_ns == time_ns:
                self._push(entry)
            # else superseded by an earlier item, or it left the table
        return None

    def _push(self, entry: Entry) -> None:
        self._serial += 1
        entry.queued_ns = entry.due_ns
        heapq.heappush(self._heap, (entry.due_ns, self._serial, entry))
