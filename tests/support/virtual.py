"""Run coroutines of a loop in virtual time, jumping from deadline to deadline."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from overlay.runtime.loop import Loop
from overlay.runtime.ports import Now

R = TypeVar("R")


def advance(loop: Loop, mono_ns: int) -> None:
    """Let virtual time pass until `mono_ns`, stopping at every deadline on the way."""
    loop.drain()
    while (deadline := loop.next_deadline()) is not None and deadline <= mono_ns:
        loop.run(Now(max(deadline, loop.now.mono_ns), loop.now.wall_ms))
    loop.run(Now(mono_ns, loop.now.wall_ms))


def settle(loop: Loop) -> None:
    """Until nothing is ready and no timer is left."""
    loop.drain()
    while (deadline := loop.next_deadline()) is not None:
        loop.run(Now(max(deadline, loop.now.mono_ns), loop.now.wall_ms))


def drive(loop: Loop, coro: Coroutine[Any, Any, R]) -> R:
    """The result of `coro`; fails if it waits for ever or if anything crashed meanwhile."""
    task = loop.spawn_root(coro, name="driven")
    task.add_callback(lambda: None)  # somebody listens, so a failure is raised below and no crash
    settle(loop)
    assert loop.crashed == []
    assert task.done, f"waits for ever: {task.where()}"
    return task.result()
