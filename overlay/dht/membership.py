"""Who is a member of the routing table, who waits for a place, and who makes room for whom."""

from __future__ import annotations

import enum

import attrs

from overlay.dht.bucket import Bucket, Entry
from overlay.dht.bucket_list import BucketList
from overlay.dht.crowds import Crowds
from overlay.dht.diversity import Grouping
from overlay.dht.ping_queue import PingQueue
from overlay.limits import DIVERSITY_FLOOR, MAX_PER_SUBNET_IN_BUCKET, REPLACEMENTS
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

#: The oldest contact of a full bucket is tested for a newcomer only after this much silence.
TEST_AFTER_NS = 60 * SECOND


class Outcome(enum.Enum):
    #: New in the table.
    ADDED = "added"
    #: Was in the table at this address.
    REFRESHED = "refreshed"
    #: Was in the table at another address; keeps its seniority.
    MOVED = "moved"
    #: Its bucket is full of others; waits there for a place.
    REPLACEMENT = "replacement"
    #: Its address group has its share, or it is ourselves.
    REFUSED = "refused"


@attrs.frozen(slots=True)
class Seen:
    """What came of an answer."""

    outcome: Outcome
    #: With REPLACEMENT: ping this one, it may have to make room.
    test: Contact | None = None
    #: Left the table to make room.
    evicted: Contact | None = None


#: Asking an Enum class for a member costs a quarter of a microsecond on Python 3.11, a name of a module nothing.
ADDED, REFRESHED, MOVED, REPLACEMENT, REFUSED = Outcome
_ADDED, _REFUSED, _REPLACEMENT = Seen(ADDED), Seen(REFUSED), Seen(REPLACEMENT)


