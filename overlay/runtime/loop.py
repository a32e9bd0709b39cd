"""The scheduler of one peer: a ready list, a heap of timers, and the task that runs.

It has no clock and never blocks. The shell calls `run(now)` for every input and at
`next_deadline()`; everything that became ready has run when the call returns. Nothing is ever
resumed inside another frame, and the order of everything is that of one list, so the same inputs
give the same outputs on every machine.
"""

from __future__ import annotations

from collections.abc import Coroutine
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

from overlay.errors import LocalError
from overlay.limits import MAX_CRASHES_KEPT, MAX_STEPS_PER_DRAIN
from overlay.runtime.future import PAUSE, Callback, Cancelled, Future, TaskCancelled
from overlay.runtime.group import Group
from overlay.runtime.ports import Now
from overlay.runtime.scope import CancelScope
from overlay.runtime.task import Task

__all__ = ["CancelScope", "Cancelled", "Future", "Group", "Loop", "Task", "TaskCancelled", "Timer"]

R = TypeVar("R")
_START = Now(0, 0)


class Timer:
    """One call at an instant. Fired or cancelled, it holds nothing alive."""

    __slots__ = ("_fn", "_loop", "deadline")

    def __init__(self, loop: Loop, deadline: int, fn: Callback | None) -> None:
        self.deadline = deadline
        self._loop = loop
        self._fn = fn

    def cancel(self) -> None:
        """May be called at any time, any number of times."""
        if self._fn is not None:
            self._fn = None
            self._loop._timer_died()


