"""The shipped scenarios of file sharing, small: what they claim holds, and a planted bug is found."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from apps.files.core import choker, disk, download, endgame
from apps.files.core.choker import Choker, Standing
from apps.files.core.download import Download
from apps.files.core.memory_disk import MemoryDisk
from overlay import App
from simulations import spec
from simulations.apps import factory
from simulations.files.world import FilesWorld
from simulations.scenario import BadScenario
from simulations.swarm import RunEnd, Swarm
from tests.sim.test_planted_bugs import failed, run

_SMALL = ("population.nodes=16", "population.arrive_s=5", "workload.from_s=8", "workload.get_from_s=12",
          "workload.unit_kib=64", "workload.size_mib=4", "duration_s=70")  # fmt: skip
#: Each liar has a unit of everybody in vain: a film must have many more.
_MANY_UNITS = (*_SMALL, "workload.unit_kib=16", "workload.size_mib=10")
#: Slots are scarce enough for merit to count.
_RIDERS = (*_SMALL, "adversaries.count=3", "workload.unit_kib=256", "workload.size_mib=12", "duration_s=110")


@cache
def well(name: str, *settings: str) -> RunEnd:
    return run(name, *(settings or _SMALL))


@pytest.mark.parametrize(
    ("name", "settings"), [("file-flash-crowd", _SMALL), ("file-liars", _MANY_UNITS), ("file-seed-dies", _SMALL)]
)
def test_all_finish_with_no_wrong_byte(name: str, settings: tuple[str, ...]) -> None:
    end = well(name, *settings)
    assert failed(end) == set()
    assert end.measures["film_success"] == 1
    assert end.measures["film_count"] >= 8


def test_free_riders_are_slower_than_those_who_share() -> None:
    end = well("file-free-riders", *_RIDERS)
    assert failed(end) == set()
    assert end.measures["film_free_riders_held"] < 0.85
    assert end.measures["film_free_riders_slower"] > 1.02


def test_a_run_with_files_is_the_same_at_every_run() -> None:
    again = run("file-liars", *_SMALL)
    assert (again.trace_hash, again.measures) == (well("file-liars").trace_hash, well("file-liars").measures)


def test_who_has_it_may_leave() -> None:
    end = run("file-flash-crowd", *_SMALL, "workload.then=leave")
    assert end.measures["film_success"] == 1


# --- planted bugs -------------------------------------------------------------------------


def test_what_is_not_verified_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no wrong byte" not in failed(well("file-liars"))
    monkeypatch.setattr(disk, "is_good", lambda *_: True)
    assert {"no wrong byte", "files-true"} <= failed(run("file-liars", *_SMALL))


def test_a_unit_that_is_told_of_and_not_written_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    write = MemoryDisk.write

    def forgetful(self: MemoryDisk, share: bytes, units: tuple[disk.Unit, ...]) -> tuple[int, ...]:
        codes = write(self, share, units)
        self.held[share].discard(0)
        return codes

    assert "files-true" not in failed(well("file-flash-crowd"))
    monkeypatch.setattr(MemoryDisk, "write", forgetful)
    assert "files-true" in failed(run("file-flash-crowd", *_SMALL))


def test_slots_that_nobody_has_to_earn_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_turn(
        self: Choker[Any], now: int, waiting: list[Standing[Any]], optimistic: Any, *, seeding: bool
    ) -> list[Any]:  # fmt: skip
        others = [one for one in waiting if one.peer != optimistic]
        others.sort(key=lambda one: self._served.get(one.peer, -1))
        return [one.peer for one in others[: self.slots - 1]]

    monkeypatch.setattr(Choker, "_regular", in_turn)
    monkeypatch.setattr(Choker, "spent", lambda *_: False)
    monkeypatch.setattr(choker, "is_taker", lambda _: False)
    told = failed(run("file-free-riders", *_RIDERS))
    assert told & {"free riders are slower", "they are behind when sharers are done"}


def test_copies_that_are_never_cancelled_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "little comes in vain" not in failed(well("file-flash-crowd"))
    monkeypatch.setattr(endgame, "REPEATED_PART", 1)
    monkeypatch.setattr(Download, "_most_now", lambda self, channel: 16)
    tell = Download._tell
    monkeypatch.setattr(
        Download, "_tell",
        staticmethod(lambda channel, units, kind: None if kind is download.Cancel else tell(channel, units, kind)),
    )  # fmt: skip
    assert "little comes in vain" in failed(run("file-flash-crowd", *_SMALL))


# --- the seam -----------------------------------------------------------------------------


class Shelf:
    """A world of a test: it counts how often a node was started."""

    def __init__(self) -> None:
        self.starts: dict[int, int] = {}

    def app(self, node: int) -> App:
        self.starts[node] = self.starts.get(node, 0) + 1
        app = App()
        app.name = "counted"  # type: ignore[misc]
        return app


def test_an_application_may_bring_a_world_of_its_own() -> None:
    worlds = factory([f"{__name__}:Shelf", "files"])
    assert [app.name for app in worlds(3)] == ["counted", "files"]
    shelf = worlds.find(Shelf)
    assert shelf is not None
    assert shelf.starts[3] == 1
    assert factory(["files"]).find(Shelf) is None


def test_a_part_about_files_needs_the_application() -> None:
    with pytest.raises(BadScenario, match=r'population.apps: expected "files" among them'):
        Swarm(spec.load("file-liars", ("population.apps=[]",)))


def test_each_swarm_has_a_world_of_its_own() -> None:
    scenario = spec.load("file-flash-crowd", _SMALL)
    first, second = (Swarm(scenario).worlds.find(FilesWorld) for _ in range(2))
    assert first is not second
