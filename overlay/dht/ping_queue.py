"""Whom of the routing table to ping next, and when."""

from __future__ import annotations

from collections.abc import Mapping

from overlay.dht.bucket import Entry
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

#: A healthy contact is pinged after a minute of silence, or later if the table is large: upkeep
#: never costs more than one ping in KEEPALIVE_PER_CONTACT. A full table of a network of 1,000 is gone through in
#: 9 minutes (BEP 5 takes a node for good that was heard of within 15).
KEEPALIVE_NS = 60 * SECOND
KEEPALIVE_PER_CONTACT_NS = 4 * SECOND
#: A failing contact is pinged again after 1, 2, 4, 8, 10, 10, ... seconds for five minutes (a cable
#: that is plugged in again heals within 10 s), then once a minute.
RETRY_NS = SECOND
RETRY_MAX_NS = 10 * SECOND
RETRY_EAGER_NS = 300 * SECOND
RETRY_LATE_NS = 60 * SECOND
#: ... but all failing contacts together not more often than this: if most of a table seem silent, it is we who are
#: cut off, or a machine that is too busy to hear them, and more pings would keep it so.
RETRY_PER_SILENT_NS = SECOND // 4
_NEVER_NS = 1 << 63
#: A contact named by `due` is not named again before this: its ping is under way.
PING_GUARD_NS = 10 * SECOND


class PingQueue:
    """No queue but a look at all members, as seldom as once a ping: a heap of them would hold twice as many items and
    be touched by every answer, which puts a ping off."""

    __slots__ = ("_earliest_ns", "_members", "_rng", "_stale")

    def __init__(self, rng: Rng, members: Mapping[bytes, Entry]) -> None:
        self._rng = rng
        self._members = members
        #: No ping is due before; exact unless `_stale`.
        self._earliest_ns = _NEVER_NS
        self._stale = False

    def begin(self, entry: Entry, now_ns: int, table_size: int) -> None:
        """It is new. Behind a NAT it called itself full until it knew enough others to be told that it is not
        (reach.py), so a stranger on the internet is asked again after a minute, however large the table is."""
        self.postpone(entry, now_ns, 0 if entry.capped else table_size)

    def postpone(self, entry: Entry, now_ns: int, table_size: int) -> None:
        """It is well: ping it after the keep-alive interval, within a quarter so that pings spread."""
        interval = max(KEEPALIVE_NS, table_size * KEEPALIVE_PER_CONTACT_NS)
        self.schedule(entry, now_ns + interval - interval // 4 + (self._rng.below(1 << 16) * (interval // 2) >> 16))

    def retry(self, entry: Entry, now_ns: int, silent: int) -> None:
        """It failed, as one of `silent` in this table: ping it again after a growing wait."""
        if now_ns - entry.failing_since_ns >= RETRY_EAGER_NS:
            wait = RETRY_LATE_NS
        else:
            wait = min(RETRY_NS << min(entry.failures - 1, 8), RETRY_MAX_NS)
        self.schedule(entry, now_ns + max(wait, silent * RETRY_PER_SILENT_NS))

    def guard(self, entry: Entry, now_ns: int) -> None:
        """Its ping is under way."""
        self.schedule(entry, max(entry.due_ns, now_ns + PING_GUARD_NS))

    def schedule(self, entry: Entry, due_ns: int) -> None:
        """`entry` is a member, or about to be one."""
        if due_ns <= self._earliest_ns:
            self._earliest_ns = due_ns
        elif entry.due_ns == self._earliest_ns:
            self._stale = True
        entry.due_ns = due_ns

    def left(self, entry: Entry) -> None:
        """It is no member any more."""
        if entry.due_ns == self._earliest_ns:
            self._stale = True

    def due(self, now_ns: int) -> Contact | None:
        """Somebody whose ping is due; it will not be named again while that is under way."""
        earliest_ns = self.earliest_ns()
        if earliest_ns is None or earliest_ns > now_ns:
            return None
        entry = next(entry for entry in self._members.values() if entry.due_ns == earliest_ns)
        self.schedule(entry, now_ns + PING_GUARD_NS)
        return entry.contact

    def earliest_ns(self) -> int | None:
        """When the next ping is due; None if there are no members."""
        if self._stale:
            self._stale = False
            self._earliest_ns = min([entry.due_ns for entry in self._members.values()], default=_NEVER_NS)
        return self._earliest_ns if self._members else None
