"""One bucket of the routing table, and what is known about each contact in it."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import attrs

from overlay.rpc.contact import Contact

#: Failures, counted in different seconds, after which a contact may be replaced: one lost
#: datagram in a burst of loss must not evict a peer that lived for days.
EVICTABLE_FAILURES = 2


class State(enum.Enum):
    #: Answered the last time it was asked. Left by a failure.
    LIVE = "live"
    #: Failed once since. Left by an answer or by a failure at least a second later.
    DOUBTED = "doubted"
    #: Failed in two different seconds: not given to others, first to be replaced. Left by an answer.
    FAILING = "failing"


@attrs.define(slots=True, eq=False)
class Entry:
    """A contact that answered us, and its record."""

    contact: Contact
    #: Monotonic time of its first answer (it keeps it when it moves), and of the latest sign of life.
    since_ns: int
    last_seen_ns: int
    #: Groups of its address (diversity.py), empty if `capped` is False: then they are not counted.
    group: bytes
    wide: bytes
    capped: bool
    failures: int = 0
    #: Of the failures in a row: the first and the latest.
    failing_since_ns: int = 0
    failed_ns: int = 0
    #: When to ping it.
    due_ns: int = 0
    #: When a newcomer last had it tested; None: never.
    tested_ns: int | None = None

    @property
    def state(self) -> State:
        if self.failures == 0:
            return State.LIVE
        return State.FAILING if self.failures >= EVICTABLE_FAILURES else State.DOUBTED


@attrs.define(slots=True, eq=False)
class Bucket:
    """Contacts that share `depth` leading bits with us: exactly, or at least in the last bucket."""

    depth: int
    #: Last time a lookup went through this part of the space.
    touched_ns: int
    #: By public key, in order of arrival.
    entries: dict[bytes, Entry] = attrs.field(factory=dict)
    #: By id, those that are not failing: what `closest` sorts.
    live: dict[int, Contact] = attrs.field(factory=dict)
    #: Replacements by public key, the latest seen last (Kademlia paper 4.1).
    spare: dict[bytes, Entry] = attrs.field(factory=dict)

    def place(self, entry: Entry) -> None:
        self.entries[entry.contact.key] = entry
        if entry.failures < EVICTABLE_FAILURES:
            self.live[entry.contact.number] = entry.contact

    def take(self, key: bytes) -> Entry:
        entry = self.entries.pop(key)
        self.live.pop(entry.contact.number, None)
        return entry

    def members_of(self, group: bytes) -> int:
        return sum(entry.group == group for entry in self.entries.values())

    def least_recently_seen(self) -> Entry:
        return min(self.entries.values(), key=lambda entry: entry.last_seen_ns)

    def most_failing(self) -> Entry | None:
        """The evictable entry that failed most often; None if all are live."""
        if len(self.live) == len(self.entries):
            return None
        failing = [entry for entry in self.entries.values() if entry.failures >= EVICTABLE_FAILURES]
        return max(failing, key=lambda entry: (entry.failures, -entry.last_seen_ns), default=None)

    def split(self, belongs_deeper: Iterator[bytes]) -> Bucket:
        """Move the contacts with these keys (members and replacements) to a new, deeper bucket."""
        deeper = Bucket(self.depth + 1, self.touched_ns)
        for key in belongs_deeper:
            if key in self.entries:
                deeper.place(self.take(key))
            else:
                deeper.spare[key] = self.spare.pop(key)
        return deeper