class Membership:
    """The members of one table, in its buckets and in the queue of pings."""

    __slots__ = ("_buckets", "_crowds", "_diversity", "_k", "_own", "members", "queue")

    def __init__(self, own_number: int, buckets: BucketList, rng: Rng, *, diversity: Grouping, k: int) -> None:
        self._own = own_number
        self._k = k
        self._buckets = buckets
        self._diversity = diversity
        self._crowds = Crowds()
        #: By public key; others read it only.
        self.members: dict[bytes, Entry] = {}
        #: Whom of them to ping next.
        self.queue = PingQueue(rng, self.members)

    def admit(self, contact: Contact, now_ns: int) -> Seen:
        """Give somebody who is no member a place, or have it wait for one."""
        if contact.number == self._own:
            return _REFUSED
        entry = self._newcomer(contact, now_ns)
        while True:
            bucket = self._buckets.of(contact.number)
            if len(bucket.entries) < self._k:
                self._place(bucket, entry, now_ns)
                return _ADDED
            crowded = self._crowded(bucket, entry, 1)
            if crowded and len(self.members) >= DIVERSITY_FLOOR:
                return _REFUSED
            if not self._buckets.splits(bucket):
                break
            for half in self._buckets.split():
                self._fill(half, now_ns)
        victim = self._victim(bucket, crowded)
        if victim is not None:
            self._forget(bucket, victim)
            self._place(bucket, entry, now_ns)
            return Seen(ADDED, evicted=victim.contact)
        if not crowded and len(bucket.entries) < 2 * self._k and self._is_neighbour(contact.number):
            self._place(bucket, entry, now_ns)
            return _ADDED
        return self._keep_as_replacement(bucket, entry, now_ns)

    def has_room(self, contact: Contact) -> bool:
        """Whether a stranger, should it answer, would enter: is it worth a PING? Who would only wait for a place is
        not: enough of those come with the answers to our own questions."""
        if contact.number == self._own:
            return False
        bucket = self._buckets.of(contact.number)
        if len(bucket.entries) < self._k:
            return True
        crowded = self._crowded(bucket, self._entry_of(contact, 0), 1)
        if crowded and len(self.members) >= DIVERSITY_FLOOR:
            return False
        if self._buckets.splits(bucket) or self._victim(bucket, crowded) is not None:
            return True
        if crowded or len(bucket.entries) >= 2 * self._k or self._buckets.holds_deeper(bucket, self._k):
            return False
        return self._is_neighbour(contact.number)

    def move(self, entry: Entry, contact: Contact) -> bool:
        """Give a member the new address; False if it left the table, its new group having its share."""
        bucket = self._buckets.of(contact.number)
        self._forget(bucket, entry)
        entry.contact = contact
        self._set_group(entry)
        full = len(bucket.entries) >= self._k - 1
        if full and len(self.members) >= DIVERSITY_FLOOR and self._crowded(bucket, entry, 1):
            self._fill(bucket, entry.last_seen_ns)
            return False
        self._place(bucket, entry, entry.last_seen_ns)
        return True

    def drop(self, entry: Entry, now_ns: int) -> None:
        """A member leaves, and whoever waited for its place gets it."""
        bucket = self._buckets.of(entry.contact.number)
        self._forget(bucket, entry)
        self._fill(bucket, now_ns)

    def regroup(self) -> None:
        """Ask the grouping again for everybody."""
        self._crowds = Crowds()
        for bucket in self._buckets:
            for entry in bucket.spare.values():
                self._set_group(entry)
            for entry in bucket.entries.values():
                self._set_group(entry)
                self._crowds.count(entry, 1)

    # --- how ---------------------------------------------------------------------------------

    def _entry_of(self, contact: Contact, now_ns: int) -> Entry:
        entry = Entry(contact, now_ns, now_ns, b"", b"", False)
        self._set_group(entry)
        return entry

    def _newcomer(self, contact: Contact, now_ns: int) -> Entry:
        entry = self._entry_of(contact, now_ns)
        known = self._buckets.of(contact.number).spare.pop(contact.key, None)
        if known is not None:
            entry.since_ns = known.since_ns
        return entry

    def _victim(self, bucket: Bucket, crowded: bool) -> Entry | None:
        """The member of a full bucket that makes room; `crowded`: for one whose group has its share."""
        victim = bucket.most_failing()
        if victim is None and not crowded and self._crowds.any_large:
            # Whoever takes more than the share of its group holds the surplus on sufferance.
            surplus = [member for member in bucket.entries.values() if self._crowded(bucket, member, 0)]
            victim = max(surplus, key=lambda member: member.since_ns, default=None)
        return victim

    def _is_neighbour(self, number: int) -> bool:
        """Whether it would be one of the k nearest to us. Those are all kept, bucket full or not
        (Kademlia 2.4, last paragraph): they hold the same records as we do, and name each other."""
        nearest = self._buckets.closest(self._own, self._k)
        return len(nearest) < self._k or number ^ self._own < nearest[-1].number ^ self._own

    def _keep_as_replacement(self, bucket: Bucket, entry: Entry, now_ns: int) -> Seen:
        spare = bucket.spare
        if entry.capped:
            same = [key for key, other in spare.items() if other.group == entry.group]
            for key in same[: len(same) + 1 - MAX_PER_SUBNET_IN_BUCKET]:
                del spare[key]
        while len(spare) >= REPLACEMENTS:
            del spare[next(iter(spare))]
        spare[entry.contact.key] = entry
        oldest = bucket.least_recently_seen()
        tested = oldest.tested_ns is not None and now_ns - oldest.tested_ns < TEST_AFTER_NS
        if tested or oldest.failures or now_ns - oldest.last_seen_ns < TEST_AFTER_NS:
            return _REPLACEMENT  # seen just now, or it is being pinged already
        oldest.tested_ns = now_ns
        self.queue.guard(oldest, now_ns)
        return Seen(REPLACEMENT, test=oldest.contact)

    def _fill(self, bucket: Bucket, now_ns: int) -> None:
        """Give free places to replacements: the latest seen first, those of crowded groups last."""
        while bucket.spare and len(bucket.entries) < self._k:
            latest = list(reversed(bucket.spare.values()))
            entry = next((e for e in latest if not self._crowded(bucket, e, 1)), latest[0])
            del bucket.spare[entry.contact.key]
            self._place(bucket, entry, now_ns)
            self.queue.schedule(entry, now_ns)  # it answered once, long ago perhaps

    def _place(self, bucket: Bucket, entry: Entry, now_ns: int) -> None:
        bucket.place(entry)
        self.members[entry.contact.key] = entry
        self._crowds.count(entry, 1)
        self.queue.begin(entry, now_ns, len(self.members))

    def _forget(self, bucket: Bucket, entry: Entry) -> None:
        bucket.take(entry.contact.key)
        del self.members[entry.contact.key]
        self._crowds.count(entry, -1)
        self.queue.left(entry)

    def _set_group(self, entry: Entry) -> None:
        address = entry.contact.address
        entry.capped = self._diversity.capped(address)
        entry.group = self._diversity.group(address) if entry.capped else b""
        entry.wide = self._diversity.wide_group(address) if entry.capped else b""

    def _crowded(self, bucket: Bucket, entry: Entry, joining: int) -> bool:
        return self._crowds.crowded(bucket, entry, joining, len(self.members))
