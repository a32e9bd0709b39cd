"""The shipped scenarios of the chain, small: what they claim holds, and planted bugs are found."""

from __future__ import annotations

from functools import cache

import pytest

from apps.chain.core import sync
from apps.chain.core.difficulty import next_difficulty
from apps.chain.core.params import Params
from simulations import spec
from simulations.adversaries.selfish import expected_revenue
from simulations.scenario import BadScenario
from simulations.swarm import RunEnd, Swarm
from tests.sim.test_planted_bugs import failed, run

SMALL: dict[str, tuple[str, ...]] = {
    "chain-lossy": ("population.nodes=8", "duration_s=300", "workload.to_s=255", "workload.count_from_s=100"),
    "chain-partition": (
        "population.nodes=8", "timeline.0.at_s=200", "timeline.1.at_s=500", "workload.1.at_s=260", "workload.1.count=3",
        "workload.2.from_s=500", "workload.0.to_s=620", "duration_s=680",
    ),
    "chain-sleep": (
        "population.nodes=6", "timeline.0.at_s=400", "timeline.0.for_s=3600", "workload.count_from_s=400",
        "workload.to_s=4400", "duration_s=4460",
    ),
    "chain-skew": ("population.nodes=10", "workload.to_s=350", "workload.count_from_s=100", "duration_s=450"),
    "chain-eclipse": (
        "population.nodes=10", "adversaries.count=7", "population.bootstraps=2", "duration_s=300", "workload.to_s=240",
    ),
    "chain-flood": (
        "population.nodes=5", "adversaries.count=1", "adversaries.accounts=20", "adversaries.rate=60",
        "adversaries.from_s=400", "adversaries.to_s=430", "duration_s=520", "workload.difficulty=4096",
        "workload.target_s=15",
    ),
    "chain-selfish-miner": ("duration_s=600",),
}  # fmt: skip
#: What needs the size of the scenario.
LARGE_ONLY = {
    "it was cut for a hundred blocks", "it goes on", "the chain goes on", "little work is lost", "pools were full",
    "who claims too much, or gives what is none, is barred", "its revenue is that of Eyal and Sirer",
    "the work of honest nodes is not lost",
}  # fmt: skip


@cache
def well(name: str) -> RunEnd:
    return run(name, *SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_what_is_claimed_holds(name: str) -> None:
    end = well(name)
    assert failed(end) <= LARGE_ONLY
    assert end.measures["chain_height"] >= 10


def test_a_run_is_the_same_at_every_run() -> None:
    again = run("chain-lossy", *SMALL["chain-lossy"])
    before = well("chain-lossy")
    assert (again.trace_hash, again.measures) == (before.trace_hash, before.measures)


def test_liars_are_barred_and_what_they_keep_back_comes_from_others() -> None:
    end = well("chain-eclipse")
    assert end.measures["liar_bad"] >= 4
    assert end.measures["block_success"] == 1


def test_a_flood_fills_a_pool_and_not_the_blocks_of_those_who_pay() -> None:
    end = well("chain-flood")
    assert end.measures["flood_sent"] > 1000
    assert end.measures["payment_blocks_p99"] <= 2


def test_a_selfish_miner_wins_races_as_expected() -> None:
    end = well("chain-selfish-miner")
    assert end.measures["selfish_low"] <= end.measures["selfish_expected"] <= end.measures["selfish_high"]
    # Figures of the paper: without help it pays from a third on, with half of the others from a quarter.
    assert expected_revenue(1 / 3, 0) == pytest.approx(1 / 3, abs=1e-9)
    assert expected_revenue(0.25, 0.5) == pytest.approx(0.25, abs=1e-9)
    assert expected_revenue(0.4, 0) == pytest.approx(0.484, abs=5e-4)


def test_a_part_about_the_chain_needs_the_application() -> None:
    with pytest.raises(BadScenario, match=r'population.apps: expected "chain" among them'):
        Swarm(spec.load("chain-lossy", ("population.apps=[]",)))


# --- planted bugs -------------------------------------------------------------------------


def test_bodies_that_are_never_fetched_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(self: sync.Sync) -> None:
        return None

    monkeypatch.setattr(sync.Sync, "_bodies", nothing)
    told = failed(run("chain-partition", *SMALL["chain-partition"]))
    assert {"one chain within a minute", "all have one tip"} <= told


def test_who_is_blamed_for_a_future_block_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = property(lambda self: self.verdict in ("invalid", "mutated", "held"))
    monkeypatch.setattr("apps.chain.core.news.Told.bad", bad)
    assert "chain-true" in failed(run("chain-skew", *SMALL["chain-skew"]))


def test_a_state_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    reward, counts = Params.reward, [0]

    def sometimes(self: Params, height: int) -> int:
        """Every other node gives a unit too much."""
        counts[0] += height == 3
        return reward(self, height) + (height == 3 and counts[0] % 2)

    monkeypatch.setattr(Params, "reward", sometimes)
    assert "chain-true" in failed(run("chain-lossy", *SMALL["chain-lossy"], "workload.maturity=4"))


def test_debts_after_a_sleep_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_clamp(parent: int, solve_s: int, **terms: int) -> int:
        return next_difficulty(parent, solve_s, **(terms | {"clamp": 10_000}))

    monkeypatch.setattr("apps.chain.core.params.next_difficulty", without_clamp)
    found = run("chain-sleep", *SMALL["chain-sleep"], "workload.difficulty=16384")
    assert "no flood of blocks" in failed(found)
