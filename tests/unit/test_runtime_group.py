"""overlay.runtime.group: children end before their group does, and failures are told."""

from __future__ import annotations

import pytest

from overlay.errors import LimitError, LocalError, TimedOut
from overlay.runtime.group import together
from overlay.runtime.loop import Cancelled, Group, Loop
from overlay.runtime.ports import Now
from tests.support.virtual import advance, drive


@pytest.fixture
def loop() -> Loop:
    return Loop()


async def fail_at(loop: Loop, mono_ns: int, error: BaseException) -> None:
    await loop.sleep_until(mono_ns)
    raise error


class TestEnd:
    def test_waits_for_its_children(self, loop: Loop) -> None:
        async def child(ns: int) -> int:
            await loop.sleep(ns)
            return ns

        async def main() -> list[int]:
            async with loop.group() as group:
                tasks = [group.spawn(child(ns)) for ns in (7, 3, 5)]
                assert group.children == tuple(tasks)
            assert loop.now.mono_ns == 7
            assert group.children == ()
            return [task.result() for task in tasks]

        assert drive(loop, main()) == [7, 3, 5]

    def test_without_children_ends_at_once(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            loop.call_soon(lambda: seen.append("other"))
            async with loop.group():
                pass
            seen.append("main")

        drive(loop, main())
        assert seen == ["main", "other"]

    def test_children_may_spawn_siblings_while_the_group_is_ending(self, loop: Loop) -> None:
        seen: list[int] = []

        async def chain(group: Group, left: int) -> None:
            await loop.sleep(1)
            seen.append(left)
            if left:
                group.spawn(chain(group, left - 1))

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(chain(group, 3))

        drive(loop, main())
        assert seen == [3, 2, 1, 0]

    def test_a_sibling_spawned_when_the_last_child_has_just_ended_is_waited_for(self, loop: Loop) -> None:
        async def main() -> int:
            async with loop.group() as group:
                group.spawn(loop.sleep(1)).add_callback(lambda: group.spawn(loop.sleep(10)))
            return loop.now.mono_ns

        assert drive(loop, main()) == 11

    def test_spawning_before_entry_or_after_the_end_is_an_error_without_a_warning(self, loop: Loop) -> None:
        async def main() -> None:
            group = loop.group(name="g")
            with pytest.raises(LocalError, match="'g' is not entered yet"):
                group.spawn(loop.sleep(1))
            async with group:
                pass
            with pytest.raises(LocalError, match="'g' is closed"):
                group.spawn(loop.sleep(1))

        drive(loop, main())

    def test_cannot_be_entered_outside_a_task(self, loop: Loop) -> None:
        group = loop.group()
        with pytest.raises(LocalError, match="by a task"):
            group.__aenter__().send(None)

    def test_names_of_children(self, loop: Loop) -> None:
        async def main() -> list[str]:
            async with loop.group() as group:
                return [group.spawn(loop.sleep(1), name="given").name, group.spawn(loop.sleep(1)).name]

        assert drive(loop, main()) == ["given", "Loop.sleep_until"]

    def test_serves_a_service_for_its_life(self, loop: Loop) -> None:
        """Entered by the main task, used by handlers from outside any task."""
        seen: list[int] = []
        groups: list[Group] = []

        async def serve() -> None:
            async with loop.group(name="service") as group:
                groups.append(group)
                await loop.future()

        async def request(number: int) -> None:
            await loop.sleep(1)
            seen.append(number)

        service = loop.spawn_root(serve(), name="service")
        loop.drain()
        for number in range(3):
            groups[0].spawn(request(number))
            advance(loop, loop.now.mono_ns + 5)
        groups[0].spawn(request(99))
        groups[0].cancel()
        loop.drain()
        assert seen == [0, 1, 2]
        assert service.done
        assert service.result() is None
        assert loop.tasks() == ()


class TestFailure:
    def test_the_first_failure_cancels_the_siblings_at_once(self, loop: Loop) -> None:
        seen: list[tuple[int, str]] = []

        async def sibling(name: str) -> None:
            try:
                await loop.sleep(1000)
            finally:
                seen.append((loop.now.mono_ns, name))

        async def main() -> None:
            try:
                async with loop.group() as group:
                    group.spawn(sibling("a"))
                    group.spawn(fail_at(loop, 5, ValueError("x")))
                    group.spawn(sibling("b"))
                    await sibling("body")
            except* ValueError:
                seen.append((loop.now.mono_ns, "caught"))

        drive(loop, main())
        assert seen[-1] == (5, "caught")
        assert sorted(seen[:-1]) == [(5, "a"), (5, "b"), (5, "body")]
        assert loop.next_deadline() is None

    @pytest.mark.parametrize("where", ["child", "body"])
    def test_even_a_single_failure_comes_as_a_group(self, loop: Loop, where: str) -> None:
        async def main() -> None:
            async with loop.group(name="g") as group:
                if where == "body":
                    raise ValueError("x")
                group.spawn(fail_at(loop, 1, ValueError("x")))

        with pytest.raises(ExceptionGroup, match="group 'g'") as caught:
            drive(loop, main())
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError('x')"]

    def test_failures_of_the_body_and_of_children_leave_together_in_order_of_time(self, loop: Loop) -> None:
        async def late(text: str) -> None:
            try:
                await loop.sleep(1000)
            finally:
                raise ValueError(text)

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(late("first sibling"))
                group.spawn(late("second sibling"))
                await loop.sleep(1)
                raise KeyError("body")

        with pytest.raises(ExceptionGroup) as caught:
            drive(loop, main())
        assert [str(error) for error in caught.value.exceptions] == ["'body'", "first sibling", "second sibling"]

    def test_a_failure_in_the_clean_up_of_the_body_is_added(self, loop: Loop) -> None:
        async def main() -> None:
            async with loop.group() as group:
                group.spawn(fail_at(loop, 1, ValueError("child")))
                try:
                    await loop.sleep(1000)
                finally:
                    raise KeyError("body")

        with pytest.raises(ExceptionGroup) as caught:
            drive(loop, main())
        assert [str(error) for error in caught.value.exceptions] == ["child", "'body'"]

    def test_a_child_that_fails_while_the_group_ends(self, loop: Loop) -> None:
        async def main() -> None:
            async with loop.group() as group:
                group.spawn(fail_at(loop, 5, ValueError("x")))
                group.spawn(loop.sleep(1000))

        with pytest.raises(ExceptionGroup):
            drive(loop, main())
        assert loop.now.mono_ns == 5

    def test_groups_nest(self, loop: Loop) -> None:
        async def inner() -> None:
            async with loop.group(name="inner") as group:
                group.spawn(fail_at(loop, 1, ValueError("x")))

        async def main() -> None:
            async with loop.group(name="outer") as group:
                group.spawn(inner())
                group.spawn(loop.sleep(1000))

        with pytest.raises(ExceptionGroup, match="outer") as caught:
            drive(loop, main())
        [nested] = caught.value.exceptions
        assert isinstance(nested, ExceptionGroup)
        assert "inner" in str(nested)
        assert loop.now.mono_ns == 1

    def test_a_failure_that_was_awaited_too_is_there_once(self, loop: Loop) -> None:
        async def main() -> None:
            async with loop.group() as group:
                task = group.spawn(fail_at(loop, 1, ValueError("x")))
                await task

        with pytest.raises(ExceptionGroup) as caught:
            drive(loop, main())
        assert len(caught.value.exceptions) == 1

    def test_a_timeout_in_a_child_is_a_failure_like_any_other(self, loop: Loop) -> None:
        async def child() -> None:
            with loop.fail_after(5):
                await loop.future()

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(child())

        with pytest.raises(ExceptionGroup) as caught:
            drive(loop, main())
        assert isinstance(caught.value.exceptions[0], TimedOut)

    def test_an_interrupt_in_a_child_leaves_as_a_base_exception_group(self, loop: Loop) -> None:
        async def main() -> None:
            async with loop.group() as group:
                group.spawn(fail_at(loop, 1, KeyboardInterrupt()))

        with pytest.raises(BaseExceptionGroup) as caught:
            drive(loop, main())
        assert not isinstance(caught.value, ExceptionGroup)

    def test_a_cancelled_that_nobody_asked_for_is_not_swallowed(self, loop: Loop) -> None:
        async def body() -> None:
            async with loop.group() as group:
                group.spawn(loop.sleep(1000))
                raise Cancelled

        async def child() -> None:
            async with loop.group() as group:
                group.spawn(fail_at(loop, 1, Cancelled()))

        with pytest.raises(LocalError, match="nobody cancelled it"):
            drive(loop, body())
        assert loop.now.mono_ns == 0, "the sibling was cut short all the same"
        with pytest.raises(ExceptionGroup) as caught:
            drive(loop, child())
        assert "nobody cancelled it" in str(caught.value.exceptions[0])


class TestCancellation:
    def test_cancel_ends_the_group_without_an_error(self, loop: Loop) -> None:
        async def main() -> int:
            async with loop.group() as group:
                group.spawn(loop.sleep(1000))
                loop.call_at(5, group.cancel)
                await loop.sleep(1000)
            await loop.sleep(1)
            return loop.now.mono_ns

        assert drive(loop, main()) == 6

    def test_cancel_by_a_child(self, loop: Loop) -> None:
        seen: list[str] = []

        async def child(group: Group) -> None:
            group.cancel()
            seen.append("child goes on")
            await loop.sleep(1)
            seen.append("not reached")

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(loop.sleep(1000))
                group.spawn(child(group))
            seen.append("left")

        drive(loop, main())
        assert seen == ["child goes on", "left"]

    def test_a_child_cancelled_alone_is_silent(self, loop: Loop) -> None:
        async def main() -> int:
            async with loop.group() as group:
                victim = group.spawn(loop.sleep(1000))
                group.spawn(loop.sleep(7))
                loop.call_at(5, victim.cancel)
            assert victim.cancelled
            return loop.now.mono_ns

        assert drive(loop, main()) == 7

    def test_a_child_spawned_into_a_cancelled_group_is_cancelled_at_its_first_await(self, loop: Loop) -> None:
        seen: list[str] = []

        async def child() -> None:
            seen.append("started")
            await loop.sleep(1)
            seen.append("not reached")

        async def main() -> None:
            async with loop.group() as group:
                group.cancel()
                group.spawn(child())

        drive(loop, main())
        assert seen == ["started"]

    def test_an_outer_cancellation_passes_through_as_plain_cancelled(self, loop: Loop) -> None:
        seen: list[str] = []

        async def main() -> None:
            with loop.move_on_after(5) as scope:
                try:
                    async with loop.group() as group:
                        group.spawn(loop.sleep(1000))
                        await loop.sleep(1000)
                except BaseException as error:
                    seen.append(type(error).__name__)
                    raise
            assert scope.cancelled_caught

        drive(loop, main())
        assert seen == ["Cancelled"]

    def test_an_outer_cancellation_that_cut_a_child_short_is_raised_at_the_end(self, loop: Loop) -> None:
        """Else the code after the group would believe that its children have finished."""
        seen: list[str] = []

        async def main() -> None:
            with loop.move_on_after(5):
                async with loop.group() as group:
                    group.spawn(loop.sleep(1000))
                seen.append("not reached")

        drive(loop, main())
        assert seen == []

    def test_an_outer_cancellation_that_cut_nobody_short_takes_effect_at_the_next_await(self, loop: Loop) -> None:
        seen: list[str] = []

        async def child() -> None:
            try:
                await loop.sleep(1000)
            except Cancelled:
                seen.append("child finishes")

        async def main() -> None:
            with loop.move_on_after(5):
                async with loop.group() as group:
                    group.spawn(child())
                seen.append("after the group")
                await loop.sleep(1)
                seen.append("not reached")

        drive(loop, main())
        assert seen == ["child finishes", "after the group"]

    def test_a_failure_during_an_outer_cancellation_is_told(self, loop: Loop) -> None:
        async def child() -> None:
            try:
                await loop.sleep(1000)
            finally:
                raise ValueError("x")

        async def main() -> None:
            with loop.move_on_after(5):
                async with loop.group() as group:
                    group.spawn(child())
                    group.spawn(loop.sleep(1000))

        with pytest.raises(ExceptionGroup) as caught:
            drive(loop, main())
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError('x')"]

    def test_the_wait_for_children_cannot_be_cut_short(self, loop: Loop) -> None:
        seen: list[str] = []
        release = loop.future()

        async def slow_to_leave() -> None:
            try:
                await loop.sleep(1000)
            finally:
                while not release.done:
                    try:
                        await release
                    except Cancelled:
                        await_again.append(1)
                        if len(await_again) == 5:
                            release.set()
                seen.append("child left")

        await_again: list[int] = []

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(slow_to_leave())
            seen.append("not reached")

        task = loop.spawn_root(main(), name="main")
        loop.drain()
        task.cancel()
        loop.drain()
        assert seen == ["child left"]
        assert task.cancelled

    def test_cancelling_a_deep_tree(self, loop: Loop) -> None:
        depth = 3000  # deeper than the recursion limit

        async def node(left: int) -> None:
            async with loop.group() as group:
                if left:
                    group.spawn(node(left - 1))
                else:
                    await loop.future()

        task = loop.spawn_root(node(depth), name="tree")
        loop.drain()
        assert len(loop.tasks()) == depth + 1
        task.cancel()
        loop.drain()
        assert loop.tasks() == ()
        assert task.cancelled
        assert loop.crashed == []

    def test_siblings_of_a_scope_in_the_same_task_are_left_alone(self, loop: Loop) -> None:
        async def main() -> int:
            async with loop.group() as group:
                group.spawn(loop.sleep(20))
                with loop.scope() as scope:
                    loop.call_at(5, scope.cancel)
                    await loop.sleep(1000)
                assert loop.now.mono_ns == 5
            return loop.now.mono_ns

        assert drive(loop, main()) == 20


def test_together_gives_values_in_order_and_the_first_failure_as_it_is() -> None:
    loop, log = Loop(), list[object]()

    async def after(ns: int, value: object) -> object:
        try:
            await loop.sleep(ns)
        finally:
            log.append(value)
        if isinstance(value, Exception):
            raise value
        return value

    async def main() -> None:
        log.append(await together(loop, after(3, "slow"), after(1, "quick")))
        try:
            await together(loop, after(9, "cut short"), after(1, LimitError("full")))
        except LimitError as error:
            log.append(str(error))

    task = loop.spawn_root(main(), name="main")
    for now_ns in range(1, 20):
        loop.run(Now(now_ns, 0))
    assert task.done
    assert log[:3] == ["quick", "slow", ["slow", "quick"]]
    assert log[-2:] == ["cut short", "full"]
    assert not loop.tasks()
    assert loop.next_deadline() is None
