"""The peers that answered us, kept so that every region of the id space has some (Kademlia 2.2, 2.4).

A peer enters by answering with its signature, stays while it answers (long-lived peers live longer:
paper 2.2, figure 1) and is replaced only after two failures in two different seconds.

The table sends nothing. The caller reports `seen`, `heard` and `failed`, and pings what `due` names.
Which bucket is whose stands in bucket_list.py, who makes room for whom in membership.py.
"""

from __future__ import annotations

from overlay.dht.bucket import EVICTABLE_FAILURES, Entry
from overlay.dht.bucket_list import BucketList, BucketView
from overlay.dht.diversity import Grouping
from overlay.dht.membership import ADDED as ADDED
from overlay.dht.membership import MOVED as MOVED
from overlay.dht.membership import REFRESHED, REFUSED, Membership, Seen
from overlay.dht.membership import Outcome as Outcome
from overlay.dht.ping_queue import KEEPALIVE_NS
from overlay.limits import K
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND

#: It is given up after this many failures over this long, if others answer meanwhile. If nobody
#: does, it is we who are cut off, and forgetting everybody would make that permanent.
MAX_FAILURES = 10
GIVE_UP_NS = 900 * SECOND

_REFRESHED, _MOVED, _REFUSED = Seen(REFRESHED), Seen(MOVED), Seen(REFUSED)


class RoutingTable:
    """Contacts by distance from `own_number`. See the module docstring for who calls what."""

    __slots__ = ("_answered_ns", "_buckets", "_entries", "_k", "_membership", "_queue", "_rng", "closest")

    def __init__(self, own_number: int, *, diversity: Grouping, rng: Rng, k: int = K) -> None:
        self._k = k
        self._rng = rng
        self._buckets = BucketList(own_number)
        self._membership = Membership(own_number, self._buckets, rng, diversity=diversity, k=k)
        self._queue = self._membership.queue
        self._entries = self._membership.members
        #: When anybody answered last.
        self._answered_ns = -1
        #: The question asked most, and not delayed by a call more: see BucketList.closest.
        self.closest = self._buckets.closest

    # --- what happened ----------------------------------------------------------------------

    def seen(self, contact: Contact, now_ns: int) -> Seen:
        """`contact` answered a request of ours from its address."""
        self._answered_ns = now_ns
        entry = self._entries.get(contact.key)
        if entry is None:
            return self._membership.admit(contact, now_ns)
        outcome = _REFRESHED
        if entry.contact is not contact:
            if not self._membership.move(entry, contact):
                return _REFUSED
            outcome = _MOVED
        entry.last_seen_ns = now_ns
        if entry.failures:
            entry.failures = 0
            self._buckets.of(contact.number).live[contact.number] = contact
            self._retry_some(now_ns)
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
            if not entry.capped or now_ns - entry.since_ns >= 2 * KEEPALIVE_NS:  # see PingQueue.begin
                self._queue.postpone(entry, now_ns, len(self._entries))

    def failed(self, contact: Contact, now_ns: int) -> bool:
        """`contact` did not answer any try of a request. True if it left the table for that."""
        bucket = self._buckets.of(contact.number)
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
                self._membership.drop(entry, now_ns)
                return True
        self._queue.retry(entry, now_ns, self.failing_count())
        return False

    def remove(self, key: bytes, *, now_ns: int = 0) -> Contact | None:
        """Forget the peer with this public key (it said goodbye). Its contact, if it was in the table."""
        entry = self._entries.get(key)
        if entry is not None:
            self._membership.drop(entry, now_ns)
            return entry.contact
        for bucket in self._buckets:
            bucket.spare.pop(key, None)
        return None

    def touch(self, number: int, now_ns: int) -> None:
        """A lookup for `number` is made: its bucket needs no refresh for a while."""
        self._buckets.of(number).touched_ns = now_ns

    def retry_all(self, now_ns: int) -> None:
        """Make all failing contacts due now: the network changed, so they may be back."""
        for entry in self._entries.values():
            if entry.failures:
                self._queue.schedule(entry, now_ns)

    def _retry_some(self, now_ns: int) -> None:
        """One is back, so others may be: two of them are asked at once. If they all are, that goes on by itself, faster
        and faster; a machine that was too busy to hear them asks no faster than it hears."""
        silent = [entry for entry in self._entries.values() if entry.failures and entry.due_ns > now_ns]
        for entry in sorted(silent, key=lambda entry: entry.failed_ns)[:2]:
            self._queue.schedule(entry, now_ns)

    def regroup(self) -> None:
        """Ask the grouping again for every contact: the attached subnets changed."""
        self._membership.regroup()

    # --- questions --------------------------------------------------------------------------

    def get(self, key: bytes) -> Entry | None:
        """What is known about the peer with this public key, if it is in the table."""
        return self._entries.get(key)

    def live(self, number: int) -> Contact | None:
        """The peer of this number, if it is in the table and answers."""
        return self._buckets.of(number).live.get(number)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: bytes) -> bool:
        return key in self._entries

    def contacts(self) -> list[Contact]:
        return [entry.contact for entry in self._entries.values()]

    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    def buckets(self) -> list[BucketView]:
        return self._buckets.views()

    def has_room(self, contact: Contact) -> bool:
        """Whether a stranger, should it answer, would enter: is it worth a PING?"""
        return self._membership.has_room(contact)

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
        return self._buckets.random_number(depth, self._rng)

    def due(self, now_ns: int) -> Contact | None:
        """A contact that should be pinged now; call again until None. Report `seen` or `failed`."""
        return self._queue.due(now_ns)

    def next_due_ns(self) -> int | None:
        """Monotonic time at which `due` will name somebody; None if the table is empty."""
        return self._queue.earliest_ns()
