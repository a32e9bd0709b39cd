"""Lookups over random simulated networks: they end, ask nobody twice, and find who is to be found."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from overlay.dht.candidate import State
from overlay.dht.distance import random_number
from overlay.dht.diversity import Diversity
from overlay.dht.shortlist import Shortlist
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from tests.support.dht import contact, internet, lan, state_of

K = 5


@attrs.define
class Net:
    """Who knows whom, who is dead. `answers` of a dead one is never asked for."""

    nodes: list[Contact]
    knows: dict[Contact, list[Contact]]
    dead: set[Contact]

    def answer(self, asked: Contact, target: int) -> list[Contact]:
        return sorted(self.knows[asked], key=lambda c: c.number ^ target)[:K]


def network(rng: Rng, size: int, dead: int, *, spread: bool, aliases: bool = False) -> Net:
    """Everybody knows its neighbours and up to K of each bucket, as routing tables do: among any fewer, a few that
    know each other best may know nobody who is nearer. With `aliases` some believe some at an address where nobody
    answers."""
    nodes = (internet if spread else lan)(size, seed=rng.u64())
    knows = {}
    for node in nodes:
        others = [c for c in nodes if c is not node]
        near = sorted(others, key=lambda c: c.number ^ node.number)[: 2 * K]
        buckets: dict[int, list[Contact]] = {}
        for other in others:
            buckets.setdefault((other.number ^ node.number).bit_length(), []).append(other)
        far = [c for bucket in buckets.values() for c in rng.sample(bucket, min(K, len(bucket)))]
        knows[node] = list(dict.fromkeys([*near, *far]))
    gone = set(rng.sample(nodes, dead))
    if aliases:
        for i, node in enumerate(nodes):
            false = contact(node.number, address=f"10.9.{i}.1:9", key=node.key)
            gone.add(false)
            for known in knows.values():
                if rng.below(4) == 0 and node in known:
                    known[known.index(node)] = false
    return Net(nodes, knows, gone)


@attrs.define
class Run:
    """Drives a shortlist in a random order of events, and checks what holds at every step."""

    net: Net
    target: int
    shortlist: Shortlist
    rng: Rng
    slots: int
    asked: list[Contact] = attrs.Factory(list)
    flying: list[Contact] = attrs.Factory(list)

    def go(self, *, lag: int) -> None:
        shortlist = self.shortlist
        late: list[Contact] = []
        for _ in range(20_000):
            while (c := shortlist.next()) is not None:
                self.asked.append(c)
                self.flying.append(c)
                slots: dict[int, int] = {}
                for other in self.flying:
                    if state_of(shortlist, other) is State.ASKED:
                        path = shortlist.path_of(other)
                        slots[path] = slots.get(path, 0) + 1
                assert max(slots.values()) <= self.slots
            if shortlist.finished():
                break
            assert self.flying, "not finished, and nothing to wait for"
            c = self.rng.choice(self.flying)
            if c in self.net.dead:
                match state_of(shortlist, c):
                    case State.ASKED if self.rng.below(2):
                        shortlist.on_slow(c)
                    case State.LATE:
                        shortlist.on_failed(c)
                        self.flying.remove(c)
                    case _:
                        if self.rng.below(2):
                            shortlist.on_late(c)
                        else:
                            shortlist.on_failed(c)
                            self.flying.remove(c)
            elif self.rng.below(100) < lag and c not in late:
                shortlist.on_slow(c)
                late.append(c)
            else:
                shortlist.on_reply(c, self.net.answer(c, self.target))
                self.flying.remove(c)
        else:
            raise AssertionError("does not end")
        assert len(self.asked) == len(set(self.asked)), "nobody is asked twice"

    def reachable(self, seeds: list[Contact]) -> set[Contact]:
        """Live ones that a flood over k-closest answers would find."""
        found = {c for c in seeds if c not in self.net.dead}
        todo = list(found)
        while todo:
            for c in self.net.answer(todo.pop(), self.target):
                if c not in found and c not in self.net.dead:
                    found.add(c)
                    todo.append(c)
        return found


@given(
    seed=st.integers(0, 2**48),
    size=st.integers(1, 60),
    dead=st.integers(0, 40),
    paths=st.sampled_from([1, 1, 2, 4, 8]),
    lag=st.sampled_from([0, 30]),
    spread=st.booleans(),
    aliases=st.booleans(),
)
def test_a_lookup_ends_with_the_closest(
    seed: int, size: int, dead: int, paths: int, lag: int, spread: bool, aliases: bool
) -> None:
    rng = Rng(seed)
    net = network(rng, size, min(dead, size), spread=spread, aliases=aliases)
    target = random_number(rng)
    seeds = sorted(rng.sample(net.nodes, 12), key=lambda c: c.number ^ target)[:10]
    shortlist = Shortlist(target, seeds=seeds, diversity=Diversity(), k=K, alpha=3, paths=paths, width=2)
    run = Run(net, target, shortlist, rng, 3 if shortlist.paths == 1 else 1)
    run.go(lag=lag)

    answered = shortlist.answered()
    assert answered == sorted(answered, key=lambda c: c.number ^ target)
    assert not net.dead.intersection(answered)
    found = shortlist.closest_answered(K)
    # Nobody alive that the answers named is nearer than what was found.
    named = {c for a in answered for c in net.answer(a, target)} | set(seeds)
    live = sorted((c for c in named if c not in net.dead), key=lambda c: c.number ^ target)
    assert found == live[:K]
    # Paths share nobody: each key has one, that of whoever named it first or a seed's own.
    owner: dict[bytes, int] = {}
    for c in run.asked:
        assert owner.setdefault(c.key, shortlist.path_of(c)) == shortlist.path_of(c)
        referrer = shortlist.referrer(c)
        if referrer is None:
            assert c in seeds
            assert shortlist.hops(c) == 0
        else:
            assert aliases or shortlist.path_of(referrer) == shortlist.path_of(c)
            assert shortlist.hops(c) == shortlist.hops(referrer) + 1
            assert c in net.answer(referrer, target)


@given(seed=st.integers(0, 2**48), size=st.integers(2, 60))
def test_with_honest_tables_it_finds_exactly_the_k_closest_of_all(seed: int, size: int) -> None:
    rng = Rng(seed)
    net = network(rng, size, 0, spread=True)
    target = random_number(rng)
    shortlist = Shortlist(target, seeds=net.nodes[:K], diversity=Diversity(), k=K)
    run = Run(net, target, shortlist, rng, 3)
    run.go(lag=0)
    every = run.reachable(net.nodes[:K])
    assert shortlist.closest_answered(K) == sorted(every, key=lambda c: c.number ^ target)[:K]


@given(seed=st.integers(0, 2**48), share=st.integers(1, 8))
def test_with_a_radius_everybody_within_it_is_asked(seed: int, share: int) -> None:
    rng = Rng(seed)
    net = network(rng, 60, 0, spread=True)
    target = random_number(rng)
    radius = 2**256 * share // 16
    shortlist = Shortlist(target, seeds=net.nodes[:20], diversity=Diversity(), k=K, radius=radius)
    run = Run(net, target, shortlist, rng, 3)
    run.go(lag=0)
    named = {c for a in shortlist.answered() for c in net.answer(a, target)} | set(net.nodes[:20])
    assert {c for c in named if c.number ^ target <= radius} <= set(run.asked)


@given(seed=st.integers(0, 2**48), bound=st.integers(12, 40))
def test_a_liar_can_neither_grow_it_without_bound_nor_keep_it_from_ending(seed: int, bound: int) -> None:
    """Every answer names 20 new keys that are a little nearer: whom it remembers is bounded, so it ends."""
    rng = Rng(seed)
    target = random_number(rng)
    shortlist = Shortlist(target, seeds=lan(10, seed=seed), diversity=Diversity(), k=K, paths=4, max_candidates=bound)
    asked = 0
    while not shortlist.finished():
        while (c := shortlist.next()) is not None:
            asked += 1
            assert asked <= bound
            span = 250 - asked
            names = [contact(target ^ (rng.u64() << span - 64 | i)) for i in range(20)]
            if rng.below(3):
                shortlist.on_reply(c, names)
            else:
                shortlist.on_failed(c)
        assert len(shortlist) <= bound
