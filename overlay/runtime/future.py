"""A value that is not there yet, and the queue through which it wakes those who wait.

Setting a future resumes nobody: it appends the waiters to the ready list of the loop, which runs
them one after another once the present frame has returned. Resuming at once was tried and was seen
to recurse, to re-enter half-updated state and to leak.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic

from overlay.errors import LocalError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from overlay.runtime.task import Task

    T = TypeVar("T", default=Any)  # so that a bare `Future` means Future[Any]
else:
    from typing import TypeVar

    T = TypeVar("T")

Callback = Callable[[], object]


class Cancelled(BaseException):
    """Thrown at an await whose scope is cancelled; only that scope may swallow it.

    Not an Exception, so that `except Exception` lets it pass. Never raise it yourself.
    """


class TaskCancelled(LocalError):
    """The task that was awaited has been cancelled and has no result."""


class Future(Generic[T]):
    """Set once, awaited by any number of tasks (they wake in the order in which they came).

    Awaiting a future that is done returns at once and is no checkpoint: it neither yields nor
    raises Cancelled. That is faster, and a value that arrived in time is never lost to a time-out.
    """

    __slots__ = ("_exc", "_ready", "_value", "_waiters", "done")

    def __init__(self, ready: list[Task | Callback]) -> None:
        self.done = False
        self._ready = ready
        #: Once failed: the traceback as it was, so that many awaits do not make it grow.
        self._value: Any = None
        self._exc: BaseException | None = None
        #: The common single waiter without a container; more of them in order of arrival.
        self._waiters: Task | Callback | dict[Task | Callback, None] | None = None

    def set(self, value: T | None = None) -> bool:
        """False, and nothing changed, if the future was done already."""
        if self.done:
            return False
        self.done = True
        self._value = value
        if self._waiters is not None:
            self._wake()
        return True

    def fail(self, exc: BaseException) -> bool:
        """As `set`; every await raises `exc`."""
        if isinstance(exc, Cancelled):
            raise LocalError("a future cannot fail with Cancelled: the waiters were not cancelled")
        if self.done:
            return False
        self.done = True
        self._exc = exc
        self._value = exc.__traceback__
        if self._waiters is not None:
            self._wake()
        return True

    def result(self) -> T:
        if not self.done:
            raise LocalError("this future has no result yet: await it")
        if self._exc is not None:
            raise self._exc.with_traceback(self._value)
        return self._value  # type: ignore[no-any-return]

    def add_callback(self, fn: Callback) -> None:
        """Have `fn()` called through the ready list once the future is done."""
        callback = partial(fn)  # compares by identity: the same function may be added twice
        if self.done:
            self._ready.append(callback)
        else:
            self._add(callback)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits. False as soon as the only waiter is being cancelled."""
        return bool(self._waiters)

    def __await__(self) -> Generator[Future[T], None, T]:
        if not self.done:
            yield self
        if self._exc is not None:
            raise self._exc.with_traceback(self._value)
        return self._value  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        if not self.done:
            return "<Future pending>"
        return f"<Future failed {self._exc!r}>" if self._exc is not None else f"<Future {self._value!r}>"

    def _add(self, waiter: Task | Callback) -> None:
        waiters = self._waiters
        if waiters is None:
            self._waiters = waiter
        elif isinstance(waiters, dict):
            waiters[waiter] = None
        else:
            self._waiters = {waiters: None, waiter: None}

    def _discard(self, waiter: Task | Callback) -> None:
        """Forget a waiter that was cancelled, at once: a long-lived future would collect them."""
        if isinstance(self._waiters, dict):
            del self._waiters[waiter]
        else:
            self._waiters = None

    def _wake(self) -> None:
        waiters = self._waiters
        self._waiters = None
        if isinstance(waiters, dict):
            self._ready.extend(waiters)
        elif waiters is not None:
            self._ready.append(waiters)


class _Pause:
    """`await PAUSE` lets everything that is ready run first. Not a place of cancellation."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield None


PAUSE: Final = _Pause()
