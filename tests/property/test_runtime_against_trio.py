"""Random programs of tasks, scopes, time-outs and failures: our loop and trio must tell the same story.

A program is a tree of steps; one interpreter runs it on either scheduler through a thin adapter. What
is compared is what trio defines: for every task what it saw and at which virtual time, and how the
whole ended. trio shuffles what is ready at one instant, so that no two causes may share one: every
step that acts on others sleeps first, and its duration carries a bit of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import trio
import trio.testing
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from overlay.errors import TimedOut
from overlay.runtime.loop import Cancelled, Loop
from tests.support.virtual import settle

FUTURES = 3
#: Virtual time is counted in ticks of 1/1024 s: binary fractions, exact in trio's floating seconds.
TICK = 1024
#: Sleeps take whole multiples of this plus 2**n ticks, n being the number of the step.
COARSE = 1 << 24
#: Seconds; then a program that waits for ever is cut short, long after everything else has happened.
LONG_AFTER = 1 << 25


class Boom(Exception):
    """What programs raise."""


@attrs.frozen
class Step:
    #: sleep | set | wait | raise | cancel | scope | timeout | fail | group | cleanup | catch
    kind: str
    #: Of a future (set, wait) or a scope (cancel, scope, group).
    number: int = 0
    #: Duration: coarse as generated, in ticks as run.
    length: int = 1
    body: tuple[Step, ...] = ()
    #: Of a group: what each child does.
    children: tuple[tuple[Step, ...], ...] = ()


def _steps(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[tuple[Step, ...]]:
    return st.lists(inner, max_size=3).map(tuple)


_length = st.integers(1, 6)
_leaf = st.one_of(
    st.builds(Step, st.just("sleep"), length=_length),
    st.builds(Step, st.just("set"), number=st.integers(0, FUTURES - 1), length=_length),
    st.builds(Step, st.just("wait"), number=st.integers(0, FUTURES - 1)),
    st.builds(Step, st.just("raise"), length=_length),
    st.builds(Step, st.just("cancel"), number=st.integers(0, 9), length=_length),
)
_step: st.SearchStrategy[Step] = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.builds(Step, st.just("scope"), body=_steps(inner)),
        st.builds(Step, st.just("timeout"), length=_length, body=_steps(inner)),
        st.builds(Step, st.just("fail"), length=_length, body=_steps(inner)),
        st.builds(Step, st.just("cleanup"), length=_length, body=_steps(inner)),
        st.builds(Step, st.just("catch"), body=_steps(inner)),
        st.builds(
            Step,
            st.just("group"),
            body=_steps(inner),
            children=st.lists(_steps(inner), min_size=1, max_size=3).map(tuple),
        ),
    ),
    max_leaves=16,
)
programs = st.lists(_step, min_size=1, max_size=5).map(tuple)


@attrs.frozen
class World:
    """What the interpreter needs of a scheduler; times in ticks."""

    now: Callable[[], int]
    sleep: Callable[[int], Awaitable[None]]
    wait: Callable[[int], Awaitable[None]]
    set: Callable[[int], object]
    scope: Callable[[], Any]
    move_on_after: Callable[[int], Any]
    fail_after: Callable[[int], Any]
    group: Callable[[], AbstractAsyncContextManager[Any]]
    spawn: Callable[[Any, Callable[[], Any]], object]
    scope_of: Callable[[Any], Any]
    timed_out: type[Exception]


class Story:
    """Runs one program; `told` holds what every task saw."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: dict[str, list[tuple[int, str]]] = {}
        self.scopes: dict[int, Any] = {}

    async def task(self, name: str, steps: tuple[Step, ...], path: str) -> None:
        self.told[name] = []
        try:
            await self.block(name, steps, path)
            self.tell(name, "end")
        except BaseException as error:
            if (shape := _shape(error)) is not None:
                self.tell(name, f"fails {shape}")
            raise

    async def block(self, name: str, steps: tuple[Step, ...], path: str) -> None:
        for index, step in enumerate(steps):
            await self.step(name, step, f"{path}.{index}")

    def tell(self, name: str, what: str) -> None:
        self.told[name].append((self.world.now(), what))

    async def step(self, name: str, step: Step, path: str) -> None:
        world = self.world
        match step.kind:
            case "sleep":
                await world.sleep(step.length)
                self.tell(name, f"{path} slept")
            case "set":
                await world.sleep(step.length)
                world.set(step.number)
                self.tell(name, f"{path} set")
            case "wait":
                # Our await of a done future is no checkpoint, trio's Event.wait is one: make both one.
                await world.wait(step.number)
                self.tell(name, f"{path} woke")
            case "raise":
                await world.sleep(step.length)
                raise Boom
            case "cancel":
                await world.sleep(step.length)
                if step.number in self.scopes:  # else its turn has not come yet
                    self.scopes[step.number].cancel()
                self.tell(name, f"{path} cancels")
            case "scope":
                with world.scope() as scope:
                    self.scopes[step.number] = scope
                    await self.block(name, step.body, path)
                self.tell(name, f"{path} left, caught {scope.cancelled_caught}")
            case "timeout":
                with world.move_on_after(step.length) as scope:
                    await self.block(name, step.body, path)
                self.tell(name, f"{path} left, caught {scope.cancelled_caught}")
            case "fail":
                try:
                    with world.fail_after(step.length):
                        await self.block(name, step.body, path)
                except world.timed_out:
                    self.tell(name, f"{path} timed out")
            case "cleanup":
                try:
                    await self.block(name, step.body, path)
                finally:
                    self.tell(name, f"{path} cleans up")
                    await world.sleep(step.length)
                    self.tell(name, f"{path} cleaned up")
            case "catch":
                try:
                    await self.block(name, step.body, path)
                except* (Boom, world.timed_out):
                    pass
                # trio may have had a Cancelled in the same group; ours comes with the next await.
                await world.sleep(0)
                self.tell(name, f"{path} after catch")
            case "group":
                async with world.group() as group:
                    self.scopes[step.number] = world.scope_of(group)
                    for index, child in enumerate(step.children):
                        spawned = f"{path}/{index}"
                        world.spawn(group, lambda spawned=spawned, child=child: self.task(spawned, child, spawned))
                    await self.block(name, step.body, path)
                await world.sleep(0)  # as after catch: whether the end of a group is a checkpoint is not compared
                self.tell(name, f"{path} left the group")