class Loop:
    """See the module. About 450 bytes while idle; 10,000 of them live in one simulated swarm."""

    __slots__ = (
        "_closed", "_current", "_dead", "_draining", "_heap", "_ready", "_sequence", "_tasks", "crashed", "now",
    )  # fmt: skip

    def __init__(self) -> None:
        self.now = _START
        #: What nobody could be told: failed callbacks and root tasks, the first MAX_CRASHES_KEPT.
        self.crashed: list[tuple[str, BaseException]] = []
        #: The FIFO: tasks to step and functions to call. A list, because `for` walks a list that grows.
        self._ready: list[Task | Callback] = []
        #: (deadline, sequence, timer). The first one is never dead, at most half of all are.
        self._heap: list[tuple[int, int, Timer]] = []
        self._dead = 0
        self._sequence = 0
        self._tasks: dict[Task, None] = {}
        self._current: Task | None = None
        self._draining = False
        self._closed = False

    # --- driven by the shell ---

    def run(self, now: Now) -> None:
        """Set the clock (the monotonic one never goes back), fire what is due, run what is ready."""
        if self._draining:
            raise LocalError("run() from inside the loop: hand the input over once the call has returned")
        if now.mono_ns < self.now.mono_ns:
            now = Now(self.now.mono_ns, now.wall_ms)
        self.now = now
        budget = MAX_STEPS_PER_DRAIN
        if self._ready:
            budget -= self._drain(MAX_STEPS_PER_DRAIN)
        heap = self._heap
        while heap and heap[0][0] <= now.mono_ns:
            timer = heappop(heap)[2]
            self._trim()
            fn, timer._fn = timer._fn, None
            if fn is not None:
                self._call(fn)
            budget -= 1 + self._drain(budget)
            if budget <= 0:
                raise self._spinning([fn])

    def drain(self) -> None:
        """Run what is ready, at the present time; no timer fires."""
        if self._ready:
            self._drain(MAX_STEPS_PER_DRAIN)

    def next_deadline(self) -> int | None:
        """When to call `run` at the latest, on the monotonic clock in ns; it may lie in the past."""
        return self._heap[0][0] if self._heap else None

    def shutdown(self) -> None:
        """Cancel every task, let them end, close those that refuse. No timer is left; the loop stays closed."""
        if self._draining:
            raise LocalError("shutdown() from inside the loop: call it once the drain has returned")
        for task in tuple(self._tasks):
            task.cancel()
        try:
            # Ample for any clean-up: ours takes a few steps a task. A task that catches Cancelled for ever ends here.
            self._drain(1000 + 100 * len(self._tasks))
        except LocalError:
            pass
        self._closed = True
        for task in reversed(tuple(self._tasks)):  # children before their parents
            task._close()
        for _, _, timer in self._heap:
            timer._fn = None
        self._heap.clear()
        self._ready.clear()
        self._dead = 0

    # --- used by everything inside ---

    def call_soon(self, fn: Callback) -> None:
        """Have `fn()` called by this drain or the next. What it raises is kept in `crashed`."""
        if not self._closed:
            self._ready.append(fn)

    def call_at(self, mono_ns: int, fn: Callback) -> Timer:
        """Have `fn()` called by the first `run` at or after `mono_ns`; equal deadlines in order of calling."""
        timer = Timer(self, mono_ns, None if self._closed else fn)
        if not self._closed:
            self._sequence += 1
            heappush(self._heap, (mono_ns, self._sequence, timer))
        return timer

    def future(self) -> Future[Any]:
        return Future(self._ready)

    def spawn_root(self, coro: Coroutine[Any, Any, R], *, name: str) -> Task[R]:
        """A task without a group, for the Peer alone; what it raises goes to who awaits it, else to `crashed`."""
        return self._adopt(coro, None, name)

    def group(self, *, name: str = "") -> Group:
        return Group(self, name)

    def scope(self) -> CancelScope:
        return CancelScope(self)

    def move_on_after(self, ns: int) -> CancelScope:
        """A scope that is cancelled `ns` after it was entered; see `CancelScope.expired`."""
        return CancelScope(self, after_ns=ns)

    def move_on_at(self, mono_ns: int) -> CancelScope:
        return CancelScope(self, at_ns=mono_ns)

    def fail_after(self, ns: int) -> CancelScope:
        """As `move_on_after`, but leaving it raises TimedOut if the deadline cut it short."""
        return CancelScope(self, after_ns=ns, fails=True)

    async def sleep_until(self, mono_ns: int) -> None:
        """Always lets others run, also if the time has passed."""
        if mono_ns <= self.now.mono_ns:
            await self.checkpoint()
            return
        future: Future[None] = Future(self._ready)
        timer = self.call_at(mono_ns, future.set)
        try:
            await future
        finally:
            timer.cancel()

    def sleep(self, ns: int) -> Coroutine[Any, Any, None]:
        return self.sleep_until(self.now.mono_ns + ns)

    async def checkpoint(self) -> None:
        """Let all that is ready run first, then raise Cancelled if a scope around is cancelled."""
        await PAUSE
        self.raise_if_cancelled()

    def raise_if_cancelled(self) -> None:
        if self._current is not None and self._current._cancel_now:
            raise Cancelled

    def tasks(self) -> tuple[Task, ...]:
        """Live tasks in order of spawning."""
        return tuple(self._tasks)

    # --- inner workings, shared with task, scope and group ---

    def _adopt(self, coro: Coroutine[Any, Any, R], group: Group | None, name: str) -> Task[R]:
        if self._closed:
            coro.close()
            raise LocalError("the loop has been shut down: nothing can be spawned")
        task = Task(self, coro, group, name)
        self._tasks[task] = None
        self._ready.append(task)
        return task

    def _drain(self, budget: int) -> int:
        """Run what is ready, and what becomes ready by that; the number of steps."""
        if self._draining:
            raise LocalError("drain() from inside the loop: what is ready will run anyway")
        ready = self._ready
        if not ready:
            return 0
        steps = 0
        self._draining = True
        try:
            for item in ready:
                if steps >= budget:
                    raise self._spinning(ready[max(0, steps - 64) : steps])
                steps += 1
                if type(item) is Task:
                    item._step()
                else:
                    self._current = None
                    self._call(item)  # type: ignore[arg-type]
        finally:
            self._current = None
            self._draining = False
            del ready[:steps]
        return steps

    def _call(self, fn: Callback) -> None:
        try:
            fn()
        except Exception as error:
            self._crash(_name_of(fn), error)

    def _crash(self, name: str, error: BaseException) -> None:
        if len(self.crashed) < MAX_CRASHES_KEPT:
            self.crashed.append((name, error))

    def _spinning(self, last: list[Any]) -> LocalError:
        names = list(dict.fromkeys(item.name if isinstance(item, Task) else _name_of(item) for item in last))
        return LocalError(
            f"the loop spins: {MAX_STEPS_PER_DRAIN} steps without an end; the last were of {', '.join(names[:8])}"
        )

    def _timer_died(self) -> None:
        self._dead += 1
        heap = self._heap
        if self._dead * 2 > len(heap) or heap[0][2]._fn is None:
            self._trim()

    def _trim(self) -> None:
        """Keep the first timer alive and the dead ones at most half: after every cancel and every firing."""
        heap = self._heap
        while heap and heap[0][2]._fn is None:
            heappop(heap)
            self._dead -= 1
        if self._dead * 2 > len(heap):
            heap[:] = [entry for entry in heap if entry[2]._fn is not None]
            heapify(heap)
            self._dead = 0


def _name_of(fn: Any) -> str:
    fn = getattr(fn, "func", fn)  # a partial, as Future.add_callback makes them
    return getattr(fn, "__qualname__", None) or type(fn).__name__
