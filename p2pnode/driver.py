"""Runs one Peer on trio: bytes, time and disk in, effects out.

The core decides, this file does. Every input goes through `_feed`, which hands it over, performs
the effects it caused and moves the one timer. An exception out of the core is a bug here and never
the doing of a peer (hostile bytes end in BadMessage inside the core): it is logged with its
traceback and ends the node, because a core that raised half-way is in a state nobody has thought of.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import attrs
import trio

from overlay import limits
from overlay.errors import CannotStart, OverlayError
from overlay.runtime.address import Address
from overlay.runtime.ports import (
    Commit,
    Compute,
    Core,
    Failed,
    Interface,
    Now,
    Ok,
    Operate,
    Outcome,
    Report,
    Result,
    SendDatagram,
    StreamClose,
    StreamEffect,
    StreamEvent,
    StreamGrant,
    StreamKeys,
    StreamOpen,
    StreamSend,
    StreamTakes,
    Sync,
)
from p2pnode.paths import HomeError
from p2pnode.reports import Reports

log = logging.getLogger(__name__)

#: Threads for Compute and Operate together; both release the GIL (hashing, disk).
WORKERS = 4


class CommandFailed(Exception):
    """A command of the core ended without a value."""

    def __init__(self, code: str, message: str, facts: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        #: A key of overlay.runtime.ports.CODES.
        self.code = code
        self.message = message
        self.facts = dict(facts or {})


class NodeCrashed(Exception):
    """The core raised, and the node ends. The cause is what it raised: a bug, or a disk that cannot be read."""


class Datagrams(Protocol):
    """What the driver needs of p2pnode.transport.udp.Udp."""

    def send(self, to: Address, data: bytes) -> None: ...
    async def serve(self, received: Callable[[Address, bytes], None], turn_done: Callable[[], None]) -> None: ...
    def take(self, received: Callable[[Address, bytes], None]) -> None: ...


class StreamSockets(Protocol):
    """What the driver needs of p2pnode.transport.streams.Streams."""

    def start(self, nursery: trio.Nursery, tell: Callable[[StreamEvent], None] | None) -> None: ...
    def perform(self, effect: StreamEffect) -> None: ...


class Durable(Protocol):
    """What the driver needs of the store: a call back, from any thread, once writes so far are safe.

    The argument is None, or the error that stands in the way (disk full, file gone).
    """

    def commit(self, done: Callable[[BaseException | None], None]) -> None: ...
    def sync(self, done: Callable[[BaseException | None], None]) -> None: ...


def _no_bug(error: BaseException) -> HomeError | CannotStart | None:
    """What stands behind it, if that is a store that cannot be read, or a disk that is full at the start."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, HomeError | CannotStart):
        cause = cause.__cause__
    return cause


def _reason(error: BaseException) -> str:
    return str(_no_bug(error) or f"the core raised {type(error).__name__}: this is a bug")


