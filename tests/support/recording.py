"""A recording without a network: one peer that is driven by hand, in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from overlay.errors import LimitError
from overlay.identity.network import Network
from overlay.peer import Peer
from overlay.runtime.address import parse_address
from overlay.runtime.ports import (
    SECOND,
    Commit,
    Interface,
    Now,
    Ok,
    Result,
    StreamClosed,
    StreamData,
    StreamEnd,
    StreamOpened,
    StreamSent,
    Sync,
)
from overlay.secure.handshake import encode_preface
from overlay.secure.noise import Suite, public_of
from p2pnode.api import Terms
from p2pnode.parts import load_apps
from p2pnode.record.ports import MemoryStore
from p2pnode.record.recorder import DEFAULT_LIMIT, RecordedCore, Recorder, Wanted, begin
from tests.support.pair import keys_of

TERMS = Terms(private=False, bittorrent=True, network_id=bytes(32), puzzle_bits=0, light=False)
NETWORK = Network("recorded", puzzle_bits=0)
FRIEND = parse_address("10.0.0.7:4433")


class FullStore(MemoryStore):
    """Refuses everything while `full`."""

    full = False

    def put(self, key: bytes, value: bytes) -> None:
        if self.full:
            raise LimitError("the store is behind")
        super().put(key, value)


class Recorded:
    """Peer 1 with a recorder around it; `now` goes on by 10 ms with every input."""

    def __init__(
        self, path: Path, *, limit: int = DEFAULT_LIMIT, apps: Sequence[str] = (), suite: Suite = Suite.AESGCM
    ) -> None:  # fmt: skip
        self.store = FullStore()
        self.store.put(b"zzz", b"of an earlier life")
        wanted = Wanted(path, limit)
        self.recorder: Recorder = begin(
            wanted, network=NETWORK, pair=keys_of(1), apps=apps, storage=self.store, terms=TERMS, suite=suite
        )  # fmt: skip
        self.peer = Peer(
            network=NETWORK, keys=keys_of(1), storage=self.recorder.storage, rng=self.recorder.rng,
            entropy=self.recorder.entropy, apps=[one.app for one in load_apps(apps, TERMS)], suite=suite,
        )  # fmt: skip
        self.core: RecordedCore = self.recorder.core(self.peer)
        self.now = Now(5 * SECOND, 1_700_000_000_000)
        self.results: dict[int, Any] = {}
        self.give("start")
        self.give("handle_network", (Interface(bytes((10, 0, 0, 1)), 24),))

    def give(self, method: str, *args: Any) -> None:
        """One input, then what the disk says to it."""
        self.now = Now(self.now.mono_ns + SECOND // 100, self.now.wall_ms + 10)
        getattr(self.core, method)(self.now, *args)
        for effect in self.core.outbox():
            match effect:
                case Commit(id) | Sync(id):
                    self.give("handle_done", id, Ok())
                case Result(id, outcome):
                    self.results[id] = outcome

    def command(self, id: int, name: str, /, **args: Any) -> None:
        self.give("handle_command", id, name, args)

    def wait(self, seconds: int) -> None:
        """Every timer in between."""
        end = self.now.mono_ns + seconds * SECOND
        while (deadline := self.core.next_deadline()) is not None and deadline <= end:
            self.now = Now(max(deadline, self.now.mono_ns), self.now.wall_ms)
            self.give("handle_timer")

    def live(self) -> Recorded:
        """A short life that has something of every input."""
        self.command(1, "put", value=b"hello", name="greeting")
        self.command(2, "join", addresses=[{"address": str(FRIEND), "id": None}])
        self.wait(1)
        self.give("handle_datagram", FRIEND, b"\xd2\x84 no message")
        self.give("handle_stream", StreamOpened(1, FRIEND, True))
        self.give("handle_stream", StreamData(1, encode_preface(Suite.AESGCM)))
        self.give("handle_stream", StreamData(1, b"\x00\x20"))
        self.give("handle_stream", StreamData(1, public_of(bytes(32))))
        self.give("handle_stream", StreamSent(1, 253))
        self.give("handle_stream", StreamClosed(1, StreamEnd.RESET))
        self.give("handle_cancel", 2)
        self.command(3, "no such command", odd=(1.5, {"b": 1, "a": 2}), huge=1 << 80)
        return self

    def close(self) -> None:
        self.recorder.close()
