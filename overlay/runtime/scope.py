"""A stretch of code that can be cancelled as a whole: by hand, or by a deadline.

Level-triggered as in trio: as long as a cancelled scope has not been left, every await in it that
has to wait raises Cancelled again. A `finally` that awaits is therefore cut short too.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from overlay.errors import LocalError, TimedOut
from overlay.runtime.future import Cancelled
from overlay.runtime.task import Task, cancel_within

if TYPE_CHECKING:
    from overlay.runtime.group import Group
    from overlay.runtime.loop import Loop, Timer


class CancelScope:
    """`with loop.scope() as scope:` and its kin with a deadline. Entered once, by one task.

    A scope swallows Cancelled if it was cancelled itself and nothing around it is; otherwise
    Cancelled goes on to the outermost cancelled scope. Cancelling before the scope is entered takes
    effect at entry, afterwards it does nothing.
    """

    __slots__ = (
        "_after_ns", "_at_ns", "_fails", "_left", "_loop", "_task", "_timer",
        "cancel_called", "cancelled_caught", "effective", "expired", "group", "parent",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        *,
        after_ns: int | None = None,
        at_ns: int | None = None,
        fails: bool = False,
        group: Group | None = None,
    ) -> None:
        #: `cancel()` was called on this very scope, by whomever or by its deadline.
        self.cancel_called = False
        #: The scope swallowed a Cancelled when it was left.
        self.cancelled_caught = False
        #: The deadline came before the scope was left.
        self.expired = False
        #: This scope or one around it is cancelled.
        self.effective = False
        #: The group whose children live in this scope.
        self.group = group
        self.parent: CancelScope | None = None
        self._loop = loop
        self._after_ns = after_ns  # from entry
        self._at_ns = at_ns
        self._fails = fails
        self._task: Task | None = None
        self._timer: Timer | None = None
        self._left = False

    def cancel(self) -> None:
        if self.cancel_called or self._left:
            return
        self.cancel_called = True
        if self._task is not None and not self.effective:
            cancel_within(self._task, self.parent)

    def __enter__(self) -> CancelScope:
        loop = self._loop
        task = loop._current
        if task is None:
            raise LocalError("a scope can only be entered by a task: spawn one")
        if self._task is not None:
            raise LocalError("a scope can be entered only once: make another")
        self._task = task
        self.parent = task._scope
        task._scope = self
        if self._after_ns is not None:
            self._at_ns = loop.now.mono_ns + self._after_ns
        if self._at_ns is not None:
            if self._at_ns <= loop.now.mono_ns:
                self.expired = self.cancel_called = True
            else:
                self._timer = loop.call_at(self._at_ns, self._expire)
        self.effective = task._cancel_now = self.cancel_called or task._cancel_now
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        outer_cancelled = self._leave()
        if self.cancel_called and not outer_cancelled and isinstance(exc, Cancelled):
            self.cancelled_caught = True
            if self._fails and self.expired:
                raise TimedOut(f"nothing came {self._span()}") from None
            return True
        return False

    def _leave(self) -> bool:
        """Take the scope off its task; True if what is around it is cancelled."""
        task, timer, parent = self._task, self._timer, self.parent
        assert task is not None
        self._left = True
        if timer is not None:
            timer.cancel()
            self._timer = None
        if task._scope is not self:
            raise LocalError(f"task {task.name!r} leaves its scopes in another order than it entered them")
        task._scope = parent
        task._cancel_now = task._base_cancelled or (parent is not None and parent.effective)
        return task._cancel_now

    def _expire(self) -> None:
        self.expired = True
        self.cancel()

    def _span(self) -> str:
        if self._after_ns is not None:
            return f"within {self._after_ns / 1e9:g} s"
        return "before the deadline"
