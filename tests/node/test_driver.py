"""The driver does what each effect says, once, and ends loudly when the core raises."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import attrs
import pytest
import trio
import trio.testing

from overlay.errors import LimitError
from overlay.events import Started
from overlay.runtime.address import Address, parse_address
from overlay.runtime.ports import MS, Failed, Interface, Now
from p2pnode.driver import CommandFailed, Driver, NodeCrashed
from p2pnode.paths import HomeError
from tests.support.pair import make_peer
from tests.support.toy_peer import ToyPeer

SOMEBODY = parse_address("127.0.0.1:4000")


@attrs.define(slots=True, eq=False)
class FakeDatagrams:
    """`push` hands a batch to the driver as one turn of the drain loop."""

    sent: list[tuple[Address, bytes]] = attrs.Factory(list)
    received: Callable[[Address, bytes], None] | None = None
    turn_done: Callable[[], None] | None = None
    #: In the socket, not taken yet.
    waiting: list[bytes] = attrs.Factory(list)

    def send(self, to: Address, data: bytes) -> None:
        self.sent.append((to, data))

    async def serve(self, received: Callable[[Address, bytes], None], turn_done: Callable[[], None]) -> None:
        self.received, self.turn_done = received, turn_done
        await trio.sleep_forever()

    def take(self, received: Callable[[Address, bytes], None]) -> None:
        while self.waiting:
            received(SOMEBODY, self.waiting.pop(0))

    def push(self, *datagrams: bytes) -> None:
        assert self.received is not None
        assert self.turn_done is not None
        for data in datagrams:
            self.received(SOMEBODY, data)
        self.turn_done()


@attrs.define(slots=True, eq=False)
class FakeStore:
    """Answers from another thread, as the store does."""

    error: BaseException | None = None
    asked: list[str] = attrs.Factory(list)

    def commit(self, done: Callable[[BaseException | None], None]) -> None:
        self._ask("commit", done)

    def sync(self, done: Callable[[BaseException | None], None]) -> None:
        self._ask("sync", done)

    def _ask(self, name: str, done: Callable[[BaseException | None], None]) -> None:
        self.asked.append(name)
        threading.Thread(target=done, args=(self.error,)).start()


@attrs.define(slots=True, eq=False)
class Rig:
    peer: ToyPeer
    datagrams: FakeDatagrams
    store: FakeStore
    driver: Driver


@contextmanager
def rig(**options: object) -> Iterator[Rig]:
    peer, datagrams, store = ToyPeer(), FakeDatagrams(), FakeStore()
    yield Rig(peer, datagrams, store, Driver(peer, datagrams, store, clock=virtual_now, **options))  # type: ignore[arg-type]


@asynccontextmanager
async def running(**options: object) -> AsyncIterator[Rig]:
    with rig(**options) as made:
        async with trio.open_nursery() as nursery:
            await nursery.start(made.driver.run)
            await trio.testing.wait_all_tasks_blocked()
            yield made
            nursery.cancel_scope.cancel()


def virtual_now() -> Now:
    ns = round(trio.current_time() * 1e9)
    return Now(ns, ns // MS)


async def test_a_command_gives_its_value_or_raises() -> None:
    async with running() as made:
        assert await made.driver.command("echo", value=[1, b"x"]) == [1, b"x"]
        with pytest.raises(CommandFailed, match="nobody has it") as raised:
            await made.driver.command("fail")
        assert raised.value.code == "not_found"


async def test_a_cancelled_caller_cancels_the_command_and_a_late_result_hurts_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running() as made:
        with trio.move_on_after(1):
            await made.driver.command("wait")
        assert made.peer.seen[-1] == ("cancel", 1)

        assert await made.driver.command("late", earlier=1) == "now"


async def test_a_finished_command_is_not_cancelled() -> None:
    async with running() as made:
        await made.driver.command("echo", value=1)
        assert ("cancel", 1) not in made.peer.seen


async def test_effects_of_a_batch_leave_when_the_batch_is_through() -> None:
    async with running() as made:
        made.datagrams.push(b"one", b"two")
        assert made.datagrams.sent == [(SOMEBODY, b"one"), (SOMEBODY, b"two")]


async def test_what_has_come_counts_before_what_is_due(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as made:
        await made.driver.command("alarm", at=virtual_now().mono_ns + 1000 * MS)
        made.datagrams.waiting.append(b"an answer")
        await trio.sleep(2)
        assert [seen[0] for seen in made.peer.seen[-2:]] == ["datagram", "timer"]
        assert made.datagrams.sent == [(SOMEBODY, b"an answer")]


async def test_the_timer_fires_at_the_deadline_and_follows_it_when_it_moves(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running() as made:
        start = virtual_now().mono_ns
        await made.driver.command("alarm", at=start + 5000 * MS)
        await made.driver.command("alarm", at=start + 2000 * MS)
        await trio.sleep(1.9)
        assert not [seen for seen in made.peer.seen if seen[0] == "timer"]
        await trio.sleep(4)
        assert [seen for seen in made.peer.seen if seen[0] == "timer"] == [("timer", start + 2000 * MS)]

        await made.driver.command("alarm", at=virtual_now().mono_ns + 1000 * MS)
        await made.driver.command("alarm", at=None)
        await trio.sleep(5)
        assert len([seen for seen in made.peer.seen if seen[0] == "timer"]) == 1


@pytest.mark.parametrize("name", ["commit", "sync"])
async def test_the_core_hears_when_its_writes_are_safe(name: str) -> None:
    async with running() as made:
        assert await made.driver.command(name) is None
        assert made.store.asked == [name]

        made.store.error = OSError(28, "No space left on device")
        with pytest.raises(CommandFailed, match="No space left"):
            await made.driver.command(name)


async def test_work_runs_in_threads_and_its_end_is_told() -> None:
    def where(x: int) -> tuple[int, bool]:
        return x, threading.current_thread() is threading.main_thread()

    def refuse() -> None:
        raise LimitError("too much")

    async with running(functions={"where": where}, operations={"refuse": refuse, "bug": lambda: 1 // 0}) as made:
        assert await made.driver.command("compute", function="where", args=(3,)) == (3, False)
        for name, text in (("refuse", "too much"), ("bug", "ZeroDivisionError")):
            with pytest.raises(CommandFailed, match=text):
                await made.driver.command("operate", operation=name, args=())
        assert isinstance(made.peer.seen[-1][1], Failed)


async def test_a_slow_subscriber_misses_events_and_holds_up_nobody() -> None:
    async with running() as made:
        with made.driver.reports.subscribe(kept=3) as events, made.driver.reports.subscribe(kept=10) as patient:
            await made.driver.command("report", count=5)
            assert (events.missed, patient.missed) == (2, 0)
            assert [await anext(events) for _ in range(3)] == [Started(bytes([n]) * 32) for n in range(3)]
        await made.driver.command("report", count=5)
        assert events.missed == 2


async def test_subscriptions_end_with_the_driver() -> None:
    async with running() as made:
        with made.driver.reports.subscribe() as events:
            made.driver._nursery.cancel_scope.cancel()  # type: ignore[union-attr]
            assert [event async for event in events] == []


async def test_the_network_is_told() -> None:
    async with running() as made:
        made.driver.network_changed((Interface(b"\x7f\0\0\1", 8),))
        assert made.peer.seen[-1] == ("network", (Interface(b"\x7f\0\0\1", 8),))


@attrs.define(slots=True, eq=False)
class Watched:
    """Runs a driver that is expected to end by itself."""

    crash: NodeCrashed | None = None
    #: What commands failed with.
    messages: list[str] = attrs.Factory(list)

    async def run(self, driver: Driver, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await driver.run(task_status=task_status)
        except NodeCrashed as crash:
            self.crash = crash

    async def ask(self, driver: Driver, name: str) -> None:
        try:
            await driver.command(name)
        except CommandFailed as failed:
            self.messages.append(failed.message)


@pytest.mark.parametrize("how", ["datagram", "command"])
async def test_an_exception_of_the_core_ends_the_driver_loudly(how: str, caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    with rig() as made:
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run, made.driver)
            nursery.start_soon(watched.ask, made.driver, "wait")
            await trio.testing.wait_all_tasks_blocked()
            if how == "datagram":
                made.datagrams.push(b"bug", b"not seen")
            else:
                nursery.start_soon(watched.ask, made.driver, "bug")
        await watched.ask(made.driver, "wait")

    assert watched.crash is not None
    assert isinstance(watched.crash.__cause__, ZeroDivisionError)
    assert "this is a bug" in str(watched.crash)
    assert "ZeroDivisionError: a bug" in caplog.text  # the traceback
    assert ("datagram", SOMEBODY, b"not seen") not in made.peer.seen
    assert len(watched.messages) == (2 if how == "datagram" else 3)


async def test_a_disk_that_is_full_at_the_start_is_not_called_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    with rig() as made:
        driver = Driver(make_peer(1), made.datagrams, FakeStore(OSError("the disk is full")))
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run, driver)
    assert str(watched.crash) == (
        "this peer cannot start: could not write to the store: the store could not write: the disk is full"
    )
    assert "bug" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_disk_that_fails_below_the_core_is_not_called_a_bug() -> None:
    watched = Watched()
    with rig() as made:
        made.peer.failure = RuntimeError("task 'peer' failed")
        made.peer.failure.__cause__ = HomeError("the disk reports an error")
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.run, made.driver)
            await watched.ask(made.driver, "bug")
    assert watched.crash is not None
    assert str(watched.crash) == "the disk reports an error"


async def test_commands_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overlay.limits.MAX_COMMANDS", 2)
    async with running() as made, trio.open_nursery() as nursery:
        nursery.start_soon(made.driver.command, "wait")
        nursery.start_soon(made.driver.command, "wait")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(CommandFailed, match="try again later"):
            await made.driver.command("echo", value=1)
        nursery.cancel_scope.cancel()
