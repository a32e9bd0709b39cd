"""The peers that answered us, kept so that every region of the id space has some (Kademlia 2.2, 2.4).

Buckets split on our own prefix, so the table is a list: bucket i holds the contacts that share
exactly i leading bits with us, the last one those that share at least as many. A peer enters by
answering with its signature, stays while it answers (long-lived peers live longer: paper 2.2,
figure 1) and is replaced only after two failures in two different seconds.

The table sends nothing. The caller reports `seen`, `heard` and `failed`, and pings what `due` names.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator

import attrs

from overlay.dht.bucket import EVICTABLE_FAILURES, Bucket, Entry
from overlay.dht.crowds import Crowds
from overlay.dht.distance import BITS, bucket_index, common_prefix, random_in_bucket, random_under_prefix
from overlay.dht.diversity import Grouping
from overlay.dht.ping_queue import PingQueue
from overlay.limits import DIVERSITY_FLOOR, MAX_PER_SUBNET_IN_BUCKET, REPLACEMENTS, K
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

#: It is given up after this many failures over this long, if others answer meanwhile. If nobody
#: does, it is we who are cut off, and forgetting everybody would make that permanent.
MAX_FAILURES = 10
GIVE_UP_NS = 900 * SECOND
#: The oldest contact of a full bucket is tested for a newcomer only after this much silence.
TEST_AFTER_NS = 30 * SECOND


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


@attrs.frozen(slots=True)
class BucketView:
    """One bucket for people to look at; `entries` nearest to us first, `replacements` latest seen last."""

    depth: int
    entries: tuple[Entry, ...]
    replacements: tuple[Contact, ...]


_ADDED = Seen(Outcome.ADDED)
_REFRESHED = Seen(Outcome.REFRESHED)
_MOVED = Seen(Outcome.MOVED)
_REFUSED = Seen(Outcome.REFUSED)


class RoutingTable:
    """Contacts by distance from `own_number`. See the module docstring for who calls what."""

    __slots__ = (
        "_answered_ns", "_buckets", "_crowds", "_diversity", "_entries", "_k", "_own", "_queue", "_rng",
    )  # fmt: skip

    def __init__(self, own_number: int, *, diversity: Grouping, rng: Rng, k: int = K) -> None:
        self._own = own_number
        self._k = k
        self._diversity = diversity
        self._rng = rng
        self._buckets = [Bucket(0, 0)]
        self._entries: dict[bytes, Entry] = {}
        self._crowds = Crowds()
        self._queue = PingQueue(rng)
        #: When anybody answered last.
        self._answered_ns = -1

    # --- what happened ----------------------------------------------------------------------

    def seen(self, contact: Contact, now_ns: int) -> Seen:
        """`contact` answered a request of ours from its address."""
        self._answered_ns = now_ns
        entry = self._entries.get(contact.key)
        if entry is None:
            if contact.number == self._own:
                return _REFUSED
            return self._admit(self._newcomer(contact, now_ns), now_ns)
        outcome = _REFRESHED
        if entry.contact is not contact:
            if not self._move(entry, contact):
                return _REFUSED
            outcome = _MOVED
        entry.last_seen_ns = now_ns
        if entry.failures:
            entry.failures = 0
            self._bucket_of(contact.number).live[contact.number] = contact
        self._queue.postpone(entry, now_ns, len(self._entries))
        return outcome

    def heard(self, contact: Contact, now_ns: int) -> None:
        """`contact` sent us a signed request: a sign of life of one that we know, no entry for others."""
        entry = self._entries.get(contact.key)
        if entry is None or entry.contact is not contact:
            return
        if entry.failures:
            self._queue.schedule(entry, now_ns)  # back again, perhaps: ask at once
        else:
            entry.last_seen_ns = now_ns
            self._queue.postpone(entry, now_ns, len(self._entries))

    def failed(self, contact: Contact, now_ns: int) -> bool:
        """`contact` did not answer any try of a request. True if it left the table for that."""
        bucket = self._bucket_of(contact.number)
        entry = self._entries.get(contact.key)
        if entry is None or entry.contact is not contact:
            spare = bucket.spare.get(contact.key)
            if spare is not None and spare.contact is contact:
                del bucket.spare[contact.key]
            return False
        if entry.failures and now_ns - entry.failed_ns < SECOND:
            return False  # the same silence, noticed by another request
        if entry.failures == 0:
            entry.failing_since_ns = now_ns
        entry.failures += 1
        entry.failed_ns = now_ns
        if entry.failures >= EVICTABLE_FAILURES:
            bucket.live.pop(contact.number, None)
            given_up = (
                entry.failures >= MAX_FAILURES
                and now_ns - entry.failing_since_ns >= GIVE_UP_NS
                and self._answered_ns > entry.failing_since_ns
            )
            if given_up or bucket.spare or len(bucket.entries) > self._k:
                self._drop(entry, now_ns)
                return True
        self._queue.retry(entry, now_ns)
        return False

    def remove(self, key: bytes, *, now_ns: int = 0) -> Contact | None:
        """Forget the peer with this public key (it said goodbye). Its contact, if it was in the table."""
        entry = self._entries.get(key)
        if entry is not None:
            self._drop(entry, now_ns)
            return entry.contact
        for bucket in self._buckets:
            bucket.spare.pop(key, None)
        return None

    def touch(self, number: int, now_ns: int) -> None:
        """A lookup for `number` is made: its bucket needs no refresh for a while."""
        self._bucket_of(number).touched_ns = now_ns

    def retry_all(self, now_ns: int) -> None:
        """Make all failing contacts due now: the network changed, so they may be back."""
        for entry in self._entries.values():
            if entry.failures:
                self._queue.schedule(entry, now_ns)

    def regroup(self) -> None:
        """Ask the grouping again for every contact: the attached subnets changed."""
        self._crowds = Crowds()
        for bucket in self._buckets:
            for entry in bucket.spare.values():
                self._set_group(entry)
            for entry in bucket.entries.values():
                self._set_group(entry)
                self._crowds.count(entry, 1)

    # --- questions --------------------------------------------------------------------------

    def closest(
        self,
        number: int,
        k: int,
        *,
        families: int = 3,
        include_failing: bool = False,
        accept: Callable[[Contact], bool] | None = None,
    ) -> list[Contact]:
        """Exactly the k contacts nearest to `number`, nearest first; fewer only if there are fewer.

        `families`: bit 1 admits IPv4, bit 2 IPv6. `accept` may refuse more.
        """
        found: list[Contact] = []
        for bucket in self._by_distance(number):
            live = bucket.live
            if include_failing:
                live = {entry.contact.number: entry.contact for entry in bucket.entries.values()}
            # int.__xor__ as the key: an order of magnitude cheaper than a Python function.
            ordered = [live[n] for n in sorted(live, key=number.__xor__)]
            if families != 3:
                ordered = [c for c in ordered if (1 if len(c.address.ip) == 4 else 2) & families]
            if accept is not None:
                ordered = [c for c in ordered if accept(c)]
            found += ordered
            if len(found) >= k:
                break
        del found[k:]
        return found

    def get(self, key: bytes) -> Entry | None:
        """What is known about the peer with this public key, if it is in the table."""
        return self._entries.get(key)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def contacts(self) -> list[Contact]:
        return [entry.contact for entry in self._entries.values()]

    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def buckets(self) -> list[BucketView]:
        return [
            BucketView(
                bucket.depth,
                tuple(sorted(bucket.entries.values(), key=lambda entry: entry.contact.number ^ self._own)),
                tuple(entry.contact for entry in bucket.spare.values()),
            )
            for bucket in self._buckets
        ]

    def has_room(self, contact: Contact) -> bool:
        """Whether a stranger, should it answer, would enter or wait for a place: is it worth a PING?"""
        if contact.number == self._own:
            return False
        bucket = self._bucket_of(contact.number)
        if len(bucket.entries) < self._k:
            return True
        if len(self._entries) >= DIVERSITY_FLOOR and self._crowded(bucket, self._entry_of(contact, 0), 1):
            return False
        splits = bucket is self._buckets[-1] and bucket.depth < BITS - 1
        return splits or len(bucket.spare) < REPLACEMENTS or bucket.most_failing() is not None

    def failing_count(self) -> int:
        """Contacts that did not answer when last asked."""
        return sum(entry.failures > 0 for entry in self._entries.values())

    def anchors(self, n: int) -> list[Contact]:
        """The n longest-lived contacts that did not fail when last asked."""
        live = [entry for entry in self._entries.values() if entry.failures == 0]
        return [entry.contact for entry in sorted(live, key=lambda entry: entry.since_ns)[:n]]

    def stale_buckets(self, now_ns: int, age_ns: int) -> list[int]:
        """Depths of the buckets through which no lookup went for `age_ns` (Kademlia 2.3: an hour)."""
        return [bucket.depth for bucket in self._buckets if now_ns - bucket.touched_ns >= age_ns]

    def refresh_target(self, depth: int) -> int:
        """A random number in the bucket of this depth, to be looked up."""
        if depth >= len(self._buckets) - 1:
            return random_under_prefix(self._own, len(self._buckets) - 1, self._rng)
        return random_in_bucket(self._own, depth, self._rng)

    def due(self, now_ns: int) -> Contact | None:
        """A contact that should be pinged now; call again until None. Report `seen` or `failed`."""
        return self._queue.due(now_ns)

    def next_due_ns(self) -> int | None:
        """Monotonic time at which `due` will name somebody; None if the table is empty."""
        return self._queue.earliest_ns()

    # --- how ---------------------------------------------------------------------------------

    def _bucket_of(self, number: int) -> Bucket:
        return self._buckets[bucket_index(self._own, number, len(self._buckets))]

    def _by_distance(self, number: int) -> Iterator[Bucket]:
        """All buckets, each wholly nearer to `number` than the next.

        With b the bucket of `number`: bucket b agrees with it in bit b and comes first. All deeper ones
        differ in bit b; among them bucket j comes before those deeper than j if `number` differs from
        us in bit j. Those above b follow, deepest first.
        """
        buckets = self._buckets
        last = len(buckets) - 1
        b = bucket_index(self._own, number, len(buckets))
        yield buckets[b]
        if b < last:
            differs = self._own ^ number
            after = []
            for j in range(b + 1, last):
                if differs >> (BITS - 1 - j) & 1:
                    yield buckets[j]
                else:
                    after.append(j)
            yield buckets[last]
            for j in reversed(after):
                yield buckets[j]
        for j in range(b - 1, -1, -1):
            yield buckets[j]

    def _entry_of(self, contact: Contact, now_ns: int) -> Entry:
        entry = Entry(contact, now_ns, now_ns, b"", b"", False)
        self._set_group(entry)
        return entry

    def _newcomer(self, contact: Contact, now_ns: int) -> Entry:
        entry = self._entry_of(contact, now_ns)
        known = self._bucket_of(contact.number).spare.pop(contact.key, None)
        if known is not None:
            entry.since_ns = known.since_ns
        return entry

    def _admit(self, entry: Entry, now_ns: int) -> Seen:
        contact = entry.contact
        while True:
            bucket = self._bucket_of(contact.number)
            if len(bucket.entries) < self._k:
                self._place(bucket, entry, now_ns)
                return _ADDED
            crowded = self._crowded(bucket, entry, 1)
            if crowded and len(self._entries) >= DIVERSITY_FLOOR:
                return _REFUSED
            if bucket is not self._buckets[-1] or bucket.depth == BITS - 1:
                break
            self._split(now_ns)
        victim = bucket.most_failing()
        if victim is None and not crowded:
            # Whoever takes more than the share of its group holds the surplus on sufferance.
            surplus = [member for member in bucket.entries.values() if self._crowded(bucket, member, 0)]
            victim = max(surplus, key=lambda member: member.since_ns, default=None)
        if victim is not None:
            self._forget(bucket, victim)
            self._place(bucket, entry, now_ns)
            return Seen(Outcome.ADDED, evicted=victim.contact)
        if not crowded and len(bucket.entries) < 2 * self._k and self._is_neighbour(contact.number):
            self._place(bucket, entry, now_ns)
            return _ADDED
        return self._keep_as_replacement(bucket, entry, now_ns)

    def _is_neighbour(self, number: int) -> bool:
        """Whether it would be one of the k nearest to us. Those are all kept, bucket full or not
        (Kademlia 2.4, last paragraph): they hold the same records as we do, and name each other."""
        nearest = self.closest(self._own, self._k)
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
            return Seen(Outcome.REPLACEMENT)  # seen just now, or it is being pinged already
        oldest.tested_ns = now_ns
        self._queue.guard(oldest, now_ns)
        return Seen(Outcome.REPLACEMENT, test=oldest.contact)

    def _split(self, now_ns: int) -> None:
        bucket = self._buckets[-1]
        deeper = [
            key
            for key, entry in (*bucket.entries.items(), *bucket.spare.items())
            if common_prefix(self._own, entry.contact.number) > bucket.depth
        ]
        self._buckets.append(bucket.split(iter(deeper)))
        self._fill(bucket, now_ns)
        self._fill(self._buckets[-1], now_ns)

    def _fill(self, bucket: Bucket, now_ns: int) -> None:
        """Give free places to replacements: the latest seen first, those of crowded groups last."""
        while bucket.spare and len(bucket.entries) < self._k:
            latest = list(reversed(bucket.spare.values()))
            entry = next((e for e in latest if not self._crowded(bucket, e, 1)), latest[0])
            del bucket.spare[entry.contact.key]
            self._place(bucket, entry, now_ns)
            self._queue.schedule(entry, now_ns)  # it answered once, long ago perhaps

    def _move(self, entry: Entry, contact: Contact) -> bool:
        """Give `entry` the new address; False if it left the table, its new group having its share."""
        bucket = self._bucket_of(contact.number)
        self._forget(bucket, entry)
        entry.contact = contact
        self._set_group(entry)
        full = len(bucket.entries) >= self._k - 1
        if full and len(self._entries) >= DIVERSITY_FLOOR and self._crowded(bucket, entry, 1):
            self._fill(bucket, entry.last_seen_ns)
            return False
        self._place(bucket, entry, entry.last_seen_ns)
        return True

    def _place(self, bucket: Bucket, entry: Entry, now_ns: int) -> None:
        bucket.place(entry)
        self._entries[entry.contact.key] = entry
        self._crowds.count(entry, 1)
        self._queue.postpone(entry, now_ns, len(self._entries))

    def _forget(self, bucket: Bucket, entry: Entry) -> None:
        bucket.take(entry.contact.key)
        del self._entries[entry.contact.key]
        self._crowds.count(entry, -1)
        entry.queued_ns = -1

    def _drop(self, entry: Entry, now_ns: int) -> None:
        bucket = self._bucket_of(entry.contact.number)
        self._forget(bucket, entry)
        self._fill(bucket, now_ns)

    def _set_group(self, entry: Entry) -> None:
        address = entry.contact.address
        entry.group = self._diversity.group(address)
        entry.wide = self._diversity.wide_group(address)
        entry.capped = self._diversity.capped(address)

    def _crowded(self, bucket: Bucket, entry: Entry, joining: int) -> bool:
        return self._crowds.crowded(bucket, entry, joining, len(self._entries))
