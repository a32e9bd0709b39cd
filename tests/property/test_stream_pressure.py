"""Back-pressure against a model: two streams joined by a shell that moves what it likes, when it likes.

The model knows every byte: what was given to the shell, what it carried, what was granted. Whatever happens, neither
side holds more than its bounds, nothing is given that was not granted, and all arrives in order.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from overlay.limits import FIRST_WINDOW, MAX_STREAM_MESSAGE, STREAM_WINDOW, UNSENT_HIGH, UNSENT_LOW
from overlay.runtime.loop import Loop, Task
from overlay.runtime.ports import SECOND, Now, StreamEnd
from overlay.secure.handshake import Secured
from overlay.secure.noise import Suite
from overlay.streams.endings import StreamEnded
from overlay.streams.stream import Stream
from tests.support.pair import keys_of
from tests.support.shell_side import ShellSide

#: Control frames that may be unsent on top: PONGs and an END.
SLACK = 4096


class Side(ShellSide):
    """One end, with what the shell holds for it."""

    def __init__(self, loop: Loop, number: int) -> None:
        super().__init__(loop)
        secured = Secured(keys_of(number).key, Suite.AESGCM, bytes(32), bytes(32))
        self.stream = Stream(
            loop, self.pipe, secured, incoming=False, window=100, enlarge=lambda _: True, on_over=lambda _: None
        )
        self.stream.agreed("/test/1")


class Pressure(RuleBasedStateMachine):
    """`0` speaks and `1` reads; a third of the rules moves time and bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.sides = Side(self.loop, 1), Side(self.loop, 2)
        self.now_ns = 0
        self.said: list[int] = []
        self.heard: list[int] = []
        self.on_way = bytearray()
        self.sending: Task[None] | None = None
        self.receiving: Task[bytes] | None = None
        self.ended: StreamEnded | None = None

    def spawn(self, coro: Coroutine[Any, Any, Any]) -> Task[Any]:
        task = self.loop.spawn_root(coro, name="test")
        task.add_callback(lambda: None)
        self.loop.drain()
        return task

    @precondition(lambda self: self.sending is None or self.sending.done)
    @rule(size=st.sampled_from([0, 1, 1000, 65_519, 200_000, MAX_STREAM_MESSAGE]), count=st.integers(1, 12))
    def send(self, size: int, count: int) -> None:
        async def say() -> None:
            for _ in range(count):
                number = len(self.said)
                message = number.to_bytes(4, "big") + bytes(max(0, size - 4))
                await self.sides[0].stream.send(message)
                self.said.append(len(message))

        self.sending = self.spawn(say())

    @rule(n=st.sampled_from([1, 3, 5_000, 65_519, 400_000, 3_000_000]))
    def carry(self, n: int) -> None:
        """The network takes up to `n` bytes of the speaker."""
        self.sides[0].carry(n, self.on_way)

    @rule(n=st.sampled_from([1, 7, 65_519, 300_000, 3_000_000]))
    def give(self, n: int) -> None:
        """To the reader, as much as it granted."""
        self.sides[1].give(n, self.on_way)

    @precondition(lambda self: self.receiving is None)
    @rule(count=st.integers(1, 20))
    def read(self, count: int) -> None:
        async def hear() -> None:
            for _ in range(count):
                message = await self.sides[1].stream.receive()
                assert int.from_bytes(message[:4], "big") == len(self.heard)
                self.heard.append(len(message))

        self.receiving = self.spawn(hear())

    @precondition(lambda self: self.receiving is not None)
    @rule()
    def stop_reading(self) -> None:
        assert self.receiving is not None
        if not self.receiving.done:
            self.receiving.cancel()
            self.loop.drain()
        assert self.receiving.cancelled or self.receiving.result() is None
        self.receiving = None

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        """Not long enough for either to doubt the other: the way back is not in this model."""
        self.now_ns += seconds * SECOND
        for side in self.sides:
            side.stream._heard_ns = self.now_ns
            side.pipe.taken_ns = self.now_ns
        self.loop.run(Now(self.now_ns, 0))

    @invariant()
    def the_speaker_holds_no_more_than_its_bound(self) -> None:
        side = self.sides[0]
        assert side.stream.unsent == side.held
        assert side.held < UNSENT_HIGH + MAX_STREAM_MESSAGE + SLACK
        waits = self.sending is not None and not self.sending.done
        assert not waits or side.held > UNSENT_LOW, "it waits although there is room"

    @invariant()
    def the_reader_holds_no_more_than_its_window(self) -> None:
        side = self.sides[1]
        assert side.pipe.granted == side.granted
        window = STREAM_WINDOW if side.stream.received >= FIRST_WINDOW else FIRST_WINDOW
        assert 0 <= side.stream.unread + side.granted <= window
        if not side.stream._queue:
            assert side.granted > 0, "who has read all must be ready for more"

    @invariant()
    def nobody_crashed_or_ended(self) -> None:
        assert self.loop.crashed == []
        assert all(side.stream.ended is None for side in self.sides)
        if self.receiving is not None and self.receiving.done:
            self.receiving.result()

    def teardown(self) -> None:
        """Whatever was done before: if bytes move and somebody reads, all arrives; then the end."""
        if self.receiving is not None:
            self.stop_reading()
        for _ in range(400):
            self.carry(3_000_000)
            self.give(3_000_000)
            if self.receiving is None and len(self.heard) < len(self.said):
                self.read(1)
            if self.receiving is not None and self.receiving.done:
                self.stop_reading()
        assert self.sending is None or self.sending.done
        assert self.heard == self.said
        self.sides[0].stream.close("done")
        self.carry(1000)
        self.give(1000)
        self.sides[1].pipe.on_closed(StreamEnd.CLOSED)
        ended = self.sides[1].stream.ended
        assert ended is not None
        assert ended.clean
        assert self.loop.next_deadline() is None


Pressure.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPressure = Pressure.TestCase
