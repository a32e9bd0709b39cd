"""overlay.runtime.queue: bounds, order, closing, and no item lost to a cancellation."""

from __future__ import annotations

import pytest

from overlay.errors import LimitError, LocalError
from overlay.runtime.loop import Loop
from overlay.runtime.queue import Queue, QueueClosed, QueueEmpty
from tests.support.virtual import drive


@pytest.fixture
def loop() -> Loop:
    return Loop()


async def get_into(queue: Queue[int], seen: list[object], name: str) -> None:
    seen.append((name, await queue.get()))


class TestBounds:
    def test_full_and_empty(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 2)
        with pytest.raises(QueueEmpty):
            queue.get_nowait()
        queue.put_nowait(1)
        queue.put_nowait(2)
        assert len(queue) == 2
        with pytest.raises(LimitError, match="2 items"):
            queue.put_nowait(3)
        assert [queue.get_nowait(), queue.get_nowait()] == [1, 2]
        with pytest.raises(QueueEmpty):
            queue.get_nowait()

    @pytest.mark.parametrize("capacity", [0, -1])
    def test_needs_room(self, loop: Loop, capacity: int) -> None:
        with pytest.raises(LocalError):
            Queue(loop, capacity)

    def test_a_full_queue_makes_its_producer_wait(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 3)
        most = []

        async def produce() -> None:
            for item in range(20):
                await queue.put(item)
                most.append(len(queue))
            queue.close()

        async def main() -> list[int]:
            items = []
            async with loop.group() as group:
                group.spawn(produce())
                async for item in queue:
                    items.append(item)
                    await loop.sleep(1)
            return items

        assert drive(loop, main()) == list(range(20))
        assert max(most) == 3


class TestOrder:
    def test_getters_and_putters_are_served_in_the_order_in_which_they_came(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 1)
        seen: list[object] = []

        async def main() -> None:
            async with loop.group() as group:
                for name in "abc":
                    group.spawn(get_into(queue, seen, name))
                await loop.sleep(1)
                for item in range(6):
                    group.spawn(queue.put(item))
                await loop.sleep(1)
                for name in "def":
                    group.spawn(get_into(queue, seen, name))

        drive(loop, main())
        assert seen == [("a", 0), ("b", 1), ("c", 2), ("d", 3), ("e", 4), ("f", 5)]

    def test_get_and_put_let_others_run_even_if_they_need_not_wait(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 9)
        seen: list[str] = []

        async def main() -> None:
            loop.call_soon(lambda: seen.append("other"))
            await queue.put(1)
            seen.append("put")
            loop.call_soon(lambda: seen.append("another"))
            await queue.get()
            seen.append("got")

        drive(loop, main())
        assert seen == ["other", "put", "another", "got"]


class TestCancellation:
    def test_a_cancelled_scope_is_noticed_before_anything_is_done(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 2)
        queue.put_nowait(1)

        async def main() -> None:
            with loop.scope() as scope:
                scope.cancel()
                await queue.get()
            assert scope.cancelled_caught
            with loop.scope() as scope:
                scope.cancel()
                await queue.put(2)
            assert scope.cancelled_caught

        drive(loop, main())
        assert len(queue) == 1

    def test_a_getter_or_putter_that_gave_up_is_forgotten(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 1)

        async def main() -> None:
            with loop.move_on_after(1):
                await queue.get()
            assert not queue._getters
            await queue.put(1)
            with loop.move_on_after(1):
                await queue.put(2)
            assert not queue._putters
            assert await queue.get() == 1
            assert len(queue) == 0
            assert not queue._getters

        drive(loop, main())

    def test_an_item_put_while_its_getter_is_being_cancelled_goes_to_the_next(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 1)
        seen: list[object] = []

        async def main() -> None:
            async with loop.group() as group:
                victim = group.spawn(get_into(queue, seen, "victim"))
                group.spawn(get_into(queue, seen, "next"))
                await loop.sleep(1)
                victim.cancel()
                queue.put_nowait(1)

        drive(loop, main())
        assert seen == [("next", 1)]

    def test_an_item_put_while_the_only_getter_is_being_cancelled_stays(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 1)
        seen: list[object] = []

        async def main() -> None:
            async with loop.group() as group:
                victim = group.spawn(get_into(queue, seen, "victim"))
                await loop.sleep(1)
                victim.cancel()
                queue.put_nowait(1)

        drive(loop, main())
        assert seen == []
        assert queue.get_nowait() == 1

    def test_an_item_handed_over_before_the_cancel_is_delivered(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 1)
        seen: list[object] = []

        async def main() -> None:
            async with loop.group() as group:
                task = group.spawn(get_into(queue, seen, "getter"))
                await loop.sleep(1)
                queue.put_nowait(1)
                task.cancel()

        drive(loop, main())
        assert seen == [("getter", 1)]

    def test_a_putter_that_is_being_cancelled_puts_nothing(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 1)
        queue.put_nowait(1)

        async def main() -> None:
            async with loop.group() as group:
                victim = group.spawn(queue.put(2))
                group.spawn(queue.put(3))
                await loop.sleep(1)
                victim.cancel()
                assert queue.get_nowait() == 1

        drive(loop, main())
        assert queue.get_nowait() == 3
        assert len(queue) == 0


class TestClose:
    def test_what_is_in_can_still_be_taken_out(self, loop: Loop) -> None:
        queue: Queue[int] = Queue(loop, 2)
        queue.put_nowait(1)
        queue.put_nowait(2)
        queue.close()
        queue.close()

        async def main() -> list[int]:
            with pytest.raises(QueueClosed):
                await queue.put(3)
            items = [item async for item in queue]
            with pytest.raises(QueueClosed):
                await queue.get()
            return items

        assert drive(loop, main()) == [1, 2]
        with pytest.raises(QueueClosed):
            queue.get_nowait()
        with pytest.raises(QueueClosed):
            queue.put_nowait(3)

    def test_wakes_getters_and_putters(self, loop: Loop) -> None:
        empty: Queue[int] = Queue(loop, 1)
        full: Queue[int] = Queue(loop, 1)
        full.put_nowait(1)
        seen: list[str] = []

        async def getter() -> None:
            with pytest.raises(QueueClosed):
                await empty.get()
            seen.append("getter")

        async def putter() -> None:
            with pytest.raises(QueueClosed):
                await full.put(2)
            seen.append("putter")

        async def main() -> None:
            async with loop.group() as group:
                group.spawn(getter())
                group.spawn(putter())
                await loop.sleep(1)
                empty.close()
                full.close()

        drive(loop, main())
        assert seen == ["getter", "putter"]
        assert full.get_nowait() == 1
