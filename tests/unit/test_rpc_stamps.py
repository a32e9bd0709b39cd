"""Stamps: a sender's never go back; a receiver knows the old ones."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from overlay.errors import LimitError, LocalError
from overlay.limits import FRESH_WINDOW_S, MAX_STAMPS_REMEMBERED, STAMP_BLOCK, STAMP_SPARE
from overlay.rpc.stamps import FreshStamps, StampSource
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND, Effect, Failed, Now, Ok, Outcome, Sync
from simulations.storage import MemoryStorage

DAY_MS = 24 * 3600 * 1000
WALL = 1_800_000_000_000


@attrs.define
class Disk:
    """A journal whose syncs are answered by hand."""

    storage: MemoryStorage = attrs.field(factory=MemoryStorage)
    waiting: list[Effect] = attrs.field(factory=list)
    _marks: dict[int, int] = attrs.field(factory=dict)
    _last_id: int = 0

    def journal(self) -> Journal:
        self.loop = Loop()
        self._journal = Journal(self.loop, self.storage, self.waiting.append, self._next_id)
        return self._journal

    loop: Loop = attrs.field(factory=Loop)
    _journal: Journal = attrs.field(init=False)

    def _next_id(self) -> int:
        self._last_id += 1
        self._marks[self._last_id] = self.storage.mark()
        return self._last_id

    def flush(self) -> None:
        self.loop.drain()
        self._journal.flush()

    def answer(self, outcome: Outcome | None = None) -> None:
        self.flush()
        waiting = self.waiting[:]
        self.waiting.clear()
        for effect in waiting:
            assert isinstance(effect, Sync)
            if outcome is None:
                self.storage.sync(self._marks[effect.id])
            self._journal.done(effect.id, Ok() if outcome is None else outcome)
        self.loop.drain()


def born(disk: Disk, wall_ms: int) -> StampSource:
    """A source that has its first block."""
    source = StampSource(disk.journal())
    task = disk.loop.spawn_root(source.reserve(Now(0, wall_ms)), name="reserve")
    disk.answer()
    task.result()
    return source


def test_nothing_is_given_out_before_a_block_is_on_disk() -> None:
    disk = Disk()
    source = StampSource(disk.journal())
    disk.loop.spawn_root(source.reserve(Now(0, WALL)), name="reserve")
    disk.flush()
    assert not source.ready
    with pytest.raises(LocalError, match="no stamp is reserved"):
        source.take(Now(0, WALL))
    disk.answer()
    assert source.ready
    assert source.take(Now(0, WALL)) == WALL


def test_a_disk_that_refuses_the_first_block_is_told_to_who_starts() -> None:
    disk = Disk()
    source = StampSource(disk.journal())
    task = disk.loop.spawn_root(source.reserve(Now(0, WALL)), name="reserve")
    task.add_callback(lambda: None)
    disk.answer(Failed("failed", "disk full"))
    with pytest.raises(LocalError, match="disk full"):
        task.result()
    assert not source.ready


def test_they_follow_the_clock_and_grow_by_one_within_a_millisecond() -> None:
    source = born(Disk(), WALL)
    taken = [source.take(Now(0, WALL + ms)) for ms in (0, 0, 0, 7, 7)]
    assert taken == [WALL, WALL + 1, WALL + 2, WALL + 7, WALL + 8]


def test_a_clock_set_back_does_not_take_them_back() -> None:
    source = born(Disk(), WALL)
    first = source.take(Now(0, WALL))
    assert source.take(Now(1, WALL - DAY_MS)) == first + 1


def test_they_skip_to_where_they_are_told_as_far_as_the_block_goes() -> None:
    source = born(Disk(), WALL)
    source.take(Now(0, WALL))
    source.skip_to(WALL + 500)
    assert (source.last, source.take(Now(0, WALL))) == (WALL + 500, WALL + 501)
    source.skip_to(WALL)
    assert source.take(Now(0, WALL)) == WALL + 502, "never back"
    source.skip_to(1 << 63)
    assert source.ready
    assert WALL + STAMP_BLOCK > source.take(Now(0, WALL)) > WALL + STAMP_BLOCK // 2


def test_before_the_first_block_they_skip_nowhere() -> None:
    source = StampSource(Disk().journal())
    source.skip_to(WALL)
    assert (source.last, source.ready) == (0, False)


@pytest.mark.parametrize("back_ms", [0, DAY_MS, 400 * DAY_MS])
def test_after_a_power_loss_they_begin_above_all_that_was_given_out(back_ms: int) -> None:
    disk = Disk()
    source = born(disk, WALL)
    last = max(source.take(Now(0, WALL + ms)) for ms in range(0, STAMP_BLOCK, 1000))
    disk.storage.power_loss()  # a second block was asked for, not synced
    assert born(disk, WALL - back_ms).take(Now(0, WALL - back_ms)) > last


def test_a_clock_far_ahead_waits_for_a_block_and_order_does_not() -> None:
    disk = Disk()
    source = born(disk, WALL)
    source.take(Now(0, WALL))
    taken = [source.take(Now(0, WALL + DAY_MS)) for _ in range(3)]
    assert taken == sorted(set(taken))
    assert taken[-1] < WALL + STAMP_BLOCK, "beyond the block nothing is promised by the disk"
    disk.answer()
    assert source.take(Now(0, WALL + DAY_MS)) == WALL + DAY_MS


def test_one_block_is_asked_for_at_a_time_and_before_the_last_is_used_up() -> None:
    disk = Disk()
    source = born(disk, WALL)
    for ms in range(0, STAMP_BLOCK, 5000):
        source.take(Now(0, WALL + ms))
        disk.flush()
    assert len(disk.waiting) == 1


def exhaust(source: StampSource, disk: Disk) -> None:
    """Use a block up while the disk refuses every other."""
    source.take(Now(0, WALL + 10 * DAY_MS))
    while source.ready:
        source.take(Now(0, WALL))
        if disk.waiting:
            disk.answer(Failed("failed", "disk full"))


def test_when_the_disk_fails_the_block_is_used_up_to_its_end_and_not_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.rpc.stamps.STAMP_BLOCK", 64)
    monkeypatch.setattr("overlay.rpc.stamps.STAMP_SPARE", 64)
    disk = Disk()
    source = born(disk, WALL)
    exhaust(source, disk)
    with pytest.raises(LocalError):
        source.take(Now(0, WALL))
    assert source._last == WALL + 64


def test_when_the_disk_works_again_there_are_stamps_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.rpc.stamps.STAMP_BLOCK", 64)
    monkeypatch.setattr("overlay.rpc.stamps.STAMP_SPARE", 64)
    disk = Disk()
    source = born(disk, WALL)
    exhaust(source, disk)
    disk.answer(Failed("failed", "disk full"))
    source.renew(Now(0, WALL))
    assert not source.ready
    disk.answer()
    assert source.take(Now(0, WALL)) > WALL + 64


def left(disk: Disk, source: StampSource, *, wall_ms: int = WALL) -> None:
    task = disk.loop.spawn_root(source.give_back(Now(0, wall_ms)), name="leave")
    disk.answer()
    task.result()


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("back_ms", [0, DAY_MS])
def test_who_leaves_goes_on_where_it_ended(power: bool, back_ms: int) -> None:
    disk = Disk()
    source = born(disk, WALL)
    last = max(source.take(Now(0, WALL)) for _ in range(10))
    left(disk, source)
    if power:
        disk.storage.power_loss()
    assert born(disk, WALL - back_ms).take(Now(0, WALL - back_ms)) == last + 1


def test_what_is_given_back_is_not_used_and_two_seconds_nothing_is_reserved() -> None:
    disk = Disk()
    source = born(disk, WALL)
    last = source.take(Now(0, WALL + STAMP_BLOCK - 1))  # another block is being written
    left(disk, source)
    assert not source.ready
    source.renew(Now(2 * SECOND - 1, WALL))
    disk.answer()
    assert not source.ready
    # It did not end.
    source.renew(Now(2 * SECOND, WALL))
    disk.answer()
    assert source.take(Now(2 * SECOND, WALL)) == last + 1


def test_a_crash_moves_them_two_minutes_and_the_next_ones_less() -> None:
    disk = Disk()
    ahead = []
    for life in range(1, 21):
        taken = born(disk, WALL).take(Now(0, WALL))
        disk.storage.crash()
        ahead.append((taken - WALL) / 1000)
        assert taken - WALL <= STAMP_BLOCK + life * STAMP_SPARE
    assert 120 < ahead[1] < 132
    assert ahead[-1] < 1500


def test_a_disk_that_is_behind_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    source = born(disk, WALL)

    def refuse(_key: bytes, _value: bytes) -> None:
        raise LimitError("the store is behind")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStorage, "put", lambda _self, key, value: refuse(key, value))
        for _ in range(3):
            source.take(Now(0, WALL + DAY_MS))
    source.take(Now(0, WALL + DAY_MS))
    disk.answer()
    assert source.take(Now(0, WALL + DAY_MS)) == WALL + DAY_MS


# --- the receiver's side ---------------------------------------------------------------------

ALICE, BOB = b"A" * 32, b"B" * 32
WINDOW = FRESH_WINDOW_S * SECOND


def test_what_was_reordered_within_the_window_passes() -> None:
    fresh = FreshStamps()
    assert fresh.accept(ALICE, 100, 0)
    assert fresh.accept(ALICE, 90, WINDOW - 1)
    assert fresh.accept(ALICE, 100, WINDOW - 1), "a retry is the same bytes"


BETWEEN = [(), (WINDOW,), (WINDOW // 2, WINDOW, WINDOW + 5), tuple(range(0, 2 * WINDOW, SECOND))]


@pytest.mark.parametrize("between", BETWEEN, ids=len)
def test_after_two_windows_it_is_old(between: tuple[int, ...]) -> None:
    fresh = FreshStamps()
    assert fresh.accept(ALICE, 100, 0)
    for i, at in enumerate(between):
        assert fresh.accept(ALICE, 101 + i, at)
    assert not fresh.accept(ALICE, 100, 2 * WINDOW)
    assert not fresh.accept(ALICE, 100, 9 * WINDOW)
    assert fresh.accept(ALICE, 500, 9 * WINDOW)


def test_trying_an_old_one_again_and_again_does_not_make_it_new() -> None:
    fresh = FreshStamps()
    fresh.accept(ALICE, 100, 0)
    tries = [fresh.accept(ALICE, 100, at) for at in range(0, 20 * WINDOW, WINDOW // 3)]
    assert tries == sorted(tries, reverse=True)
    assert not tries[-1]


def test_senders_do_not_share_a_mark() -> None:
    fresh = FreshStamps()
    fresh.accept(ALICE, 1 << 60, 0)
    fresh.refuse_up_to(ALICE, 1 << 60)
    assert fresh.accept(BOB, 1, 0)


@pytest.mark.parametrize(("stamp", "passes"), [(99, False), (100, False), (101, True)])
def test_the_newest_only(stamp: int, passes: bool) -> None:
    fresh = FreshStamps()
    fresh.accept(ALICE, 100, 0)
    assert fresh.accept(ALICE, stamp, 1, newest=True) is passes


@pytest.mark.parametrize(("stamp", "passes"), [(150, False), (151, True)])
def test_what_is_refused_from_now_on_is_refused_at_any_age(stamp: int, passes: bool) -> None:
    fresh = FreshStamps()
    fresh.accept(ALICE, 100, 0)
    fresh.refuse_up_to(ALICE, 150)
    fresh.refuse_up_to(ALICE, 20)
    assert fresh.accept(ALICE, stamp, 1) is passes
    assert fresh.accept(ALICE, stamp, 3 * WINDOW) is False or passes


def test_so_many_senders_are_remembered_and_the_one_not_heard_for_longest_goes() -> None:
    fresh = FreshStamps()
    name: Callable[[int], bytes] = lambda i: i.to_bytes(32, "big")  # noqa: E731
    for i in range(MAX_STAMPS_REMEMBERED):
        fresh.accept(name(i), 100, 0)
    fresh.accept(name(0), 101, WINDOW)
    fresh.accept(ALICE, 1, WINDOW)
    assert MAX_STAMPS_REMEMBERED * 9 // 10 < len(fresh) <= MAX_STAMPS_REMEMBERED
    fresh.refuse_up_to(name(0), 101)
    fresh.refuse_up_to(name(1), 101)
    assert not fresh.accept(name(0), 100, WINDOW)
    assert fresh.accept(name(1), 100, WINDOW), "forgotten"


def test_8192_new_senders_do_not_make_who_is_heard_every_second_forgotten() -> None:
    fresh = FreshStamps()
    for second in range(125):
        assert fresh.accept(ALICE, 1000 + second, second * SECOND)
    heard_s = 124
    for i in range(MAX_STAMPS_REMEMBERED):
        now_ns = 125 * SECOND + i * 20 * SECOND // MAX_STAMPS_REMEMBERED
        fresh.accept(i.to_bytes(32, "big"), 5, now_ns)
        if now_ns // SECOND > heard_s:
            heard_s = now_ns // SECOND
            assert fresh.accept(ALICE, 1000 + heard_s, now_ns)
        assert not fresh.accept(ALICE, 1000, now_ns), "the replay of what it said two minutes ago"
    assert len(fresh) <= MAX_STAMPS_REMEMBERED


def test_who_says_only_what_is_refused_was_heard_all_the_same() -> None:
    fresh = FreshStamps()
    fresh.accept(ALICE, 100, 0)
    fresh.refuse_up_to(ALICE, 100)
    for i in range(4 * MAX_STAMPS_REMEMBERED):
        fresh.accept(i.to_bytes(32, "big"), 5, i)
        if not i % 1000:
            assert not fresh.accept(ALICE, 100, i), i


def test_after_two_windows_of_silence_not_even_the_newest_passes_again() -> None:
    fresh = FreshStamps()
    fresh.accept(ALICE, 100, 0)
    fresh.accept(ALICE, 200, 1)
    assert not fresh.accept(ALICE, 150, 2 * WINDOW)
    assert not fresh.accept(ALICE, 200, 2 * WINDOW + 1)
    assert fresh.accept(ALICE, 201, 2 * WINDOW + 2)


def test_within_two_windows_the_newest_still_passes_but_not_what_was_there_at_the_mark() -> None:
    fresh = FreshStamps()
    fresh.accept(ALICE, 100, 0)
    fresh.accept(ALICE, 200, 1)
    assert fresh.accept(ALICE, 150, 2 * WINDOW - 1)
    assert not fresh.accept(ALICE, 100, 2 * WINDOW - 1)
