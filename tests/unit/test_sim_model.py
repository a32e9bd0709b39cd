"""The compiled parts of the model against the same in plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from overlay.limits import K
from simulations.model.ids import leading_zeros, nearest, start_index
from simulations.model.run import run
from simulations.model.tables import ROOM, Net, bucket, closest


def network(nodes: int, *, bad: float = 0.0, capture: float = 0.0, seed: int = 1) -> Net:
    rng = np.random.default_rng(seed)
    ids = np.sort(rng.integers(0, 1 << 64, nodes, dtype=np.uint64))
    return Net(
        ids, start_index(ids), rng.integers(0, 256, nodes, dtype=np.uint8), rng.random(nodes) < bad,
        round(capture * 65_536), np.uint64(seed),
    )  # fmt: skip


def depth_of(net: Net, a: int, b: int) -> int:
    return 64 - (int(net.ids[a]) ^ int(net.ids[b])).bit_length()


def members(net: Net, node: int, depth: int) -> set[int]:
    out = np.empty(ROOM, np.int64)
    return set(out[: bucket(net, np.int64(node), np.int64(depth), out)].tolist())


def distance(net: Net, target: np.uint64) -> Any:
    return lambda node: int(net.ids[node]) ^ int(target)


def test_leading_zeros() -> None:
    for bit in range(64):
        assert leading_zeros(np.uint64(1 << bit)) == 63 - bit
    assert leading_zeros(np.uint64(0)) == 64


@pytest.mark.parametrize("nodes", [1, 3, 25, 1000])
def test_nearest_are_those_of_a_sort(nodes: int) -> None:
    net, out = network(nodes), np.empty(K, np.int64)
    for target in np.random.default_rng(2).integers(0, 1 << 64, 50, dtype=np.uint64):
        n = nearest(net.ids, net.starts, target, K, out)
        assert out[:n].tolist() == sorted(range(nodes), key=distance(net, target))[:K]


def test_a_bucket_is_whole_if_it_is_small_and_has_k_or_more_if_it_is_large() -> None:
    net = network(400)
    for node in range(0, 400, 40):
        everybody: set[int] = set()
        for depth in range(64):
            there = {other for other in range(400) if other != node and depth_of(net, node, other) == depth}
            found = members(net, node, depth)
            assert found <= there
            assert found == there if len(there) <= K else K <= len(found) <= 2 * K
            everybody |= found
        near = sorted((other for other in range(400) if other != node), key=distance(net, net.ids[node]))[:K]
        assert set(near) <= everybody


def test_a_node_answers_with_the_nearest_of_all_it_knows_and_never_with_the_asker() -> None:
    net = network(400)
    group, out = np.empty(ROOM, np.int64), np.empty(K, np.int64)
    rng = np.random.default_rng(3)
    for target in rng.integers(0, 1 << 64, 100, dtype=np.uint64):
        node, asker = rng.choice(400, 2, replace=False)
        n = closest(net, np.int64(node), np.int64(asker), target, group, out)
        known = set().union(*(members(net, node, depth) for depth in range(20))) - {asker}
        assert sorted(out[:n].tolist()) == sorted(sorted(known, key=distance(net, target))[:K])


def test_a_captured_bucket_holds_more_of_those_who_collude() -> None:
    def share(capture: float) -> float:
        net = network(2000, bad=0.3, capture=capture)
        found = [member for node in range(200) for member in members(net, node, 0)]
        return float(net.bad[found].mean())

    assert share(0.0) == pytest.approx(0.3, abs=0.03)
    assert share(1.0) > 0.5


def test_without_adversaries_every_lookup_finds_its_owner() -> None:
    for paths in (1, 8):
        end = run(nodes=3000, adversaries=0, paths=paths, lookups=500, seed=1)
        assert end.success == 1.0
        assert K < end.rpcs < 100


def test_disjoint_paths_help_and_adversaries_hurt() -> None:
    one, eight = (run(nodes=3000, adversaries=0.4, paths=paths, lookups=500, seed=1) for paths in (1, 8))
    assert one.success < eight.success
    assert run(nodes=3000, adversaries=0.1, paths=1, lookups=500, seed=1).success > one.success


def test_the_same_seed_gives_the_same_figures_and_another_does_not() -> None:
    def figures(seed: int) -> tuple[float, float, float]:
        end = run(nodes=2000, adversaries=0.4, paths=4, lookups=400, seed=seed)
        return end.success, end.rpcs, end.hops

    assert figures(1) == figures(1)
    assert figures(1) != figures(2)


def test_a_tiny_network_is_no_special_case() -> None:
    end = run(nodes=5, adversaries=0.4, paths=8, lookups=50, seed=1)
    assert end.success == 1.0
