"""What a core asks of its shell and waits for: Compute (a pure function elsewhere) and Operate (an impure one)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from overlay.errors import LimitError, LocalError
from overlay.limits import MAX_WORK
from overlay.runtime.loop import Future, Loop
from overlay.runtime.ports import Compute, Effect, Failed, Operate, Outcome


@attrs.define(slots=True, eq=False)
class Work:
    """Compute and Operate of one peer as something to await."""

    _loop: Loop
    _emit: Callable[[Effect], object]
    _next_id: Callable[[], int]
    _waiting: dict[int, Future[Outcome]] = attrs.field(factory=dict, init=False)

    async def compute(self, function: str, args: tuple[Any, ...]) -> Any:
        """The value of a function that the shell knows by this name; LocalError if it raised, LimitError."""
        return await self._run(Compute, function, args)

    async def operate(self, operation: str, args: tuple[Any, ...]) -> Any:
        """As `compute`, for an operation."""
        return await self._run(Operate, operation, args)

    def done(self, effect_id: int, outcome: Outcome) -> bool:
        """False if nobody here waits for it: it was cancelled, or is not ours."""
        future = self._waiting.get(effect_id)
        return future is not None and future.set(outcome)

    async def _run(self, effect: type[Compute] | type[Operate], name: str, args: tuple[Any, ...]) -> Any:
        if len(self._waiting) >= MAX_WORK:
            raise LimitError(f"{MAX_WORK} computations and operations are under way already; try again later")
        effect_id = self._next_id()
        future = self._waiting[effect_id] = self._loop.future()
        try:
            self._emit(effect(effect_id, name, args))
            outcome = await future
        finally:
            del self._waiting[effect_id]
        if isinstance(outcome, Failed):
            raise LocalError(outcome.message)
        return outcome.value