def _shape(error: BaseException | None) -> object:
    """What raised, without Cancelled, whose place inside groups is trio's own affair."""
    if isinstance(error, BaseExceptionGroup):
        inner = [_shape(one) for one in error.exceptions]
        return sorted((one for one in inner if one is not None), key=repr) or None
    if error is None or isinstance(error, (Cancelled, trio.Cancelled)):
        return None
    return "TimedOut" if isinstance(error, (TimedOut, trio.TooSlowError)) else type(error).__name__


def numbered(steps: tuple[Step, ...], scopes: list[int], counter: Iterator[int]) -> tuple[Step, ...]:
    """Lengths become ticks that no sum of others equals; every scope gets a number, cancels point to one of them."""
    out = []
    for step in steps:
        number = next(counter)
        length = step.length * COARSE + (1 << number)
        if step.kind == "cancel":
            number = scopes[step.number % len(scopes)] if scopes else -1
        elif step.kind in ("set", "wait"):
            number = step.number
        children = tuple(numbered(child, scopes, counter) for child in step.children)
        body = numbered(step.body, scopes, counter)
        out.append(attrs.evolve(step, number=number, length=length, body=body, children=children))
    return tuple(out)


def scopes_of(steps: tuple[Step, ...], counter: Iterator[int]) -> Iterator[int]:
    """The numbers that `numbered` will give to scopes and groups."""
    for step in steps:
        number = next(counter)
        if step.kind in ("scope", "group"):
            yield number
        for child in step.children:
            yield from scopes_of(child, counter)
        yield from scopes_of(step.body, counter)


def count(steps: tuple[Step, ...]) -> int:
    return sum(1 + count(step.body) + sum(count(child) for child in step.children) for step in steps)


def tell_ours(program: tuple[Step, ...]) -> tuple[Any, Any]:
    loop = Loop()
    futures = [loop.future() for _ in range(FUTURES)]

    async def wait(number: int) -> None:
        await loop.checkpoint()
        await futures[number]

    story = Story(
        World(
            now=lambda: loop.now.mono_ns,
            sleep=loop.sleep,
            wait=wait,
            set=lambda number: futures[number].set(),
            scope=loop.scope,
            move_on_after=loop.move_on_after,
            fail_after=loop.fail_after,
            group=loop.group,
            spawn=lambda group, make: group.spawn(make()),
            scope_of=lambda group: group.scope,
            timed_out=TimedOut,
        )
    )

    async def bounded() -> bool:
        with loop.move_on_after(LONG_AFTER * TICK) as scope:
            await story.task("main", program, "main")
        return scope.cancelled_caught

    main = loop.spawn_root(bounded(), name="main")
    settle(loop)
    assert loop.tasks() == ()
    if loop.crashed:
        return story.told, _shape(loop.crashed[0][1])
    return story.told, "waits for ever" if main.result() else "end"


def tell_trio(program: tuple[Step, ...]) -> tuple[Any, Any]:
    holder: list[Story] = []
    ended: list[object] = []

    async def main() -> None:
        futures = [trio.Event() for _ in range(FUTURES)]
        start = trio.current_time()

        def now() -> int:
            return round((trio.current_time() - start) * TICK)

        async def wait(number: int) -> None:
            await trio.lowlevel.checkpoint()
            await futures[number].wait()

        story = Story(
            World(
                now=now,
                sleep=lambda ticks: trio.sleep(ticks / TICK),  # noqa: ASYNC105 - awaited by the story
                wait=wait,
                set=lambda number: futures[number].set(),
                scope=trio.CancelScope,
                move_on_after=lambda ticks: trio.move_on_after(ticks / TICK),
                fail_after=lambda ticks: trio.fail_after(ticks / TICK),
                group=trio.open_nursery,
                spawn=lambda nursery, make: nursery.start_soon(make),
                scope_of=lambda nursery: nursery.cancel_scope,
                timed_out=trio.TooSlowError,
            )
        )
        holder.append(story)
        with trio.move_on_after(LONG_AFTER) as scope:
            await story.task("main", program, "main")
        if scope.cancelled_caught:
            ended.append("waits for ever")

    clock = trio.testing.MockClock(autojump_threshold=0)
    try:
        trio.run(main, clock=clock)
    except Exception as error:
        ended.append(_shape(error))
    return holder[0].told, ended[0] if ended else "end"


@settings(max_examples=300)
@given(programs)
def test_same_story_as_trio(program: tuple[Step, ...]) -> None:
    assume(count(program) <= 22)  # bits below COARSE
    program = numbered(program, list(scopes_of(program, itertools.count())), itertools.count())
    ours, theirs = tell_ours(program), tell_trio(program)
    event(f"ended {ours[1]}")
    assert ours[1] == theirs[1]
    assert ours[0] == theirs[0]
