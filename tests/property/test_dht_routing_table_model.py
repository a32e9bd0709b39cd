"""The routing table under any history, against what it must hold by definition."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from overlay.dht.distance import common_prefix, random_number
from overlay.dht.diversity import Diversity
from overlay.dht.routing_table import Outcome, RoutingTable
from overlay.limits import REPLACEMENTS
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from overlay.runtime.ports import SECOND
from tests.support.dht import contact

K = 4


def nearest(contacts: list[Contact], number: int, k: int) -> list[Contact]:
    return sorted(contacts, key=lambda c: c.number ^ number)[:k]


@given(
    own=st.integers(0, 2**256 - 1),
    seed=st.integers(0, 2**32),
    count=st.integers(0, 300),
    near=st.integers(0, 20),
    k=st.integers(1, 50),
)
def test_closest_is_what_sorting_everything_gives(own: int, seed: int, count: int, near: int, k: int) -> None:
    rng = Rng(seed)
    table = RoutingTable(own, diversity=Diversity(), rng=rng)
    # Half of them share a long prefix with us, so that the table is deep and lopsided.
    numbers = [random_number(rng) if i % 2 else own ^ random_number(rng) >> near * 5 for i in range(count)]
    for number in numbers:
        table.seen(contact(number), 0)
    targets = [own, own ^ 1, *(random_number(rng) for _ in range(5)), *(n ^ 1 for n in numbers[:5])]
    for target in (t % 2**256 for t in targets):
        assert table.closest(target, k) == nearest(table.contacts(), target, k)


class Table(RuleBasedStateMachine):
    """4 ids for each of 6 lengths of common prefix, on a LAN and in two global /24, each with a second address."""

    @initialize(own=st.integers(0, 2**256 - 1), seed=st.integers(0, 2**32))
    def start(self, own: int, seed: int) -> None:
        self.own = own
        self.rng = Rng(seed)
        self.table = RoutingTable(own, diversity=Diversity(), rng=Rng(seed), k=K)
        self.now = 0
        self.answered: set[bytes] = set()
        self.failures: dict[bytes, list[int]] = {}
        self.pool: list[Contact] = []
        for i in range(24):
            depth = i % 6
            number = own ^ (1 << (255 - depth)) ^ (random_number(self.rng) >> (depth + 1))
            address = (f"10.0.0.{i}:4433", f"50.1.2.{i}:4433", f"50.1.3.{i}:4433")[i % 3]
            self.pool += [contact(number, address=address), contact(number, address=f"60.{i}.1.1:4433")]

    @rule(i=st.integers(0, 47), wait=st.integers(0, 40))
    def seen(self, i: int, wait: int) -> None:
        self.now += wait * SECOND
        c = self.pool[i]
        before = {entry.contact.key: entry.failures for entry in self.table.entries()}
        capped = {entry.contact.key for entry in self.table.entries() if entry.capped}
        known = self.table.get(c.key)
        was = known.contact if known is not None else None
        result = self.table.seen(c, self.now)
        self.answered.add(c.key)
        self.failures.pop(c.key, None)
        match result.outcome:
            case Outcome.ADDED:
                assert was is None
                assert c.key in self.table
            case Outcome.REFRESHED:
                assert was is c
            case Outcome.MOVED:
                assert was is not None
                assert was is not c
            case Outcome.REPLACEMENT:
                assert c.key not in self.table
                if result.test is not None:
                    assert result.test.key in self.table
            case Outcome.REFUSED:
                raise AssertionError("fewer than 50 contacts: nobody is refused")
        gone = before.keys() - {entry.contact.key for entry in self.table.entries()}
        assert gone == ({result.evicted.key} if result.evicted is not None else set())
        for key in gone:
            # A newcomer displaces only who failed twice, or who took more than its subnet's share.
            assert before[key] >= 2 or key in capped

    @rule(i=st.integers(0, 47), waits=st.lists(st.integers(0, 1500), min_size=1, max_size=4))
    def failed(self, i: int, waits: list[int]) -> None:
        members = self.table.contacts()
        c = members[i % len(members)] if members and i % 4 else self.pool[i]
        for wait in waits:
            self.now += wait * SECOND // 1000
            entry = self.table.get(c.key)
            live = entry is not None and entry.contact is c
            lost = self.table.failed(c, self.now)
            if not live:
                assert not lost
                return
            history = self.failures.setdefault(c.key, [])
            if not history or self.now - history[-1] >= SECOND:
                history.append(self.now)
            if lost:
                assert len(history) >= 2
                del self.failures[c.key]

    @rule(i=st.integers(0, 47))
    def remove(self, i: int) -> None:
        self.table.remove(self.pool[i].key, now_ns=self.now)
        assert self.pool[i].key not in self.table
        self.failures.pop(self.pool[i].key, None)

    @rule(wait=st.integers(0, 100))
    def pings(self, wait: int) -> None:
        self.now += wait * SECOND
        named = []
        while (c := self.table.due(self.now)) is not None:
            named.append(c)
        assert len(named) == len(set(named)), "nobody is named twice at one time"
        assert all(self.table.get(c.key) is not None for c in named)
        due = self.table.next_due_ns()
        assert due is None or due > self.now
        assert (due is None) == (len(self.table) == 0)

    @rule()
    def regroup(self) -> None:
        self.table.regroup()

    @invariant()
    def buckets_split_on_our_prefix(self) -> None:
        buckets = self.table.buckets()
        for bucket in buckets:
            for entry in bucket.entries:
                depth = common_prefix(self.own, entry.contact.number)
                assert depth == bucket.depth or (bucket is buckets[-1] and depth >= bucket.depth)
            assert len(bucket.entries) <= (K if bucket is buckets[-1] else 2 * K)
            assert len(bucket.replacements) <= REPLACEMENTS
            assert not bucket.replacements or len(bucket.entries) >= K, "a free place is given to a replacement"
            for spare in bucket.replacements:
                assert spare.key not in self.table
        assert [bucket.depth for bucket in buckets] == list(range(len(buckets)))
        assert sum(len(bucket.entries) for bucket in buckets) == len(self.table)

    @invariant()
    def only_who_answered(self) -> None:
        assert {entry.contact.key for entry in self.table.entries()} <= self.answered

    @invariant()
    def failures_are_those_that_were_reported(self) -> None:
        for entry in self.table.entries():
            assert entry.failures == len(self.failures.get(entry.contact.key, []))

    @invariant()
    def closest_is_exact(self) -> None:
        for target in (self.own, random_number(self.rng)):
            every = [entry.contact for entry in self.table.entries()]
            healthy = [entry.contact for entry in self.table.entries() if entry.failures < 2]
            assert self.table.closest(target, 7) == nearest(healthy, target, 7)
            assert self.table.closest(target, 7, include_failing=True) == nearest(every, target, 7)
            odd = [c for c in healthy if c.number % 2]
            assert self.table.closest(target, 3, accept=lambda c: c.number % 2 == 1) == nearest(odd, target, 3)

    @invariant()
    def anchors_are_the_oldest(self) -> None:
        ages = [self.table.get(c.key) for c in self.table.anchors(5)]
        assert all(a is not None and b is not None and a.since_ns <= b.since_ns for a, b in pairwise(ages))


Table.TestCase.settings = settings(max_examples=50, stateful_step_count=50, deadline=None)
TestTable = Table.TestCase
