"""Stamps, freshness and the reply cache against models that remember everything."""

from __future__ import annotations

from itertools import pairwise

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from overlay.limits import FRESH_WINDOW_S, REPLY_CACHE_S
from overlay.rpc import reply_cache, stamps
from overlay.rpc.reply_cache import ReplyCache
from overlay.rpc.stamps import FreshStamps, StampSource
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.runtime.ports import SECOND, Failed, Now, Ok, Sync
from simulations.storage import MemoryStorage

WALL = 1_800_000_000_000
BLOCK = 64


class Sender(RuleBasedStateMachine):
    """One key through crashes, power losses, refusing disks and any clock: no stamp twice, none smaller."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(stamps, "STAMP_BLOCK", BLOCK)
        self.patch.setattr(stamps, "STAMP_SPARE", BLOCK // 2)
        self.storage = MemoryStorage()
        self.now_ns = 0
        self.wall_ms = WALL
        self.given: list[int] = []
        self.source: StampSource
        self.boot()

    def boot(self) -> None:
        self.left = 0
        self.loop = Loop()
        self.waiting: list[tuple[Sync, int]] = []
        ids = iter(range(1, 1 << 30))

        def emit(effect: object) -> None:
            assert isinstance(effect, Sync)
            self.waiting.append((effect, self.storage.mark()))

        self.journal = Journal(self.loop, self.storage, emit, lambda: next(ids))
        self.source = StampSource(self.journal)
        task = self.loop.spawn_root(self.source.reserve(Now(self.now_ns, self.wall_ms)), name="reserve")
        task.add_callback(lambda: None)
        self.flush()

    def flush(self) -> None:
        self.loop.drain()
        self.journal.flush()

    def teardown(self) -> None:
        self.patch.undo()

    @rule(ms=st.one_of(st.integers(0, 3), st.integers(0, 3 * BLOCK), st.integers(-10 * BLOCK, 10 * BLOCK)))
    def clock(self, ms: int) -> None:
        self.wall_ms = max(0, self.wall_ms + ms)

    @rule(n=st.integers(1, BLOCK))
    def take(self, n: int) -> None:
        for _ in range(n):
            if not self.source.ready:
                self.source.renew(Now(self.now_ns, self.wall_ms))
                break
            self.given.append(self.source.take(Now(self.now_ns, self.wall_ms)))
        self.flush()

    @precondition(lambda self: self.waiting)
    @rule(works=st.booleans())
    def disk(self, works: bool) -> None:
        effect, mark = self.waiting.pop(0)
        if works:
            self.storage.sync(mark)
        else:
            self.storage._marks.remove(mark)
        self.journal.done(effect.id, Ok() if works else Failed("failed", "disk full"))
        self.flush()

    @rule(seconds=st.integers(0, 3))
    def time(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND

    @rule()
    def leave(self) -> None:
        """It may go on, be killed, or lose power at any instant of this."""
        self.left += 1
        left = self.loop.spawn_root(self.source.give_back(Now(self.now_ns, self.wall_ms)), name="leave")
        left.add_callback(lambda: None)
        self.flush()
        assert not self.source.ready

    @rule(power=st.booleans())
    def crash(self, power: bool) -> None:
        if power:
            self.storage.power_loss()
        else:
            self.storage.crash()
        self.boot()

    @invariant()
    def each_is_above_all_before(self) -> None:
        assert all(a < b for a, b in pairwise(self.given))

    @invariant()
    def none_is_beyond_what_is_on_disk(self) -> None:
        if self.given:
            end = self.storage._synced.get(b"stamp")
            assert end is not None
            assert self.given[-1] <= int.from_bytes(end, "big")

    @invariant()
    def one_block_is_asked_for_at_a_time(self) -> None:
        assert len(self.waiting) <= 1 + self.left


@attrs.define
class _Served:
    at_ns: int
    stamp: int


class Receiver(RuleBasedStateMachine):
    """Requests that act, with repetitions of any age in any order: never done twice, always fresh while new."""

    def __init__(self) -> None:
        super().__init__()
        self.fresh = FreshStamps()
        self.cache = ReplyCache(self.fresh.refuse_up_to)
        self.now_ns = 0
        self.last_stamp = {b"A" * 32: 100, b"B" * 32: 100}
        self.sent: list[tuple[bytes, bytes, int]] = []
        self.done: dict[tuple[bytes, bytes], _Served] = {}
        self.next_id = 0

    def receive(self, key: bytes, request_id: bytes, stamp: int) -> str:
        """As the endpoint does."""
        self.cache.expire(self.now_ns)
        if not self.fresh.accept(key, stamp, self.now_ns):
            return "stale"
        new, cached = self.cache.begin(key, request_id, stamp, self.now_ns)
        if not new:
            assert cached in (None, request_id), "the reply of another request"
            return "repeated"
        assert (key, request_id) not in self.done, "done twice"
        self.done[key, request_id] = _Served(self.now_ns, stamp)
        return "done"

    @rule(key=st.sampled_from([b"A" * 32, b"B" * 32]), gap=st.integers(1, 9), answered=st.booleans())
    def ask(self, key: bytes, gap: int, answered: bool) -> None:
        self.next_id += 1
        self.last_stamp[key] += gap
        request = (key, self.next_id.to_bytes(8, "big"), self.last_stamp[key])
        self.sent.append(request)
        assert self.receive(*request) == "done", "it is newer than all before"
        if answered:
            self.cache.finish(key, request[1], request[1])

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        key, request_id, stamp = data.draw(st.sampled_from(self.sent[-12:]))
        served = self.done[key, request_id]
        outcome = self.receive(key, request_id, stamp)
        assert outcome != "done"
        if self.now_ns - served.at_ns >= 2 * FRESH_WINDOW_S * SECOND:
            assert outcome == "stale"

    @rule(seconds=st.sampled_from([0.001, 1, 14, 29, 30, 31, 59, 61, 500]))
    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND)

    @invariant()
    def bytes_are_counted(self) -> None:
        entries = self.cache._entries.values()
        assert self.cache.size_bytes == sum(200 + len(entry.reply or b"") for entry in entries)
        assert len(self.cache) == sum(len(peer) for peer in self.cache._per_peer.values())

    @invariant()
    def it_is_bounded(self) -> None:
        assert self.cache.size_bytes <= reply_cache.REPLY_CACHE_BYTES
        assert all(len(peer) <= reply_cache.REPLY_CACHE_PER_PEER for peer in self.cache._per_peer.values())
        assert all(entry.expires_ns <= self.now_ns + REPLY_CACHE_S * SECOND for entry in self.cache._entries.values())


class SmallReceiver(Receiver):
    """With bounds that a few dozen steps cross."""

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(reply_cache, "REPLY_CACHE_PER_PEER", 3)
        self.patch.setattr(reply_cache, "REPLY_CACHE_BYTES", 1000)
        super().__init__()

    def teardown(self) -> None:
        self.patch.undo()


TestSender = Sender.TestCase
TestReceiver = Receiver.TestCase
TestSmallReceiver = SmallReceiver.TestCase
TestSender.settings = TestReceiver.settings = TestSmallReceiver.settings = settings(
    max_examples=60, stateful_step_count=40
)
