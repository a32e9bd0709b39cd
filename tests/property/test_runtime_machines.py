"""State machines against simple models: timers against a sorted list, a queue against a list."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from overlay.errors import LimitError
from overlay.runtime.loop import Loop, Task, Timer
from overlay.runtime.ports import Now
from overlay.runtime.queue import Queue, QueueClosed, QueueEmpty


class Timers(RuleBasedStateMachine):
    """What fires is what a sorted list of (deadline, sequence) says."""

    timers = Bundle("timers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.model: dict[int, int] = {}  # sequence -> deadline
        self.fired: list[int] = []
        self.sequence = 0
        self.victims: dict[int, int] = {}  # sequence -> sequence of the timer that it cancels

    @rule(target=timers, deadline=st.integers(0, 60))
    def call_at(self, deadline: int) -> tuple[int, Timer]:
        self.sequence += 1
        sequence = self.sequence
        self.model[sequence] = deadline
        return sequence, self.loop.call_at(deadline, lambda: self.fired.append(sequence))

    @rule(timer=timers)
    def cancel(self, timer: tuple[int, Timer]) -> None:
        timer[1].cancel()
        self.model.pop(timer[0], None)

    @rule(timer=consumes(timers), deadline=st.integers(0, 60))
    def cancel_one_when_another_fires(self, timer: tuple[int, Timer], deadline: int) -> None:
        """A timer that is due in the same run may be cancelled by an earlier one."""
        self.sequence += 1
        sequence = self.sequence
        self.model[sequence] = deadline

        def fire() -> None:
            self.fired.append(sequence)
            timer[1].cancel()

        self.victims[sequence] = timer[0]
        self.loop.call_at(deadline, fire)

    @rule(mono_ns=st.integers(0, 70))
    def run_until(self, mono_ns: int) -> None:
        self.fired.clear()
        mono_ns = max(mono_ns, self.loop.now.mono_ns)
        expected = []
        for sequence, deadline in sorted(self.model.items(), key=lambda item: (item[1], item[0])):
            if deadline <= mono_ns and sequence in self.model:
                expected.append(sequence)
                del self.model[sequence]
                self.model.pop(self.victims.get(sequence, -1), None)
        self.loop.run(Now(mono_ns, 0))
        assert self.fired == expected

    @invariant()
    def next_deadline_is_the_least_live_one(self) -> None:
        assert self.loop.next_deadline() == min(self.model.values(), default=None)

    @invariant()
    def dead_timers_are_at_most_half(self) -> None:
        assert len(self.loop._heap) <= 2 * len(self.model)


class Queues(RuleBasedStateMachine):
    """Getters and putters come, give up and are served, several within one drain, as in a list."""

    getters = Bundle("getters")
    putters = Bundle("putters")

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.queue: Queue[int] = Queue(self.loop, 2)
        self.put: list[int] = []  # accepted, in order
        self.got: list[int] = []
        self.count = 0
        self.closed = False

    async def _get(self) -> None:
        try:
            self.got.append(await self.queue.get())
        except QueueClosed:
            assert self.closed

    async def _put(self, item: int) -> None:
        try:
            await self.queue.put(item)
        except QueueClosed:
            assert self.closed
        else:
            self.put.append(item)

    @rule(target=getters)
    def get(self) -> Task[None]:
        return self.loop.spawn_root(self._get(), name="getter")

    @rule(target=putters)
    def put_waiting(self) -> Task[None]:
        self.count += 1
        return self.loop.spawn_root(self._put(self.count), name="putter")

    @rule()
    def put_nowait(self) -> None:
        self.count += 1
        try:
            self.queue.put_nowait(self.count)
        except LimitError:
            assert len(self.queue) == 2
        except QueueClosed:
            assert self.closed
        else:
            self.put.append(self.count)

    @rule()
    def get_nowait(self) -> None:
        try:
            self.got.append(self.queue.get_nowait())
        except QueueEmpty:
            assert not self.closed
        except QueueClosed:
            assert self.closed

    @rule(task=consumes(getters))
    def cancel_getter(self, task: Task[None]) -> None:
        task.cancel()

    @rule(task=consumes(putters))
    def cancel_putter(self, task: Task[None]) -> None:
        task.cancel()

    @rule()
    def drain(self) -> None:
        self.loop.drain()
        waiting = [task.where() for task in self.loop.tasks()]
        getters = [where for where in waiting if where.startswith("getter")]
        putters = [where for where in waiting if where.startswith("putter")]
        assert not (getters and (putters or len(self.queue))), "an item and a getter wait for each other"
        assert not (putters and len(self.queue) < 2), "there is room, and a putter waits"

    @rule()
    def close(self) -> None:
        self.loop.drain()
        self.closed = True
        self.queue.close()
        self.loop.drain()
        assert self.loop.tasks() == ()

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.queue) <= 2

    def teardown(self) -> None:
        self.loop.drain()
        while len(self.queue):
            self.got.append(self.queue.get_nowait())
            self.loop.drain()
        assert sorted(self.got) == sorted(self.put), "an item was lost or came twice"
        assert self.loop.crashed == []
        self.loop.shutdown()


TestTimers = Timers.TestCase
TestTimers.settings = settings(max_examples=60)
TestQueues = Queues.TestCase
TestQueues.settings = settings(max_examples=60)
