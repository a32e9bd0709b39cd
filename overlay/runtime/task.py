"""A coroutine that the loop steps, and how cancellation reaches it."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Generic

from overlay.errors import LocalError
from overlay.runtime.future import Callback, Cancelled, Future, T, TaskCancelled

if TYPE_CHECKING:
    from overlay.runtime.group import Group
    from overlay.runtime.loop import Loop
    from overlay.runtime.scope import CancelScope


class Task(Generic[T]):
    """Made by `Group.spawn` and `Loop.spawn_root`. It may be awaited like a future.

    A task starts when the loop comes to it, also if it was cancelled before: then its first await
    that has to wait raises Cancelled.
    """

    __slots__ = (
        "_base_cancelled", "_cancel_now", "_coro", "_error", "_future", "_group", "_interrupted", "_loop",
        "_scope", "_shielded", "_value", "_waiting", "cancelled", "done", "name",
    )  # fmt: skip

    def __init__(self, loop: Loop, coro: Coroutine[Any, Any, T], group: Group | None, name: str) -> None:
        self.name = name or getattr(coro, "__qualname__", "task")
        self.done = False
        #: Ended by a cancellation; there is no result then.
        self.cancelled = False
        self._loop = loop
        self._coro = coro
        self._group = group
        #: The innermost scope around the place where the task is; a child begins in its group's.
        self._scope: CancelScope | None = group.scope if group is not None else None
        #: `cancel()` was called on the task itself.
        self._base_cancelled = False
        #: Whether the place where the task is lies in a cancelled scope: what every await asks.
        self._cancel_now = self._scope is not None and self._scope.effective
        #: The next step throws Cancelled.
        self._interrupted = False
        #: Waits for its children at the end of a group, which cannot be cut short.
        self._shielded = False
        self._waiting: Future | None = None
        self._future: Future[T] | None = None
        self._value: T | None = None
        self._error: BaseException | None = None

    def cancel(self) -> None:
        """Cancel all of the task, children included. It stays cancelled until it has ended."""
        if not self.done and not self._base_cancelled:
            self._base_cancelled = True
            cancel_within(self, self._group.scope if self._group is not None else None)

    def result(self) -> T:
        """Raises what the task raised, TaskCancelled if it was cancelled."""
        if not self.done:
            raise LocalError(f"task {self.name!r} has no result yet: await it")
        return self._outcome().result()

    def add_callback(self, fn: Callback) -> None:
        self._outcome().add_callback(fn)

    def __await__(self) -> Generator[Future[T], None, T]:
        return self._outcome().__await__()

    def where(self) -> str:
        """What the task awaits: `name: outer (file:line) > inner (file:line)`."""
        if self.done:
            return f"{self.name}: ended"
        if self._loop._current is self:
            return f"{self.name}: running"
        frames = []
        awaited: object = self._coro
        while isinstance(awaited, CoroutineType) and awaited.cr_frame is not None:
            code, line = awaited.cr_code, awaited.cr_frame.f_lineno
            frames.append(f"{code.co_qualname} ({code.co_filename.rpartition('/')[2]}:{line})")
            awaited = awaited.cr_await
        return f"{self.name}: {' > '.join(frames)}"

    def __repr__(self) -> str:
        return f"<Task {self.where()}>"

    def _outcome(self) -> Future[T]:
        """A future of the end of the task, made when somebody first asks for it."""
        if self._future is None:
            self._future = Future(self._loop._ready)
            if self.done:
                self._settle(self._future)
        return self._future

    def _settle(self, future: Future[T]) -> None:
        if self.cancelled:
            future.fail(TaskCancelled(f"task {self.name!r} was cancelled"))
        elif self._error is not None:
            future.fail(self._error)
        else:
            future.set(self._value)

    def _step(self) -> None:
        """Run up to the next await that has to wait. Called by the loop alone."""
        loop = self._loop
        loop._current = self
        self._waiting = None
        try:
            if self._interrupted:
                self._interrupted = False
                awaited = self._coro.throw(Cancelled())
            else:
                awaited = self._coro.send(None)
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as error:  # as in trio: whatever it is, the group hears of it
            self._end(None, error)
        else:
            if type(awaited) is Future:
                if self._cancel_now and not self._shielded:
                    # Through the ready list, so that a task which never gives in is counted as spinning.
                    self._interrupted = True
                    loop._ready.append(self)
                elif awaited.done:  # yielded by hand
                    loop._ready.append(self)
                else:
                    self._waiting = awaited
                    awaited._add(self)
            elif awaited is None:
                loop._ready.append(self)
            else:
                self._throw_misuse(awaited)

    def _throw_misuse(self, awaited: object) -> None:
        error = LocalError(f"task {self.name!r} awaited {awaited!r}, which is nothing of this loop")
        try:
            self._coro.throw(error)
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as ended:
            self._end(None, ended)
        else:
            self._loop._ready.append(self)

    def _interrupt(self) -> None:
        """Wake the task with Cancelled if it waits; a task that is ready keeps its value, as in trio."""
        waiting = self._waiting
        if waiting is not None and not waiting.done and not self._shielded:
            waiting._discard(self)
            self._waiting = None
            self._interrupted = True
            self._loop._ready.append(self)

    def _end(self, value: T | None, error: BaseException | None) -> None:
        if isinstance(error, Cancelled):
            if self._cancel_now:
                self.cancelled = True
            else:
                error = LocalError(f"task {self.name!r} raised Cancelled, but nobody cancelled it")
        self.done = True
        self._value = value
        self._error = error
        del self._loop._tasks[self]
        watched = self._future is not None and self._future.awaited
        if self._future is not None:
            self._settle(self._future)
        if self._group is not None:
            self._group._child_ended(self, error)
        elif error is not None and not self.cancelled and not watched:
            self._loop._crash(self.name, error)

    def _close(self) -> None:
        """Last means of a shutdown: GeneratorExit into a task that did not give in to Cancelled."""
        self._loop._current = self
        self._base_cancelled = self._cancel_now = True
        try:
            self._coro.close()
        except BaseException as error:  # by a finally, or the coroutine ignored GeneratorExit
            self._loop._crash(self.name, error)
        finally:
            self._loop._current = None
        self._end(None, Cancelled())


def cancel_within(task: Task, stop: CancelScope | None) -> None:
    """Make everything of `task` inside `stop` cancelled, breadth first, in order of spawning.

    There is no register of who is in which scope, so that entering one costs nothing: a task knows
    its innermost scope, a scope the one around it and the group whose children live in it.
    """
    work: list[tuple[Task, CancelScope | None]] = [(task, stop)]
    for inner, end in work:  # grows while we walk
        scope = inner._scope
        while scope is not None and scope is not end:
            if not scope.effective:
                scope.effective = True
                if scope.group is not None:
                    work.extend((child, scope) for child in scope.group.children)
            scope = scope.parent
        inner._cancel_now = True
        inner._interrupt()
