"""kill -9 of a real node while clients write: what was acknowledged is there, and no number goes back.

Each life writes signed records under a few names (one version on another) and blobs, until it is killed: while it
starts, in the middle of a put, right after an acknowledgement. Half of the lives run with a clock a day behind.
"""

from __future__ import annotations

import itertools
import math
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import attrs

from overlay.identity.network import Network
from p2pnode.store import open_store
from p2pnode.ui.fail import Fail
from tests.support.nodes import NodeProcess
from tests.support.recorder import Recorder

NAMES = tuple(f"name-{n}" for n in range(6))
#: Blobs that are looked for after each restart: the newest of all.
BLOBS_KEPT = 20
WRITERS = 3
DAY_S = 86_400
_TTL_S = DAY_S
#: One life in eight is killed while it starts.
_KILLED_AT_START = 1 / 8
#: More than a start takes.
_START_S = 1.2


@attrs.define
class Acknowledged:
    """The newest that the node said it has, by one name or key."""

    key: str
    value: str
    seq: int
    #: On the node's clock of that life, s.
    expires_s: float


@attrs.define
class Killed:
    """One home through many lives."""

    folder: Path
    chance: random.Random
    _network: Network = attrs.field(factory=lambda: Network("killed", puzzle_bits=0), init=False)
    names: dict[str, Acknowledged] = attrs.field(factory=dict, init=False)
    blobs: dict[str, Acknowledged] = attrs.field(factory=dict, init=False)
    #: Values by name that were asked for and not acknowledged: either may have happened. With the life in which that
    #: was, and when their copies end, s.
    unanswered: dict[str, dict[str, tuple[int, float]]] = attrs.field(factory=dict, init=False)
    _life: int = attrs.field(default=0, init=False)
    acknowledged: int = attrs.field(default=0, init=False)
    last_reserved: int = attrs.field(default=0, init=False)
    #: Of writers, which are threads.
    failures: list[AssertionError] = attrs.field(factory=list, init=False)
    _count: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def run(self, kills: int) -> Recorder:
        with Recorder(self._network) as recorder:
            for life in range(kills + 1):
                offset_s = self.chance.choice((0, -DAY_S)) if life else 0
                node, self._life = self._node(offset_s), life
                self._forget_over(offset_s)
                try:
                    if self.chance.random() < _KILLED_AT_START and 0 < life < kills:
                        node.start()
                        threading.Event().wait(self.chance.random() * _START_S)
                    else:
                        self._live(node, recorder, offset_s, is_last=life == kills)
                finally:
                    node.kill()
                self._check_store()
            stamps = recorder.stamps
            assert all(a < b for a, b in itertools.pairwise(stamps)), _back(stamps)
            return recorder

    def _forget_over(self, offset_s: int) -> None:
        """What was put with the clock set back is over in a life without, however short, and stays so."""
        now_s = time.time() + offset_s
        for kept in (self.names, self.blobs):
            for name in [name for name, mine in kept.items() if mine.expires_s <= now_s]:
                del kept[name]

    def _node(self, offset_s: int) -> NodeProcess:
        program = (sys.executable, "-m", "tests.support.shifted_clock", str(offset_s))
        options = ("--network", self._network.name, "--puzzle-bits", "0")
        return NodeProcess(self.folder / "home", options, program)

    def _live(self, node: NodeProcess, recorder: Recorder, offset_s: int, *, is_last: bool) -> None:
        node.start()
        node.wait_ready()
        recorder.ping(node.address)
        self._check(node, offset_s)
        if is_last:
            return
        stop = threading.Event()
        acknowledged = threading.Semaphore(0)
        writers = [
            threading.Thread(target=self._write, args=(node, offset_s, stop, acknowledged)) for _ in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        for number in range(self.chance.randint(0, 25)):
            assert acknowledged.acquire(timeout=30), "no put was acknowledged for 30 s"
            if self.failures:
                break
            if number % 5 == 0:
                recorder.ping(node.address)
        # Somewhere within the next put or two.
        spin_until = time.perf_counter() + self.chance.random() * 0.01
        while time.perf_counter() < spin_until:
            pass
        stop.set()
        node.kill()
        for writer in writers:
            writer.join()
        if self.failures:
            raise self.failures[0]
        recorder.listen(0.001)

    def _write(
        self, node: NodeProcess, offset_s: int, stop: threading.Event, acknowledged: threading.Semaphore
    ) -> None:
        try:
            self._write_until(node, offset_s, stop, acknowledged)
        except AssertionError as failure:
            self.failures.append(failure)
            acknowledged.release()

    def _write_until(
        self, node: NodeProcess, offset_s: int, stop: threading.Event, acknowledged: threading.Semaphore
    ) -> None:
        while not stop.is_set():
            with self._lock:
                self._count += 1
                number = self._count
            name = NAMES[number % len(NAMES)] if number % 3 else None
            value = f"{number} " + "x" * (number * 41 % 700)
            if name is not None:
                with self._lock:
                    ends_s = time.time() + offset_s + _TTL_S - 60
                    self.unanswered.setdefault(name, {})[value] = (self._life, ends_s)
            try:
                answer = node.put(value, name=name, ttl_s=_TTL_S)
            except Fail:
                return  # killed
            assert answer["stored"] >= 1, answer
            expires_s = time.time() + offset_s + _TTL_S - 60  # a minute for what lies between
            mine = Acknowledged(answer["key"], value, answer.get("seq", 0), expires_s)
            with self._lock:
                self.acknowledged += 1
                if name is None:
                    self.blobs[mine.key] = mine
                    if len(self.blobs) > BLOBS_KEPT:
                        del self.blobs[next(iter(self.blobs))]
                else:
                    before = self.names.get(name)
                    assert before is None or before.seq != mine.seq, "one seq was given twice"
                    if before is None or before.seq < mine.seq:
                        self.names[name] = mine
                    del self.unanswered[name][value]
                    self._replaced(name)
            acknowledged.release()

    def _replaced(self, name: str) -> None:
        """What was put in this life has a higher seq than all that earlier ones may have put."""
        left = {value: of for value, of in self.unanswered[name].items() if of[0] == self._life}
        self.unanswered[name] = left

    def _check(self, node: NodeProcess, offset_s: int) -> None:
        """What a restarted node lists and serves, against what it acknowledged."""
        now_s = time.time() + offset_s
        own = {record["key"]: record for record in node.call("GET", "/v1/dht/own")["records"]}
        for name, mine in self.names.items():
            listed = own.get(mine.key, {"seq": 0})
            assert listed["seq"] >= mine.seq, f"{name}: {listed}, had {mine}"
            if self._may_be_over(name, now_s):
                continue
            got = _get(node, mine.key)
            assert got["seq"] >= mine.seq, f"{name}: {got}, had {mine}"
            same = got["seq"] == mine.seq
            assert got["value"] in ({mine.value} if same else self.unanswered[name]), f"{name}: {got}"
        for mine in self.blobs.values():
            assert mine.key in own, f"forgotten: {mine}"
            assert _get(node, mine.key)["value"] == mine.value

    def _may_be_over(self, name: str, now_s: float) -> bool:
        """A version that nobody was told of has taken the place of one that was, in the copy that this node holds, and
        in the list of its own records if that came to it. If it was put with the clock set back, the copy is over by
        now, and what the list has gets another in the first round of publishing."""
        return min((ends_s for _, ends_s in self.unanswered.get(name, {}).values()), default=math.inf) <= now_s

    def _check_store(self) -> None:
        """On disk: the reserved stamps never go back (tests may look; the process is dead)."""
        if not (self.folder / "home" / "node.db").exists():
            return
        store = open_store(self.folder / "home" / "node.db")
        try:
            reserved = int.from_bytes(store.get(b"stamp") or b"", "big")
        finally:
            store.close()
        assert reserved >= self.last_reserved
        self.last_reserved = reserved


def _get(node: NodeProcess, key: str) -> dict[str, Any]:
    try:
        return node.get(key)
    except Fail as failure:
        own = [record for record in node.call("GET", "/v1/dht/own")["records"] if record["key"] == key]
        raise AssertionError(f"acknowledged and lost: {key}: {failure.what}; it lists {own}") from None


def _back(stamps: list[int]) -> str:
    return next(f"{a} then {b}" for a, b in itertools.pairwise(stamps) if a >= b)
