"""overlay.runtime.loop and future: order, time, waking, crashes, shutdown, size."""

from __future__ import annotations

import gc
import sys
import tracemalloc

import pytest

from overlay import limits
from overlay.errors import LocalError
from overlay.runtime.loop import Cancelled, Future, Loop, TaskCancelled
from overlay.runtime.ports import Now
from tests.support.virtual import drive, settle


@pytest.fixture
def loop() -> Loop:
    return Loop()


class TestTime:
    def test_the_monotonic_clock_never_goes_back_the_wall_clock_may(self, loop: Loop) -> None:
        assert loop.now == Now(0, 0)
        loop.run(Now(10, 1000))
        loop.run(Now(9, 500))
        assert loop.now == Now(10, 500)

    def test_timers_fire_by_deadline_then_in_order_of_calling(self, loop: Loop) -> None:
        seen: list[str] = []
        for name, deadline in [("c", 20), ("a", 10), ("d", 20), ("b", 10), ("never", 31)]:
            loop.call_at(deadline, lambda name=name: seen.append(name))
        loop.run(Now(30, 0))
        assert seen == ["a", "b", "c", "d"]
        assert loop.next_deadline() == 31

    def test_what_a_timer_wakes_runs_before_the_next_timer(self, loop: Loop) -> None:
        seen: list[str] = []

        async def sleeper(name: str, ns: int) -> None:
            await loop.sleep(ns)
            seen.append(name)

        loop.spawn_root(sleeper("task", 10), name="sleeper")
        loop.drain()
        loop.call_at(10, lambda: seen.append("timer"))
        loop.run(Now(50, 0))
        assert seen == ["task", "timer"]

    def test_a_timer_set_by_a_timer_for_now_fires_in_the_same_run(self, loop: Loop) -> None:
        seen: list[int] = []
        loop.call_at(5, lambda: loop.call_at(7, lambda: seen.append(loop.now.mono_ns)))
        loop.run(Now(10, 0))
        assert seen == [10]

    def test_drain_fires_no_timer(self, loop: Loop) -> None:
        seen: list[int] = []
        loop.run(Now(10, 0))
        loop.call_at(5, lambda: seen.append(1))
        loop.drain()
        assert (seen, loop.next_deadline()) == ([], 5)

    def test_cancelling_a_timer_is_idempotent_also_after_it_fired(self, loop: Loop) -> None:
        seen: list[int] = []
        fired = loop.call_at(1, lambda: seen.append(1))
        cancelled = loop.call_at(2, lambda: seen.append(2))
        cancelled.cancel()
        cancelled.cancel()
        loop.run(Now(3, 0))
        fired.cancel()
        later = loop.call_at(9, lambda: seen.append(9))
        fired.cancel()
        assert seen == [1]
        assert loop.next_deadline() == later.deadline == 9

    def test_next_deadline_is_never_that_of_a_cancelled_timer(self, loop: Loop) -> None:
        first, second, third = (loop.call_at(at, lambda: None) for at in (1, 2, 3))
        second.cancel()
        first.cancel()
        assert loop.next_deadline() == 3
        third.cancel()
        assert loop.next_deadline() is None

    def test_cancelled_timers_are_at_most_half_of_the_heap(self, loop: Loop) -> None:
        loop.call_at(0, lambda: None)
        timers = [loop.call_at(1 + i % 97, lambda: None) for i in range(10_000)]
        for count, timer in enumerate(timers, 1):
            timer.cancel()
            assert len(loop._heap) <= 2 * (10_001 - count)

    def test_sleeping_until_a_time_that_has_passed_still_lets_others_run(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            loop.call_soon(lambda: seen.append("other"))
            await loop.sleep_until(0)
            seen.append("main")

        drive(loop, main())
        assert seen == ["other", "main"]

    def test_sleep_wakes_at_its_deadline_and_leaves_no_timer(self, loop: Loop) -> None:
        loop.run(Now(100, 0))

        async def main() -> int:
            await loop.sleep(7)
            return loop.now.mono_ns

        assert drive(loop, main()) == 107
        assert loop.next_deadline() is None

    def test_a_cancelled_sleep_leaves_no_timer(self, loop: Loop) -> None:
        async def main() -> None:
            await loop.sleep(1000)

        task = loop.spawn_root(main(), name="main")
        loop.drain()
        assert loop.next_deadline() == 1000
        task.cancel()
        loop.drain()
        assert task.cancelled
        assert loop.next_deadline() is None


class TestFuture:
    def test_is_set_once(self, loop: Loop) -> None:
        future = loop.future()
        with pytest.raises(LocalError):
            future.result()
        assert not future.done
        assert future.set(1)
        assert future.done
        assert not future.set(2)
        assert not future.fail(ValueError())
        assert future.result() == 1

    def test_fails_once(self, loop: Loop) -> None:
        future = loop.future()
        assert future.fail(ValueError("x"))
        assert not future.fail(KeyError())
        assert not future.set(1)
        with pytest.raises(ValueError, match="x"):
            future.result()

    def test_setting_resumes_nobody_inside_the_frame(self, loop: Loop) -> None:
        seen: list[str] = []
        future = loop.future()

        async def waiter(name: str) -> None:
            await future
            seen.append(name)

        async def setter() -> None:
            future.set()
            seen.append("setter goes on")

        for name in ("first", "second", "third"):
            loop.spawn_root(waiter(name), name=name)
        loop.spawn_root(setter(), name="setter")
        loop.drain()
        assert seen == ["setter goes on", "first", "second", "third"]

    def test_setting_outside_a_drain_waits_for_the_drain(self, loop: Loop) -> None:
        seen: list[int] = []
        future = loop.future()
        future.add_callback(lambda: seen.append(1))
        future.set()
        assert seen == []
        loop.drain()
        assert seen == [1]

    def test_callbacks_and_tasks_wake_in_the_order_in_which_they_came(self, loop: Loop) -> None:
        seen: list[str] = []
        future = loop.future()

        async def waiter() -> None:
            await future
            seen.append("task")

        def callback() -> None:
            seen.append("callback")

        future.add_callback(callback)
        loop.spawn_root(waiter(), name="waiter")
        loop.drain()
        future.add_callback(callback)  # the same function again counts again
        future.set()
        future.add_callback(lambda: seen.append("late"))
        loop.drain()
        assert seen == ["callback", "task", "callback", "late"]

    def test_awaiting_a_done_future_returns_at_once(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            future = loop.future()
            future.set("value")
            loop.call_soon(lambda: seen.append("other"))
            seen.append(await future)

        drive(loop, main())
        assert seen == ["value", "other"]

    def test_every_waiter_of_a_failed_future_gets_the_failure(self, loop: Loop) -> None:
        future = loop.future()
        seen: list[BaseException] = []

        async def waiter() -> None:
            try:
                await future
            except ValueError as error:
                seen.append(error)

        for i in range(3):
            loop.spawn_root(waiter(), name=str(i))
        loop.drain()
        error = ValueError("x")
        future.fail(error)
        loop.drain()
        assert seen == [error] * 3
        frames, traceback = 0, error.__traceback__
        while traceback is not None:
            frames, traceback = frames + 1, traceback.tb_next
        assert frames <= 2, "the traceback grows with every waiter"

    def test_does_not_fail_with_cancelled(self, loop: Loop) -> None:
        with pytest.raises(LocalError, match="Cancelled"):
            loop.future().fail(Cancelled())

    def test_forgets_a_waiter_that_gave_up(self, loop: Loop) -> None:
        future = loop.future()

        async def patient() -> object:
            return await future

        async def main() -> None:
            for _ in range(1000):
                with loop.move_on_after(1):
                    await future

        waiter = loop.spawn_root(patient(), name="patient")
        drive(loop, main())
        assert sys.getsizeof(future._waiters) < 500
        future.set(5)
        loop.drain()
        assert waiter.result() == 5

    def test_shows_its_state(self, loop: Loop) -> None:
        future, failed = loop.future(), loop.future()
        assert repr(future) == "<Future pending>"
        future.set(3)
        failed.fail(ValueError("x"))
        assert repr(future) == "<Future 3>"
        assert repr(failed) == "<Future failed ValueError('x')>"


class TestTask:
    def test_starts_when_the_loop_comes_to_it(self, loop: Loop) -> None:
        seen: list[int] = []

        async def main() -> None:
            seen.append(1)

        loop.spawn_root(main(), name="main")
        assert seen == []
        loop.drain()
        assert seen == [1]

    def test_can_be_awaited_before_and_after_its_end(self, loop: Loop) -> None:
        async def child() -> str:
            await loop.sleep(5)
            return "value"

        async def main() -> list[str]:
            task = loop.spawn_root(child(), name="child")
            with pytest.raises(LocalError, match="no result yet"):
                task.result()
            return [await task, await task, task.result()]

        assert drive(loop, main()) == ["value"] * 3

    def test_awaiting_a_task_that_was_cancelled_is_an_error_not_a_cancellation(self, loop: Loop) -> None:
        async def main() -> None:
            task = loop.spawn_root(loop.sleep(99), name="victim")
            await loop.sleep(1)
            task.cancel()
            with pytest.raises(TaskCancelled, match="victim"):
                await task
            with pytest.raises(TaskCancelled):
                task.result()

        drive(loop, main())

    def test_a_crash_that_nobody_awaits_is_kept(self, loop: Loop) -> None:
        async def crash() -> None:
            raise ValueError("x")

        loop.spawn_root(crash(), name="root")
        loop.drain()
        [(name, error)] = loop.crashed
        assert name == "root"
        assert repr(error) == "ValueError('x')"

    def test_a_crash_that_is_awaited_is_raised_there_and_not_kept(self, loop: Loop) -> None:
        async def crash() -> None:
            await loop.sleep(1)
            raise ValueError("x")

        async def main() -> None:
            with pytest.raises(ValueError, match="x"):
                await loop.spawn_root(crash(), name="crash")

        drive(loop, main())  # also checks loop.crashed

    def test_a_failing_callback_is_kept_and_stops_nobody(self, loop: Loop) -> None:
        seen: list[int] = []

        def crash() -> None:
            raise ValueError("x")

        loop.call_soon(crash)
        loop.call_soon(lambda: seen.append(1))
        loop.call_at(1, crash)
        loop.call_at(2, lambda: seen.append(2))
        future = loop.future()
        future.add_callback(crash)
        future.set()
        loop.run(Now(5, 0))
        assert seen == [1, 2]
        assert len(loop.crashed) == 3
        assert all(name.endswith("crash") for name, _ in loop.crashed)

    def test_crashes_kept_are_bounded(self, loop: Loop) -> None:
        for _ in range(limits.MAX_CRASHES_KEPT + 5):
            loop.call_soon(lambda: 1 // 0)
        loop.drain()
        assert len(loop.crashed) == limits.MAX_CRASHES_KEPT

    def test_a_cancelled_that_nobody_asked_for_is_an_error(self, loop: Loop) -> None:
        async def liar() -> None:
            raise Cancelled

        loop.spawn_root(liar(), name="liar")
        loop.drain()
        assert "nobody cancelled it" in str(loop.crashed[0][1])

    def test_awaiting_something_foreign_is_an_error_of_the_task(self, loop: Loop) -> None:
        class Foreign:
            def __await__(self):  # type: ignore[no-untyped-def]
                yield 42

        async def main() -> None:
            with pytest.raises(LocalError, match="nothing of this loop"):
                await Foreign()
            await loop.sleep(1)
            await Foreign()

        loop.spawn_root(main(), name="main")
        settle(loop)
        assert "42" in str(loop.crashed[0][1])

    def test_where_names_the_coroutines_and_lines_down_to_the_wait(self, loop: Loop) -> None:
        async def inner() -> None:
            await loop.sleep(5)

        async def outer() -> None:
            await inner()

        task = loop.spawn_root(outer(), name="main")
        seen: list[str] = []

        async def asks() -> None:
            seen.append(asking.where())

        asking = loop.spawn_root(asks(), name="asks")
        loop.drain()
        first = inner.__code__.co_firstlineno
        text = task.where()
        assert text.startswith("main: ")
        names = [step.split(" ")[0].rpartition(".")[2] for step in text.removeprefix("main: ").split(" > ")]
        assert names == ["outer", "inner", "sleep_until"]
        assert f"inner (test_runtime_loop.py:{first + 1})" in text
        assert seen == ["asks: running"]
        assert task.where() in repr(task)
        settle(loop)
        assert task.where() == "main: ended"

    def test_live_tasks_are_listed_in_order_of_spawning(self, loop: Loop) -> None:
        tasks = [loop.spawn_root(loop.sleep(9 - i), name=str(i)) for i in range(9)]
        loop.drain()
        tasks[4].cancel()
        loop.drain()
        assert [task.name for task in loop.tasks()] == list("01235678")
        settle(loop)
        assert loop.tasks() == ()


class TestDrain:
    def test_ten_thousand_tasks_wait_and_wake_in_order(self, loop: Loop) -> None:
        future = loop.future()
        seen: list[int] = []

        async def waiter(number: int) -> None:
            await future
            seen.append(number)

        async def main() -> None:
            async with loop.group() as group:
                for number in range(10_000):
                    group.spawn(waiter(number))

        loop.spawn_root(main(), name="main")
        loop.drain()
        assert len(loop.tasks()) == 10_001
        future.set()
        loop.drain()
        assert seen == list(range(10_000))
        assert loop.tasks() == ()

    def test_ten_thousand_waiting_tasks_are_cancelled_at_once(self, loop: Loop) -> None:
        future = loop.future()

        async def main() -> None:
            async with loop.group() as group:
                for _ in range(10_000):
                    group.spawn(loop.sleep(10**9))
                    group.spawn(_wait(future))

        task = loop.spawn_root(main(), name="main")
        loop.drain()
        task.cancel()
        loop.drain()
        assert loop.tasks() == ()
        assert loop.next_deadline() is None
        assert not future.awaited

    def test_a_spin_is_reported_with_names(self, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("overlay.runtime.loop.MAX_STEPS_PER_DRAIN", 1000)

        async def spinner() -> None:
            while True:
                await loop.checkpoint()

        task = loop.spawn_root(spinner(), name="whirl")
        with pytest.raises(LocalError, match=r"spins.*whirl"):
            loop.drain()
        task.cancel()
        loop.drain()
        assert task.cancelled

    def test_a_task_that_never_gives_in_to_cancelled_spins(self, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("overlay.runtime.loop.MAX_STEPS_PER_DRAIN", 1000)

        async def stubborn() -> None:
            while True:
                try:
                    await loop.sleep(1)
                except Cancelled:
                    pass

        task = loop.spawn_root(stubborn(), name="stubborn")
        loop.drain()
        task.cancel()
        with pytest.raises(LocalError, match=r"spins.*stubborn"):
            loop.drain()
        loop.shutdown()
        assert task.done

    def test_timers_that_renew_themselves_for_now_spin(self, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("overlay.runtime.loop.MAX_STEPS_PER_DRAIN", 1000)

        def renew() -> None:
            loop.call_at(0, renew)

        renew()
        with pytest.raises(LocalError, match=r"spins.*renew"):
            loop.run(Now(1, 0))

    def test_the_bound_is_large_enough_for_honest_work(self, loop: Loop) -> None:
        assert limits.MAX_STEPS_PER_DRAIN >= 10 * 10_000

    def test_the_loop_is_not_entered_twice(self, loop: Loop) -> None:
        errors: list[LocalError] = []

        def again(call: object) -> None:
            try:
                call()  # type: ignore[operator]
            except LocalError as error:
                errors.append(error)

        for call in (loop.drain, lambda: loop.run(Now(5, 5)), loop.shutdown):
            loop.call_soon(lambda call=call: again(call))
        loop.drain()
        assert len(errors) == 3
        assert loop.now == Now(0, 0)

    def test_the_same_program_gives_the_same_trace(self) -> None:
        def trace() -> list[tuple[int, str]]:
            loop, seen = Loop(), []

            async def worker(name: str, ns: int) -> None:
                for _ in range(5):
                    await loop.sleep(ns)
                    seen.append((loop.now.mono_ns, name))

            async def main() -> None:
                async with loop.group() as group:
                    for i in range(50):
                        group.spawn(worker(f"w{i}", i % 7))

            drive(loop, main())
            return seen

        assert trace() == trace()


class TestShutdown:
    def test_cancels_closes_and_leaves_nothing(self, loop: Loop) -> None:
        seen: list[str] = []

        async def tidy() -> None:
            try:
                await loop.sleep(100)
            finally:
                seen.append("tidied")
                await loop.sleep(1)  # level-triggered: cut short
                seen.append("not reached")

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(tidy())
                group.spawn(tidy())
                with loop.fail_after(1000):
                    await loop.future()

        loop.spawn_root(main(), name="main")
        loop.drain()
        loop.spawn_root(tidy(), name="never started")
        loop.shutdown()
        assert seen == ["tidied"] * 3
        assert loop.tasks() == ()
        assert loop.next_deadline() is None
        assert loop.crashed == []

    def test_closes_tasks_that_refuse_to_end(self, loop: Loop) -> None:
        closed: list[str] = []

        async def stubborn(name: str) -> None:
            try:
                while True:
                    try:
                        await loop.sleep(1)
                    except Cancelled:
                        pass
            finally:
                closed.append(name)

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(stubborn("child"))
                await stubborn("body")

        task = loop.spawn_root(main(), name="main")
        loop.drain()
        loop.shutdown()
        assert closed == ["child", "body"]
        assert loop.crashed == []
        assert task.done
        assert task.cancelled
        assert loop.tasks() == ()
        assert loop.next_deadline() is None

    def test_a_clean_up_that_fails_is_kept(self, loop: Loop) -> None:
        async def main() -> None:
            try:
                while True:
                    try:
                        await loop.sleep(1)
                    except Cancelled:
                        pass
            finally:
                raise ValueError("in finally")

        loop.spawn_root(main(), name="main")
        loop.shutdown()
        assert [(name, str(error)) for name, error in loop.crashed] == [("main", "in finally")]

    def test_is_final_and_harmless_to_repeat(self, loop: Loop, recwarn: pytest.WarningsRecorder) -> None:
        seen: list[int] = []
        loop.shutdown()
        loop.shutdown()
        with pytest.raises(LocalError, match="shut down"):
            loop.spawn_root(loop.sleep(1), name="late")
        loop.call_soon(lambda: seen.append(1))
        timer = loop.call_at(1, lambda: seen.append(2))
        timer.cancel()
        loop.run(Now(5, 5))
        assert seen == []
        assert loop.next_deadline() is None
        gc.collect()
        assert not recwarn.list

    def test_results_that_come_late_are_harmless(self, loop: Loop) -> None:
        future = loop.future()
        task = loop.spawn_root(_wait(future), name="waiter")
        loop.drain()
        loop.shutdown()
        future.set(1)
        loop.drain()
        assert task.cancelled

    def test_a_loop_that_is_dropped_with_its_tasks_does_not_warn(
        self, recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        raised: list[object] = []
        monkeypatch.setattr(sys, "unraisablehook", lambda raising: raised.append(raising.exc_value))

        def leave_behind() -> None:
            loop = Loop()

            async def main() -> None:
                async with loop.group() as group:
                    group.spawn(loop.sleep(5))
                    with loop.move_on_after(9):
                        await loop.future()

            loop.spawn_root(main(), name="main")
            loop.drain()

        leave_behind()
        gc.collect()
        assert not recwarn.list
        assert raised == []


class TestSize:
    def test_an_idle_loop_is_small(self) -> None:
        Loop()
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            loops = [Loop() for _ in range(1000)]
            each = (tracemalloc.get_traced_memory()[0] - before) / len(loops)
        finally:
            tracemalloc.stop()
        assert each < 600, f"{each:.0f} bytes"

    def test_a_waiting_task_is_small(self, loop: Loop) -> None:
        future = loop.future()
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            tasks = [loop.spawn_root(_wait(future), name="waiter") for _ in range(1000)]
            loop.drain()
            each = (tracemalloc.get_traced_memory()[0] - before) / len(tasks)
        finally:
            tracemalloc.stop()
        loop.shutdown()
        assert each < 1000, f"{each:.0f} bytes"

    def test_time_outs_leave_nothing_behind(self, loop: Loop) -> None:
        async def main(rounds: int) -> None:
            for _ in range(rounds):
                with loop.fail_after(1000), loop.scope():
                    async with loop.group() as group:
                        group.spawn(loop.sleep(1))

        drive(loop, main(10))
        gc.collect()
        before = len(gc.get_objects())
        drive(loop, main(200))
        gc.collect()
        assert len(gc.get_objects()) - before < 50
        assert loop._heap == []

    def test_everything_has_slots(self, loop: Loop) -> None:
        things = [loop, loop.future(), loop.scope(), loop.group(), loop.call_at(1, lambda: None)]
        things.append(loop.spawn_root(loop.sleep(1), name="x"))
        assert not [thing for thing in things if hasattr(thing, "__dict__")]
        loop.shutdown()


async def _wait(future: Future) -> object:
    return await future
