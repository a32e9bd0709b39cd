"""One seed, one course of events: on every run, under every hash seed, and with cheap signatures as with real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.swarm import LOOPBACK, Swarm

ROOT = Path(__file__).parents[2]
#: Joins, all kinds of commands, loss, a death, a restart after a power loss, a partition.
_PROGRAM = "from tests.sim.test_determinism import course; print(course(5))"


def course(seed: int, *, fake_keys: bool = False) -> str:
    """Trace of a short life of 12 peers."""
    swarm = _lived(seed, fake_keys=fake_keys)
    return swarm.engine.trace()


def _lived(seed: int, *, fake_keys: bool) -> Swarm:
    swarm = Swarm(12, seed=seed, link=LOOPBACK, traced=True, fake_keys=fake_keys)
    put = swarm.command(1, "put", value=b"value", name="x")
    swarm.commands([(node, "get", {"key": put["key"]}) for node in range(12)])
    swarm.command(2, "provide", key="ab" * 32)
    swarm.kill(3)
    swarm.kill(4, power_loss=True)
    swarm.run_for(10)
    swarm.engine.start(4)
    swarm.partition([0, 1, 2])
    swarm.run_for(10)
    swarm.heal()
    swarm.run_for(10)
    swarm.command(5, "providers", key="ab" * 32)
    return swarm


def test_a_seed_gives_one_course_and_another_seed_another() -> None:
    assert course(5) == course(5)
    assert course(5) != course(6)


def test_the_course_does_not_depend_on_the_hash_seed_or_the_process() -> None:
    here = course(5)
    for hash_seed in ("0", "1", "4242"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        there = subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=env, cwd=ROOT, check=True, capture_output=True, text=True
        )
        assert there.stdout.strip() == here, f"PYTHONHASHSEED={hash_seed}"


def test_cheap_signatures_change_no_decision() -> None:
    real, cheap = (_lived(5, fake_keys=fake) for fake in (False, True))
    assert real.engine.trace() == cheap.engine.trace()
    assert real.reports == cheap.reports
    assert real.engine.events == cheap.engine.events
    assert (real.network.sent, real.network.sent_bytes) == (cheap.network.sent, cheap.network.sent_bytes)
    assert real.engine.now_ns == cheap.engine.now_ns
