"""Plain streams against pipes of bytes: whatever is sent, moved, read and cancelled in between, what is read is what
was sent, in order and to the byte, and neither side holds more than its bounds."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from overlay.limits import FIRST_WINDOW, MAX_STREAM_MESSAGE, STREAM_WINDOW, UNSENT_HIGH, UNSENT_LOW
from overlay.runtime.loop import Loop, Task
from overlay.runtime.ports import StreamEnd
from overlay.streams.chunks import Chunks
from overlay.streams.endings import StreamEnded
from overlay.streams.plain import Plain
from tests.support.shell_side import ShellSide

MOST = 100_000


class Side(ShellSide):
    def __init__(self, loop: Loop, first: bytes = b"") -> None:
        super().__init__(loop)
        if first:
            self.pipe.grant(8)
            self.granted -= len(first)
            self.pipe.on_data(first)
        self.over = 0
        self.plain = Plain(loop, self.pipe, incoming=bool(first), enlarge=lambda _: True, on_over=self._on_over)

    def _on_over(self, plain: Plain) -> None:
        self.over += 1


class Pipes(RuleBasedStateMachine):
    """`0` speaks, in frames that its model remembers as bytes, and `1` reads."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.way = bytearray()
        self.sides = Side(self.loop), Side(self.loop, b"\x13")
        self.sent, self.got = bytearray(b"\x13"), bytearray()
        self.sending: Task[None] | None = None
        self.reading: Task[None] | None = None

    def spawn(self, coro: Coroutine[Any, Any, None]) -> Task[None]:
        task = self.loop.spawn_root(coro, name="test")
        task.add_callback(lambda: None)
        self.loop.drain()
        return task

    @precondition(lambda self: self.sending is None or self.sending.done)
    @rule(size=st.sampled_from([0, 1, 5, 1000, 16_384, 65_519, MAX_STREAM_MESSAGE]), count=st.integers(1, 8))
    def send(self, size: int, count: int) -> None:
        async def say() -> None:
            for _ in range(count):
                data = (len(self.sent) % 251).to_bytes(1, "big") * size
                await self.sides[0].plain.send(data)
                self.sent += data

        self.sending = self.spawn(say())

    @rule(n=st.sampled_from([1, 3, 5_000, 65_519, 400_000, 3_000_000]))
    def carry(self, n: int) -> None:
        self.sides[0].carry(n, self.way)

    @rule(n=st.sampled_from([1, 7, 65_519, 300_000, 3_000_000]))
    def give(self, n: int) -> None:
        self.sides[1].give(n, self.way)

    @precondition(lambda self: self.reading is None or self.reading.done)
    @rule(n=st.sampled_from([0, 1, 4, 1000, 16_384, MAX_STREAM_MESSAGE]), exactly=st.booleans())
    def read(self, n: int, exactly: bool) -> None:
        async def hear() -> None:
            plain = self.sides[1].plain
            data = await (plain.read(n) if exactly else plain.read_some(n or 1))
            assert len(data) == n if exactly else 1 <= len(data) <= (n or 1)
            self.got += data

        self.reading = self.spawn(hear())

    @precondition(lambda self: self.reading is not None)
    @rule()
    def give_up_reading(self) -> None:
        assert self.reading is not None
        if not self.reading.done:
            self.reading.cancel()
            self.loop.drain()
        self.reading = None

    @invariant()
    def what_was_read_is_what_was_sent(self) -> None:
        reader = self.sides[1].plain
        assert self.sent.startswith(self.got)
        assert reader.received == len(self.got)
        assert self.loop.crashed == []
        on_way = reader.unread + len(self.way) + self.sides[0].held
        assert len(self.got) + on_way == len(self.sent)

    @invariant()
    def neither_side_holds_more_than_its_bounds(self) -> None:
        speaker, reader = self.sides
        assert speaker.plain.unsent == speaker.held < UNSENT_HIGH + MAX_STREAM_MESSAGE
        waits = self.sending is not None and not self.sending.done
        assert not waits or speaker.held > UNSENT_LOW, "it waits although there is room"
        window = STREAM_WINDOW if reader.plain.received >= FIRST_WINDOW else FIRST_WINDOW
        assert reader.plain.unread + reader.granted <= window
        if self.reading is not None and not self.reading.done:
            assert reader.granted > 0, "it waits for what may not come"

    def teardown(self) -> None:
        """If bytes move and somebody reads, all arrives; then the end, and once."""
        if self.reading is not None:
            self.give_up_reading()
        speaker, reader = self.sides
        for _ in range(100):
            self.carry(3_000_000)
            self.give(3_000_000)
            if reader.plain.unread:
                self.read(min(reader.plain.unread, MAX_STREAM_MESSAGE), True)
        assert self.sending is None or self.sending.done
        assert self.got == self.sent
        speaker.plain.close()
        assert speaker.closed
        reader.pipe.on_closed(StreamEnd.CLOSED)
        assert (speaker.over, reader.over) == (1, 1)
        assert self.loop.next_deadline() is None


Pipes.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPipes = Pipes.TestCase


@given(frames=st.lists(st.binary(max_size=300), max_size=20), cuts=st.lists(st.integers(1, 400), min_size=1))
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames: list[bytes], cuts: list[int]) -> None:
    loop = Loop()
    side, got = Side(loop), list[bytes]()
    way = bytearray(b"".join(len(frame).to_bytes(4, "big") + frame for frame in frames))

    async def hear() -> None:
        for _ in frames:
            got.append(await side.plain.read_frame(300))

    task = loop.spawn_root(hear(), name="test")
    for cut in cuts * (len(way) + 1):
        if not way:
            break
        side.give(cut, way)
    loop.drain()
    assert task.done
    assert got == frames
    assert side.plain.unread == 0


@given(data=st.binary(min_size=4, max_size=60), most=st.integers(0, 40))
def test_a_length_is_believed_only_within_its_bound(data: bytes, most: int) -> None:
    """Any bytes: a frame, an end of the stream, or a wait for more."""
    loop = Loop()
    side = Side(loop)
    way = bytearray(data)
    side.give(len(data), way)
    task = loop.spawn_root(side.plain.read_frame(most), name="test")
    task.add_callback(lambda: None)
    loop.drain()
    length = int.from_bytes(data[:4], "big")
    if length > most:
        assert side.closed
        assert isinstance(side.plain.ended, StreamEnded)
    elif len(data) < 4 + length:
        assert not task.done
    else:
        assert task.result() == data[4 : 4 + length]


@given(
    chunks=st.lists(st.binary(max_size=9)),
    steps=st.lists(st.tuples(st.sampled_from(["take", "some", "peek", "drop"]), st.integers(0, 12))),
)
def test_chunks_are_the_bytes_that_they_were_fed(chunks: list[bytes], steps: list[tuple[str, int]]) -> None:
    fed, model = Chunks(), b"".join(chunks)
    for chunk in chunks:
        fed.feed(chunk)
    for step, n in steps:
        assert fed.size == len(model)
        n = min(n, len(model))
        match step:
            case "take":
                assert fed.take(n) == model[:n]
            case "some":
                taken = fed.take_some(n)
                assert model.startswith(taken)
                assert len(taken) >= min(1, n)
                n = len(taken)
            case "peek":
                assert not model or fed.peek(n) == model[:n]
                n = 0
            case "drop":
                fed.drop(n)
        model = model[n:]
    fed.clear()
    assert fed.take_some(100) == b""
