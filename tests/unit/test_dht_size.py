from __future__ import annotations

import statistics

import pytest

from overlay.dht.distance import SPACE, random_number
from overlay.dht.size import SizeEstimate
from overlay.limits import K
from overlay.rpc.contact import Contact
from overlay.runtime.chance import Rng
from tests.support.dht import contact


def closest(nodes: list[Contact], target: int) -> list[Contact]:
    return sorted(nodes, key=lambda c: c.number ^ target)[:K]


def test_knows_nothing_at_first() -> None:
    size = SizeEstimate()
    assert size.estimate is None
    assert size.radius(20) is None
    assert not size.trusted


@pytest.mark.parametrize("others", [0, 1, 7, K - 1])
def test_a_small_network_is_counted(others: int) -> None:
    size = SizeEstimate()
    size.add_lookup(0, [contact(i + 1) for i in range(others)], own=0)
    assert size.trusted
    assert size.estimate == others + 1
    assert size.radius(20) == SPACE - 1 if others < 20 else True


def test_needs_five_samples_to_be_trusted() -> None:
    rng = Rng(1)
    nodes = [contact(random_number(rng)) for _ in range(500)]
    size = SizeEstimate()
    for i in range(5):
        assert not size.trusted
        assert size.radius(20) is None
        size.add_lookup(target := random_number(rng), closest(nodes, target), own=random_number(rng))
        assert size.estimate is not None, i
    assert size.trusted


@pytest.mark.parametrize("count", [30, 1000])
def test_is_right_on_average(count: int) -> None:
    rng = Rng(count)
    estimates, inside = [], []
    for _ in range(60):
        nodes = [contact(random_number(rng)) for _ in range(count)]
        size = SizeEstimate()
        for target in (random_number(rng) for _ in range(16)):
            size.add_lookup(target, closest(nodes[1:], target), own=nodes[0].number)
        assert size.estimate is not None
        estimates.append(size.estimate / count)
        radius = size.radius(20)
        assert radius is not None
        target = random_number(rng)
        inside.append(sum(c.number ^ target <= radius for c in nodes))
    # A median of 16 samples deviates by about 7 %, the mean of 60 of them by 1 %.
    assert 0.96 < statistics.mean(estimates) < 1.04
    assert 18 < statistics.mean(inside) < 22


def test_a_minority_of_crowded_targets_decides_nothing() -> None:
    rng = Rng(3)
    nodes = [contact(random_number(rng)) for _ in range(1000)]
    size = SizeEstimate()
    for i in range(16):
        target = random_number(rng)
        crowd = [contact(target ^ 1 << j) for j in range(K)] if i % 4 == 0 else []
        size.add_lookup(target, closest(nodes + crowd, target), own=random_number(rng))
    assert size.estimate is not None
    assert 600 < size.estimate < 1700


def test_one_broken_lookup_does_not_shrink_a_large_network_but_three_do() -> None:
    rng = Rng(4)
    nodes = [contact(random_number(rng)) for _ in range(1000)]
    size = SizeEstimate()
    for target in (random_number(rng) for _ in range(8)):
        size.add_lookup(target, closest(nodes, target), own=0)
    before = size.estimate
    size.add_lookup(0, nodes[:2], own=1)
    size.add_lookup(0, nodes[:2], own=1)
    assert size.estimate == before
    size.add_lookup(0, nodes[:2], own=1)
    assert size.estimate == 3
    size.add_lookup(target, closest(nodes, target), own=0)
    assert size.estimate is not None
    assert size.estimate > 300
