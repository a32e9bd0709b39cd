"""Commands on one share that come while others are under way: what is told, what is written down, what runs and what is
on the disk agree, as if each had come when the one before was done."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apps.files.core.app import Files
from apps.files.core.memory_disk import MemoryDisk, make_share
from apps.files.core.saved import SHARE, decode_saved
from apps.files.core.turns import Turns
from overlay.app import App
from overlay.errors import LocalError
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND, Failed, Now, Ok, Outcome
from overlay.runtime.scope import CancelScope
from tests.support.files_swarm import FilesSwarm

FILM = make_share(b"film", {(b"film",): 3 * 16_384 + 5}, unit_bytes=16_384)
ID = FILM.info.id
NODE = 1
COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "get": ("get", {"folder": "/downloads"}), "share": ("share", {"path": "film"}), "pause": ("pause", {}),
    "resume": ("resume", {}), "remove": ("remove", {}), "erase": ("remove", {"erase": True}),
}  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(sorted(COMMANDS)), st.sampled_from([0, 0, 0.0005, 0.002, 1])), max_size=8)


@attrs.define(slots=True, eq=False)
class Noting(MemoryDisk):
    """Knows a share from its scan, or from when it was opened with an info dictionary, until it is forgotten."""

    known: set[bytes] = attrs.Factory(set)

    def scan(self, path: str, name: str | None, piece_length: int | None) -> tuple[bytes, bytes]:
        raw, share = MemoryDisk.scan(self, path, name, piece_length)
        self.known.add(share)
        return raw, share

    def open(self, share: bytes, raw: bytes, folder: str, wanted: tuple[int, ...] | None) -> tuple[str, bytes]:
        if not raw and share not in self.known:
            raise LocalError("nothing is known here of this share")
        self.known.add(share)
        return MemoryDisk.open(self, share, raw, folder, wanted)

    def info(self, share: bytes) -> bytes:
        return self.library[share].info.raw if share in self.known else b""

    def forget(self, share: bytes, erase: bool) -> None:
        self.known.discard(share)
        MemoryDisk.forget(self, share, erase)


class Swarm(FilesSwarm):
    """Node 0 has it all."""

    def __init__(self, seed: int) -> None:
        super().__init__(2, {ID: FILM}, seed=seed)
        self.link = self.ask(0, "share", path="film")["link"]
        self.done: list[tuple[str, Outcome]] = []

    def _files(self, node: int) -> list[App]:
        self.disks.setdefault(node, Noting(self.library))
        return super()._files(node)

    def begin(self, step: str) -> None:
        command, args = COMMANDS[step]
        args = args | ({"link": self.link} if command == "get" else {} if command == "share" else {"share": ID.hex()})
        self.engine.command(
            NODE, "app", {"app": "files", "command": command, "args": args},
            lambda outcome: self.done.append((step, outcome)),
        )  # fmt: skip

    @property
    def here(self) -> Files:
        return self.files[NODE]

    def seen(self) -> str:
        """What is written down and what runs, which agree."""
        running, raw = self.here.shares.get(ID), self.here.ctx.storage.get(SHARE + ID)
        if running is None or raw is None:
            assert (running, raw) == (None, None)
            return "none"
        assert running.saved == decode_saved(raw)
        state = running.share.state.value
        assert (state == "paused") is running.saved.paused
        return state


def expected(done: list[tuple[str, Outcome]]) -> tuple[str, bool]:
    """By the commands in the order in which they ended: what becomes of the share, and whether what was there is
    erased."""
    state, erased = "none", False
    for step, outcome in done:
        if isinstance(outcome, Failed):
            assert outcome.code == "not_found", outcome
            assert step not in ("get", "share")
            continue
        assert isinstance(outcome, Ok)
        told: dict[str, Any] = outcome.value
        if step in ("get", "share"):
            state, erased = "complete", False
            assert told.get("state") != "paused"
        else:
            assert state != "none", f"{step} of what is not here"
            state = {"pause": "paused", "resume": "complete"}.get(step, "none")
            erased = erased or bool(told.get("erased"))
            assert state == "none" or (told["state"] == "paused") is (state == "paused")
    return state, erased


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 20))
@example([("get", 0), ("erase", 1), ("get", 0), ("erase", 0), ("get", 0)], 0)  # stopped before its channel was agreed
@example([("get", 0), ("erase", 1), ("get", 0), ("erase", 0)], 0)
def test_commands_at_once_end_as_one_after_another(steps: list[tuple[str, float]], seed: int) -> None:
    check(Swarm(seed), steps)


@pytest.mark.parametrize(
    "pair",
    ["pause remove", "remove pause", "pause resume", "pause get", "remove get", "erase get", "remove share",
     "share remove", "erase share", "get get", "remove remove", "get pause"],
)  # fmt: skip
@pytest.mark.parametrize("gap", [0, 0.0005])
def test_pairs_at_once(pair: str, gap: float) -> None:
    first, second = pair.split()
    check(Swarm(7), [("get", 5), (first, gap), (second, 0)])


def test_what_is_begun_again_at_once_does_not_wait_for_the_next_try() -> None:
    swarm = Swarm(0)
    for step, gap in (("get", 0), ("erase", 1), ("get", 0), ("erase", 0), ("get", 1.5)):
        swarm.begin(step)
        swarm.run_for(gap)
    assert swarm.seen() == "complete"


def check(swarm: Swarm, steps: list[tuple[str, float]]) -> None:
    for step, gap in steps:
        swarm.begin(step)
        swarm.run_for(gap)
    swarm.run_for(20)
    assert len(swarm.done) == len(steps)
    state, erased = expected(swarm.done)
    assert swarm.seen() == state
    if erased:
        assert ID not in swarm.disks[NODE].held
    if state == "complete":
        assert len(swarm.disks[NODE].held[ID]) == FILM.layout.units
    else:  # the other side would be told what a share does that rests
        assert [session.channels() for session in swarm.here.sessions.values() if session.channels()] == []
    swarm.restart(NODE)
    swarm.run_for(5)
    assert swarm.seen() == state
    assert swarm.events("failed") == swarm.events("command failed") == []


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from(["waits", "is cancelled"])), max_size=12))
def test_turns_come_in_order_and_one_that_is_given_up_holds_up_nobody(asked: list[tuple[bytes, str]]) -> None:
    loop = Loop()
    turns, scopes, inside = Turns(loop), list[CancelScope](), {b"a": 0, b"b": 0}
    had: dict[bytes, list[int]] = {b"a": [], b"b": []}

    async def command(share: bytes, number: int) -> None:
        with loop.scope() as scope:
            scopes.append(scope)
            async with turns.of(share):
                inside[share] += 1
                assert inside[share] == 1
                try:
                    await loop.sleep(SECOND)
                    had[share].append(number)
                finally:
                    inside[share] -= 1

    for number, (share, _) in enumerate(asked):
        loop.spawn_root(command(share, number), name="command")
    run = partial(run_at, loop)
    run(0)
    for number, (_, fate) in enumerate(asked):
        if fate == "is cancelled":
            scopes[number].cancel()
    for at_s in range(len(asked) + 1):
        run(at_s)
    for share, numbers in had.items():
        assert numbers == [n for n, (of, fate) in enumerate(asked) if of == share and fate == "waits"]
    assert (len(turns), loop.crashed) == (0, [])


def run_at(loop: Loop, at_s: int) -> None:
    loop.run(Now(at_s * SECOND, 0))