def system_now() -> Now:
    return Now(time.monotonic_ns(), time.time_ns() // 1_000_000)


@attrs.define(slots=True, eq=False)
class _Waiter:
    done: trio.Event = attrs.Factory(trio.Event)
    outcome: Outcome | None = None


@attrs.define(slots=True, eq=False)
class Driver:
    """`await nursery.start(driver.run)`, then `await driver.command(...)`, until the scope of `run` is cancelled."""

    peer: Core
    datagrams: Datagrams
    store: Durable
    #: None: a core that opens none.
    streams: StreamSockets | None = attrs.field(default=None, kw_only=True)
    clock: Callable[[], Now] = attrs.field(default=system_now, kw_only=True)
    #: Pure functions for Compute and impure ones for Operate, by name.
    functions: Mapping[str, Callable[..., Any]] = attrs.field(factory=dict, kw_only=True)
    operations: Mapping[str, Callable[..., Any]] = attrs.field(factory=dict, kw_only=True)
    _ids: Iterator[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    _waiters: dict[int, _Waiter] = attrs.field(factory=dict, init=False)
    reports: Reports = attrs.field(factory=Reports, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _token: trio.lowlevel.TrioToken | None = attrs.field(default=None, init=False)
    _workers: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(WORKERS), init=False)
    #: Deadline on the clock of the core that the timer task sleeps for, and the scope it sleeps in.
    _deadline: int | None = attrs.field(default=None, init=False)
    _timer: trio.CancelScope | None = attrs.field(default=None, init=False)
    #: Set once the core has raised, whatever else ends `run` in the same moment.
    crash: NodeCrashed | None = attrs.field(default=None, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Drive the peer until cancelled. NodeCrashed if the core raises."""
        self._token = trio.lowlevel.current_trio_token()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if self.streams is not None:
                    takes_streams = hasattr(self.peer, "handle_stream")
                    self.streams.start(nursery, self._streamed if takes_streams else None)
                self._feed(self.peer.start)
                nursery.start_soon(self._keep_time)
                nursery.start_soon(self.datagrams.serve, self._received, self._flush_safely)
                task_status.started()
        finally:
            self._ended = True
            for waiter in self._waiters.values():
                waiter.done.set()
            self.reports.end()
        if self.crash is not None:
            raise self.crash

    @property
    def is_running(self) -> bool:
        return self.crash is None and not self._ended

    async def command(self, name: str, /, **args: Any) -> Any:
        """Have the core do something (the commands of Peer) and return its value.

        CommandFailed if it fails or the node ends meanwhile. Cancelling the caller cancels the command.
        """
        if not self.is_running or self._nursery is None:
            raise CommandFailed("failed", "the node is not running")
        if len(self._waiters) >= limits.MAX_COMMANDS:
            raise CommandFailed("failed", f"{limits.MAX_COMMANDS} commands are being served already; try again later")
        id, waiter = next(self._ids), _Waiter()
        self._waiters[id] = waiter
        try:
            self._feed(self.peer.handle_command, id, name, args)
            await waiter.done.wait()
        finally:
            del self._waiters[id]
            if not waiter.done.is_set():
                self._feed(self.peer.handle_cancel, id)
        match waiter.outcome:
            case Ok(value):
                return value
            case Failed(code, message, facts):
                raise CommandFailed(code, message, facts)
            case None:
                raise CommandFailed("failed", "the node stopped before it had an answer")

    def network_changed(self, interfaces: tuple[Interface, ...]) -> None:
        self._feed(self.peer.handle_network, interfaces)

    # --- inputs -----------------------------------------------------------------------------

    def _feed(self, handle: Callable[..., None], *args: Any) -> None:
        if not self.is_running:
            return
        try:
            handle(self.clock(), *args)
            self._flush()
        except Exception as error:
            self._crashed(error)

    def _received(self, source: Address, data: bytes) -> None:
        """Without a flush: the effects of a whole batch leave together."""
        if self.crash is not None:
            return
        try:
            self.peer.handle_datagram(self.clock(), source, data)
        except Exception as error:
            log.critical("a datagram of %d bytes from %s: %s", len(data), source, data.hex())
            self._crashed(error)

    def _streamed(self, event: StreamEvent) -> None:
        self._feed(self.peer.handle_stream, event)  # type: ignore[attr-defined]  # a StreamCore, or nobody calls

    def _flush_safely(self) -> None:
        if not self.is_running:
            return
        try:
            self._flush()
        except Exception as error:
            self._crashed(error)

    def _done(self, id: int, outcome: Outcome) -> None:
        self._feed(self.peer.handle_done, id, outcome)

    def _crashed(self, error: Exception) -> None:
        log.critical("%s; the node ends", _reason(error), exc_info=None if _no_bug(error) else error)
        self.crash = NodeCrashed(_reason(error))
        self.crash.__cause__ = error
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    # --- effects ----------------------------------------------------------------------------

    def _flush(self) -> None:
        send = self.datagrams.send
        for effect in self.peer.outbox():
            match effect:
                case SendDatagram(to, data):
                    send(to, data)
                case Result(id, outcome):
                    waiter = self._waiters.get(id)  # None: its caller has given up
                    if waiter is not None:
                        waiter.outcome = outcome
                        waiter.done.set()
                case Report(event):
                    self.reports.tell(event)
                case Commit(id):
                    self.store.commit(self._when_safe(id))
                case Sync(id):
                    self.store.sync(self._when_safe(id))
                case Compute(id, name, args):
                    self._start(id, self.functions[name], args)
                case Operate(id, name, args):
                    self._start(id, self.operations[name], args)
                case StreamSend() | StreamGrant() | StreamOpen() | StreamKeys() | StreamClose() | StreamTakes():
                    assert self.streams is not None
                    self.streams.perform(effect)
        self._move_timer(self.peer.next_deadline())

    def _when_safe(self, id: int) -> Callable[[BaseException | None], None]:
        token = self._token
        assert token is not None

        def done(error: BaseException | None) -> None:
            outcome = Ok() if error is None else Failed("failed", f"the store could not write: {error}")
            try:
                token.run_sync_soon(self._done, id, outcome)
            except trio.RunFinishedError:
                log.debug("the store finished after the node did")

        return done

    def _start(self, id: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        assert self._nursery is not None
        self._nursery.start_soon(self._work, id, function, args)

    async def _work(self, id: int, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        outcome: Outcome
        try:
            outcome = Ok(await trio.to_thread.run_sync(function, *args, limiter=self._workers))
        except OverlayError as error:
            outcome = Failed("failed", str(error))
        except Exception as error:
            log.exception("%s raised", function)
            outcome = Failed("failed", f"{type(error).__name__}: {error}")
        self._done(id, outcome)

    # --- time -------------------------------------------------------------------------------

    def _move_timer(self, deadline: int | None) -> None:
        """Only ever earlier: nearly every deadline is put off by a reply, and a wake-up too many costs less
        than moving trio's timer for each datagram."""
        if deadline is None or (self._deadline is not None and deadline >= self._deadline):
            return
        self._deadline = deadline
        if self._timer is not None:
            self._timer.deadline = self._on_trios_clock(deadline)

    def _on_trios_clock(self, deadline: int | None) -> float:
        if deadline is None:
            return math.inf
        return trio.current_time() + (deadline - self.clock().mono_ns) / 1e9

    async def _keep_time(self) -> None:
        while True:
            self._timer = trio.CancelScope(deadline=self._on_trios_clock(self._deadline))
            with self._timer:
                await trio.sleep_forever()
            # The deadline may have been put off meanwhile, and the two clocks may differ by a little.
            self._deadline = self.peer.next_deadline()
            if self._deadline is not None and self.clock().mono_ns >= self._deadline:
                self._deadline = None
                self.datagrams.take(self._received)  # an answer that is there is no timeout
                self._feed(self.peer.handle_timer)
