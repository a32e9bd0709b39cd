"""The only way to have several things happen at once: tasks that end before their group does."""

from __future__ import annotations

from collections.abc import Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from overlay.errors import LocalError
from overlay.runtime.future import Cancelled, Future
from overlay.runtime.scope import CancelScope
from overlay.runtime.task import Task

if TYPE_CHECKING:
    from overlay.runtime.loop import Loop

R = TypeVar("R")


class Group:
    """`async with loop.group() as group:`; the block is left once every child has ended.

    - The first failure, of the body or of a child, cancels the others at once.
    - Failures leave as one ExceptionGroup, in order of time, even a single one
      (BaseExceptionGroup if a child raised, say, KeyboardInterrupt). An exception that reached
      the group twice, because one task awaited another, is in it once.
    - Cancelled is never in it: children that were cancelled are silent. If something around the
      group is cancelled and cut the body or a child short, the group raises plain Cancelled.
    - The wait for children cannot be cut short. It is no checkpoint if no child is left.

    A service enters its group in its main task, keeps it, and spawns from anywhere, handlers
    included, until the main task leaves the block.
    """

    __slots__ = ("_children", "_closed", "_cut_short", "_empty", "_errors", "_loop", "_owner", "name", "scope")

    def __init__(self, loop: Loop, name: str) -> None:
        self.name = name
        self.scope = CancelScope(loop, group=self)
        self._loop = loop
        self._owner: Task | None = None
        self._children: dict[Task, None] = {}
        self._errors: list[BaseException] = []
        self._cut_short = False
        self._empty: Future | None = None
        self._closed = False

    @property
    def children(self) -> tuple[Task, ...]:
        """Live children in order of spawning."""
        return tuple(self._children)

    def spawn(self, coro: Coroutine[Any, Any, R], *, name: str = "") -> Task[R]:
        """Have `coro` started soon. Raises LocalError (and closes `coro`) if the group is not open."""
        if self._owner is None or self._closed:
            coro.close()
            state = "closed" if self._closed else "not entered yet"
            raise LocalError(f"group {self.name!r} is {state}: spawn inside its `async with`")
        task = self._loop._adopt(coro, self, name)
        self._children[task] = None
        return task

    def cancel(self) -> None:
        """Cancel the body and the children; the group then ends without an error."""
        self.scope.cancel()

    async def __aenter__(self) -> Group:
        self.scope.__enter__()
        self._owner = self._loop._current
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        owner = self._owner
        assert owner is not None
        deserved = owner._cancel_now  # a Cancelled that nobody asked for is not ours to swallow
        try:
            if isinstance(exc, GeneratorExit):
                return False  # the coroutine is being closed, which leaves no way to wait
            if exc is not None:
                self._failed(exc)
            await self._wait_for_children(owner)
        finally:
            self._closed = True
            outer_cancelled = self.scope._leave()
        if self._errors:
            errors, self._errors = self._errors, []
            title = f"group {self.name!r}" if self.name else "group"
            raise BaseExceptionGroup(title, errors) from None
        if isinstance(exc, Cancelled):
            return deserved and not outer_cancelled
        if outer_cancelled and self._cut_short:
            raise Cancelled
        return False

    async def _wait_for_children(self, owner: Task) -> None:
        while self._children:
            self._empty = Future(self._loop._ready)
            owner._shielded = True
            try:
                await self._empty
            finally:
                owner._shielded = False

    def _failed(self, exc: BaseException) -> None:
        if isinstance(exc, Cancelled):
            self._cut_short = True
        elif not any(exc is known for known in self._errors):
            self._errors.append(exc)
        self.scope.cancel()

    def _child_ended(self, task: Task, error: BaseException | None) -> None:
        del self._children[task]
        if task.cancelled:
            self._cut_short = True
        elif error is not None:
            self._failed(error)
        if not self._children and self._empty is not None:
            self._empty.set()


async def together(loop: Loop, *coros: Coroutine[Any, Any, R]) -> list[R]:
    """Run them side by side: their values, in order.

    The first failure cancels the others and is raised as it is, not in a group: a caller that
    knows which errors one of these may raise need not know how many of them ran.
    """
    try:
        async with loop.group(name="together") as group:
            tasks = [group.spawn(coro, name=getattr(coro, "__qualname__", "")) for coro in coros]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
