"""overlay.runtime.scope: cancellation by hand and by deadline."""

from __future__ import annotations

import pytest

from overlay.errors import LocalError, TimedOut
from overlay.runtime.loop import Cancelled, CancelScope, Loop
from overlay.runtime.ports import Now
from tests.support.virtual import advance, drive


@pytest.fixture
def loop() -> Loop:
    return Loop()


class TestScope:
    def test_cancelling_while_waiting_swallows_and_goes_on(self, loop: Loop) -> None:
        async def main() -> int:
            with loop.scope() as scope:
                loop.call_at(5, scope.cancel)
                await loop.sleep(100)
                raise AssertionError
            assert scope.cancelled_caught
            assert scope.cancel_called
            await loop.sleep(1)
            return loop.now.mono_ns

        assert drive(loop, main()) == 6

    def test_is_level_triggered(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            with loop.scope() as scope:
                scope.cancel()
                seen.append("goes on to the next await")
                for attempt in range(3):
                    try:
                        await loop.sleep(1)
                    except Cancelled:
                        seen.append(f"again {attempt}")
                try:
                    await loop.future()
                finally:
                    try:
                        await loop.sleep(1)
                    except Cancelled:
                        seen.append("also in finally")
            assert scope.cancelled_caught

        drive(loop, main())
        assert seen == ["goes on to the next await", "again 0", "again 1", "again 2", "also in finally"]
        assert loop.now.mono_ns == 0

    def test_a_done_future_is_no_checkpoint_but_a_pause_is(self, loop: Loop) -> None:
        seen: list[object] = []

        async def main() -> None:
            future = loop.future()
            future.set("value")
            with loop.scope() as scope:
                scope.cancel()
                seen.append(await future)
                await loop.sleep(0)
                seen.append("not reached")

        drive(loop, main())
        assert seen == ["value"]

    def test_a_value_that_arrived_is_not_lost_to_a_cancel_in_the_same_drain(self, loop: Loop) -> None:
        future = loop.future()

        async def main() -> str:
            with loop.scope() as scope:
                loop.call_at(1, lambda: (future.set("value"), scope.cancel()))
                value = await future
                with pytest.raises(Cancelled):
                    await loop.sleep(1)
            return value

        assert drive(loop, main()) == "value"

    def test_a_value_after_the_cancel_comes_too_late(self, loop: Loop) -> None:
        future = loop.future()

        async def main() -> bool:
            with loop.scope() as scope:
                loop.call_at(1, lambda: (scope.cancel(), future.set("value")))
                await future
            return scope.cancelled_caught

        assert drive(loop, main())

    def test_the_outermost_cancelled_scope_swallows(self, loop: Loop) -> None:
        async def main() -> list[bool]:
            with loop.scope() as outer, loop.scope() as middle:
                with loop.scope() as inner:
                    middle.cancel()
                    inner.cancel()
                    outer.cancel()
                    await loop.sleep(1)
                raise AssertionError
            return [outer.cancelled_caught, middle.cancelled_caught, inner.cancelled_caught]

        assert drive(loop, main()) == [True, False, False]

    def test_an_inner_scope_does_not_touch_the_outer_one(self, loop: Loop) -> None:
        async def main() -> tuple[bool, bool, int]:
            with loop.scope() as outer:
                with loop.scope() as inner:
                    inner.cancel()
                    await loop.sleep(1)
                await loop.sleep(3)
            return outer.cancelled_caught, inner.cancelled_caught, loop.now.mono_ns

        assert drive(loop, main()) == (False, True, 3)

    def test_a_scope_made_inside_a_cancelled_one_is_cancelled(self, loop: Loop) -> None:
        async def main() -> tuple[bool, bool]:
            with loop.scope() as outer:
                outer.cancel()
                with loop.move_on_after(50) as inner:
                    await loop.sleep(1)
                raise AssertionError
            return outer.cancelled_caught, inner.cancelled_caught

        assert drive(loop, main()) == (True, False)
        assert loop.next_deadline() is None

    def test_cancelled_before_entry_takes_effect_at_the_first_await(self, loop: Loop) -> None:
        async def main() -> list[str]:
            seen = []
            scope = loop.scope()
            scope.cancel()
            with scope:
                seen.append("entered")
                await loop.sleep(1)
                seen.append("not reached")
            return seen

        assert drive(loop, main()) == ["entered"]

    def test_cancelling_after_exit_does_nothing(self, loop: Loop) -> None:
        async def main() -> int:
            with loop.scope() as scope:
                pass
            scope.cancel()
            await loop.sleep(4)
            assert not scope.cancel_called
            return loop.now.mono_ns

        assert drive(loop, main()) == 4

    def test_other_exceptions_pass_through_a_cancelled_scope(self, loop: Loop) -> None:
        async def main() -> None:
            scope = loop.scope()
            scope.cancel()
            with pytest.raises(ValueError, match="x"):
                await fails_when_cut_short(scope)
            assert not scope.cancelled_caught

        async def fails_when_cut_short(scope: CancelScope) -> None:
            with scope:
                try:
                    await loop.sleep(1)
                finally:
                    raise ValueError("x")

        drive(loop, main())

    def test_a_cancelled_that_nobody_asked_for_is_not_swallowed(self, loop: Loop) -> None:
        async def main() -> None:
            with loop.scope(), loop.move_on_after(5):
                raise Cancelled

        with pytest.raises(LocalError, match="nobody cancelled it"):
            drive(loop, main())

    def test_cannot_be_entered_outside_a_task_or_twice(self, loop: Loop) -> None:
        with pytest.raises(LocalError, match="by a task"), loop.scope():
            pass

        async def main() -> None:
            with loop.scope() as scope:
                pass
            with pytest.raises(LocalError, match="only once"), scope:
                pass

        drive(loop, main())

    def test_leaving_in_another_order_is_an_error(self, loop: Loop) -> None:
        async def main() -> None:
            outer, inner = loop.scope(), loop.scope()
            outer.__enter__()
            inner.__enter__()
            with pytest.raises(LocalError, match="another order"):
                outer.__exit__(None, None, None)
            inner.__exit__(None, None, None)

        drive(loop, main())


class TestTimeouts:
    def test_moves_on_at_the_deadline(self, loop: Loop) -> None:
        async def main() -> tuple[bool, bool, int]:
            with loop.move_on_after(5) as scope:
                await loop.future()
            return scope.expired, scope.cancelled_caught, loop.now.mono_ns

        assert drive(loop, main()) == (True, True, 5)

    def test_in_time_is_not_expired_and_leaves_no_timer(self, loop: Loop) -> None:
        async def main() -> tuple[bool, bool]:
            with loop.move_on_after(50) as scope:
                await loop.sleep(5)
            assert loop.next_deadline() is None
            return scope.expired, scope.cancelled_caught

        assert drive(loop, main()) == (False, False)
        assert loop.now.mono_ns == 5

    def test_counts_from_entry_move_on_at_does_not(self, loop: Loop) -> None:
        async def main() -> list[int]:
            after, at = loop.move_on_after(5), loop.move_on_at(12)
            times = []
            await loop.sleep(10)
            with at:
                await loop.future()
            times.append(loop.now.mono_ns)
            with after:
                await loop.future()
            return [*times, loop.now.mono_ns]

        assert drive(loop, main()) == [12, 17]

    @pytest.mark.parametrize("ns", [0, -5])
    def test_a_deadline_that_has_passed_cuts_short_at_once(self, loop: Loop, ns: int) -> None:
        async def main() -> tuple[bool, int]:
            await loop.sleep(10)
            with loop.move_on_after(ns) as scope:
                await loop.sleep(1)
                raise AssertionError
            return scope.expired, loop.now.mono_ns

        assert drive(loop, main()) == (True, 10)

    def test_fail_after_raises_timed_out_with_the_span(self, loop: Loop) -> None:
        async def main() -> None:
            with pytest.raises(TimedOut, match=r"within 2\.5 s"), loop.fail_after(2_500_000_000):
                await loop.future()

        drive(loop, main())
        assert loop.now.mono_ns == 2_500_000_000

    def test_fail_after_in_time_is_silent(self, loop: Loop) -> None:
        async def main() -> str:
            with loop.fail_after(10):
                await loop.sleep(9)
                return "in time"

        assert drive(loop, main()) == "in time"
        assert loop.next_deadline() is None

    def test_fail_after_that_is_cancelled_by_hand_does_not_say_timed_out(self, loop: Loop) -> None:
        async def main() -> None:
            with loop.fail_after(10) as scope:
                scope.cancel()
                await loop.sleep(1)
            assert scope.cancelled_caught
            assert not scope.expired

        drive(loop, main())

    def test_fail_after_lets_the_cancellation_of_an_outer_scope_pass(self, loop: Loop) -> None:
        async def main() -> bool:
            with loop.move_on_after(5) as outer, loop.fail_after(10):
                await loop.future()
            return outer.cancelled_caught

        assert drive(loop, main())
        assert loop.now.mono_ns == 5
        assert loop.next_deadline() is None

    def test_the_inner_of_nested_timeouts_fires_first(self, loop: Loop) -> None:
        async def main() -> list[object]:
            seen: list[object] = []
            with loop.move_on_after(10) as outer:
                with pytest.raises(TimedOut), loop.fail_after(5):
                    await loop.future()
                seen.append(loop.now.mono_ns)
                await loop.future()
            return [*seen, loop.now.mono_ns, outer.expired]

        assert drive(loop, main()) == [5, 10, True]

    def test_nested_timeouts_at_the_same_instant_belong_to_the_outer_one(self, loop: Loop) -> None:
        async def main() -> tuple[bool, bool]:
            with loop.move_on_after(5) as outer, loop.move_on_after(5) as inner:
                await loop.future()
            return outer.cancelled_caught, inner.cancelled_caught

        assert drive(loop, main()) == (True, False)

    def test_a_driver_that_is_late_fires_inner_and_outer_in_order(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            with loop.move_on_after(10):
                with loop.move_on_after(5):
                    await loop.future()
                seen.append("inner")
                await loop.future()
            seen.append("outer")

        loop.spawn_root(main(), name="main")
        loop.drain()
        loop.run(Now(1000, 0))
        assert seen == ["inner", "outer"]

    def test_expired_although_the_body_caught_it(self, loop: Loop) -> None:
        async def main() -> tuple[bool, bool]:
            with loop.move_on_after(5) as scope:
                try:
                    await loop.future()
                except Cancelled:
                    pass
            return scope.expired, scope.cancelled_caught

        assert drive(loop, main()) == (True, False)

    def test_a_deadline_after_a_cancel_by_hand_leaves_no_timer(self, loop: Loop) -> None:
        async def main() -> None:
            with loop.move_on_after(100) as scope:
                scope.cancel()
                await loop.sleep(1)

        drive(loop, main())
        assert loop.now.mono_ns == 0

    def test_an_exception_leaves_no_timer(self, loop: Loop) -> None:
        async def main() -> None:
            with pytest.raises(ValueError, match="x"), loop.fail_after(100), loop.move_on_after(200):
                raise ValueError("x")
            assert loop.next_deadline() is None

        drive(loop, main())

    def test_a_timeout_cancels_tasks_of_groups_inside_it(self, loop: Loop) -> None:
        seen: list[str] = []

        async def child() -> None:
            try:
                await loop.sleep(1000)
            finally:
                seen.append("cut short")

        async def main() -> None:
            with loop.move_on_after(5):
                async with loop.group() as outer:
                    outer.spawn(child())
                    async with loop.group() as inner:
                        inner.spawn(child())
            seen.append("left")

        drive(loop, main())
        assert seen == ["cut short", "cut short", "left"]
        assert loop.now.mono_ns == 5


class TestTaskCancel:
    def test_while_waiting(self, loop: Loop) -> None:
        task = loop.spawn_root(loop.sleep(100), name="victim")
        advance(loop, 5)
        task.cancel()
        task.cancel()
        loop.drain()
        assert task.done
        assert task.cancelled
        assert loop.crashed == []

    def test_before_it_started_it_runs_to_its_first_await(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            seen.append("started")
            await loop.sleep(1)
            seen.append("not reached")

        task = loop.spawn_root(main(), name="main")
        task.cancel()
        loop.drain()
        assert seen == ["started"]
        assert task.cancelled

    def test_cannot_be_swallowed_by_a_scope_inside(self, loop: Loop) -> None:
        async def main() -> None:
            with loop.move_on_after(50):
                await loop.sleep(100)
            await loop.sleep(1)
            raise AssertionError

        task = loop.spawn_root(main(), name="main")
        loop.drain()
        task.cancel()
        loop.drain()
        assert task.cancelled
        assert loop.next_deadline() is None
        assert loop.crashed == []

    def test_a_task_that_returns_all_the_same_has_its_result(self, loop: Loop) -> None:
        async def main() -> str:
            try:
                await loop.sleep(100)
            except Cancelled:
                return "done anyway"
            raise AssertionError

        task = loop.spawn_root(main(), name="main")
        loop.drain()
        task.cancel()
        loop.drain()
        assert not task.cancelled
        assert task.result() == "done anyway"

    def test_after_its_end_does_nothing(self, loop: Loop) -> None:
        task = loop.spawn_root(loop.sleep(1), name="short")
        advance(loop, 5)
        task.cancel()
        assert not task.cancelled
        assert task.result() is None

    def test_of_oneself_takes_effect_at_the_next_await(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            task.cancel()
            seen.append("goes on")
            await loop.sleep(1)
            seen.append("not reached")

        task = loop.spawn_root(main(), name="main")
        loop.drain()
        assert seen == ["goes on"]
        assert task.cancelled

    def test_of_a_parent_by_its_child_reaches_both(self, loop: Loop) -> None:
        seen: list[str] = []

        async def child() -> None:
            parent.cancel()
            seen.append("child goes on")
            await loop.sleep(1)
            seen.append("not reached")

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(child())
                try:
                    await loop.sleep(100)
                finally:
                    seen.append("parent")
            seen.append("not reached")

        parent = loop.spawn_root(main(), name="main")
        loop.drain()
        assert seen == ["child goes on", "parent"]
        assert parent.cancelled
        assert loop.tasks() == ()
