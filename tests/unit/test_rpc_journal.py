"""The journal: one effect for all who wait for it, and the truth about what came of it."""

from __future__ import annotations

from typing import Any

import pytest

from overlay.errors import LocalError
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.runtime.ports import Commit, Effect, Failed, Ok, Outcome, Sync
from simulations.storage import MemoryStorage


class Bench:
    def __init__(self) -> None:
        self.loop = Loop()
        self.effects: list[Effect] = []
        ids = iter(range(1, 100))
        self.journal = Journal(self.loop, MemoryStorage(), self.effects.append, lambda: next(ids))
        self.heard: list[Outcome] = []

    def drain(self) -> None:
        self.loop.drain()
        self.journal.flush()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_many_waiters_share_one_commit(bench: Bench) -> None:
    for _ in range(100):
        bench.journal.after_commit(bench.heard.append)
    bench.drain()
    assert bench.effects == [Commit(1)]
    assert bench.heard == []
    assert bench.journal.done(1, Ok())
    assert bench.heard == [Ok()] * 100


def test_a_commit_does_not_stand_for_a_sync(bench: Bench) -> None:
    bench.journal.after_commit(bench.heard.append)
    bench.journal.after_sync(bench.heard.append)
    bench.drain()
    assert bench.effects == [Commit(1), Sync(2)]
    bench.journal.done(1, Ok())
    assert len(bench.heard) == 1


def test_who_comes_after_the_flush_waits_for_the_next(bench: Bench) -> None:
    bench.journal.after_commit(bench.heard.append)
    bench.drain()
    bench.journal.after_commit(bench.heard.append)
    bench.journal.done(1, Ok())
    assert len(bench.heard) == 1
    bench.drain()
    assert bench.effects == [Commit(1), Commit(2)]


def test_nobody_waits_nothing_is_written(bench: Bench) -> None:
    bench.drain()
    assert bench.effects == []


@pytest.mark.parametrize("wait", ["committed", "synced"])
def test_a_failure_reaches_everybody(bench: Bench, wait: str) -> None:
    tasks = [bench.loop.spawn_root(getattr(bench.journal, wait)(), name=f"{i}") for i in range(3)]
    for task in tasks:
        task.add_callback(lambda: None)
    bench.drain()
    bench.journal.done(1, Failed("failed", "disk full"))
    bench.drain()
    for task in tasks:
        with pytest.raises(LocalError, match="disk full"):
            task.result()


@pytest.mark.parametrize("effect_id", [1, 7])
def test_an_answer_counts_once_and_a_strange_one_never(bench: Bench, effect_id: int) -> None:
    bench.journal.after_commit(bench.heard.append)
    bench.drain()
    assert [bench.journal.done(effect_id, Ok()) for _ in range(2)] == [effect_id == 1, False]
    assert len(bench.heard) == (1 if effect_id == 1 else 0)


def test_a_waiter_that_was_cancelled_does_not_disturb_the_others(bench: Bench) -> None:
    gone: Any = bench.loop.spawn_root(bench.journal.committed(), name="gone")
    stays: Any = bench.loop.spawn_root(bench.journal.committed(), name="stays")
    bench.drain()
    gone.cancel()
    bench.drain()
    bench.journal.done(1, Ok())
    bench.drain()
    assert gone.cancelled
    assert stays.done
    assert bench.loop.crashed == []
