"""Peers that do nothing but streams, on the engine: real handshakes over simulated connections."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import attrs

from overlay.identity.keys import KeyPair, verify
from overlay.identity.network import Network as Realm
from overlay.identity.node_id import node_id_of
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop, Task
from overlay.runtime.ports import (
    MS,
    SECOND,
    Effect,
    Entropy,
    Interface,
    Now,
    Ok,
    Outcome,
    Result,
    StreamEvent,
)
from overlay.streams import Stream, Streams
from overlay.trust.policy import NeutralPolicy, Policy
from simulations.engine import Engine
from simulations.links import Link
from simulations.network import Network
from tests.support.pair import entropy_of, keys_of

R = TypeVar("R")
TRIP = 10 * MS
REALM = Realm("streams", puzzle_bits=0)


@attrs.define(slots=True, eq=False)
class StreamsOnly:
    """A core of `Streams` and nothing else. Streams of others are in `taken`."""

    number: int
    realm: Realm = REALM
    keys: KeyPair = attrs.field(default=None)
    policy: Policy = attrs.Factory(NeutralPolicy)
    loop: Loop = attrs.Factory(Loop)
    taken: list[Stream] = attrs.Factory(list)
    counters: dict[str, int] = attrs.Factory(dict)
    #: Its process stands still, while its machine goes on taking bytes.
    frozen: bool = False
    streams: Streams = attrs.field(init=False)
    entropy: Entropy = attrs.field(init=False)
    _out: list[Effect] = attrs.Factory(list)

    def __attrs_post_init__(self) -> None:
        self.keys = self.keys or keys_of(self.number + 1)
        self.entropy = entropy_of(self.number)
        self.streams = Streams(
            loop=self.loop, network=self.realm, signer=self.keys, verifier=verify, entropy=self.entropy,
            emit=self._out.append, policy=self.policy, count=self._count,
        )  # fmt: skip
        self.streams.serve("/test/1", self.taken.append)

    @property
    def id(self) -> bytes:
        return node_id_of(self.keys.key)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    def start(self, now: Now) -> None:
        self._run(now, lambda: self.loop.spawn_root(self._main(), name="main"))

    async def _main(self) -> None:
        async with self.loop.group(name="main") as group:
            self.streams.begin(group)
            await self.loop.future()

    def handle_timer(self, now: Now) -> None:
        self._run(now, lambda: None)

    def handle_command(self, now: Now, id: int, name: str, args: dict[str, Any]) -> None:
        """`do`: call `what`."""
        self._run(now, args["what"])
        self._out.append(Result(id, Ok()))

    def handle_stream(self, now: Now, event: StreamEvent) -> None:
        self._run(now, lambda: self.streams.handle(event))

    def handle_datagram(self, now: Now, source: Address, data: bytes) -> None: ...
    def handle_cancel(self, now: Now, id: int) -> None: ...
    def handle_done(self, now: Now, id: int, outcome: Outcome) -> None: ...
    def handle_network(self, now: Now, interfaces: tuple[Interface, ...]) -> None: ...

    def next_deadline(self) -> int | None:
        return None if self.frozen else self.loop.next_deadline()

    def outbox(self) -> list[Effect]:
        out = self._out[:]
        self._out.clear()
        return out

    def _run(self, now: Now, what: Callable[[], object]) -> None:
        if self.frozen:
            return
        self.loop.run(now)
        what()
        self.loop.drain()
        assert self.loop.crashed == []


def address(node: int) -> Address:
    return Address(bytes((20, 0, 0, node + 1)), 4433)


class World:
    """Peers 0, 1, ... `make` may put another core in a place: (index) -> core or None."""

    def __init__(
        self, n: int = 2, *, make: Callable[[int], Any] | None = None, link: Link | None = None, seed: int = 0
    ) -> None:
        self.peers: dict[int, Any] = {}
        self._make_other = make
        self.engine = Engine(self._make, seed=seed, network=Network(link or Link(latency_ns=(TRIP, TRIP))))
        for node in range(n):
            self.engine.add([address(node)])
            self.engine.start(node)

    def _make(self, index: int, *_: object) -> Any:
        other = self._make_other(index) if self._make_other is not None else None
        self.peers[index] = other if other is not None else StreamsOnly(index)
        return self.peers[index]

    def run(self, seconds: float) -> None:
        self.engine.run_until(self.engine.now_ns + round(seconds * SECOND))

    def do(self, node: int, what: Callable[[], R]) -> R:
        """Within the peer, as an input."""
        got: list[R] = []
        self.engine.command(node, "do", {"what": lambda: got.append(what())}, lambda _: None)
        self.run(0)
        return got[0]

    def spawn(self, node: int, coro: Coroutine[Any, Any, R]) -> Task[R]:
        def begin() -> Task[R]:
            task = self.peers[node].loop.spawn_root(coro, name="test")
            task.add_callback(lambda: None)  # what it raises is looked at by the test
            return task  # type: ignore[no-any-return]

        return self.do(node, begin)

    def await_(self, node: int, coro: Coroutine[Any, Any, R], *, seconds: float = 5) -> R:
        task = self.spawn(node, coro)
        self.run(seconds)
        assert task.done, task.where()
        return task.result()

    def open(self, a: int = 0, b: int = 1, *, protocol: str = "/test/1") -> Stream:
        """From a to b."""
        peer = self.peers[a].streams
        return self.await_(a, peer.open(self.peers[b].id, [address(b)], protocol), seconds=1)

    def pair(self) -> tuple[Stream, Stream]:
        stream = self.open()
        return stream, self.peers[1].taken[-1]
