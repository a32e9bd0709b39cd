"""One share in virtual time, and peers that say what a test wants and note what they hear."""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine
from typing import Any

import attrs

from apps.files.core import codec, wire
from apps.files.core.app import Files
from apps.files.core.bans import Bans
from apps.files.core.header import Header, Headers, encode_header
from apps.files.core.layers import Layers
from apps.files.core.life import Life
from apps.files.core.limits import BURST_BYTES, INFO_PART_BYTES, MIN_SIGNED_BYTES
from apps.files.core.memory_disk import Made, MemoryDisk
from apps.files.core.rates import Bucket
from apps.files.core.session import Session
from apps.files.core.share import Share
from overlay.app_storage import AppStorage
from overlay.errors import OverlayError
from overlay.identity.node_id import node_id_of
from overlay.runtime.address import Address, parse_address
from overlay.runtime.chance import Rng
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Future, Loop
from overlay.runtime.ports import MS, SECOND
from simulations.fake_keys import FakeKeyPair, fake_verify
from simulations.storage import MemoryStorage
from tests.support.swarm import REALM
from tests.support.virtual import advance

ADDRESS = parse_address("10.0.0.7:4433")


class Gone(OverlayError):
    """The stream is over."""


@attrs.define(eq=False)
class End:
    """One end of a stream: what is given to `inbox` is received; what is sent goes to `on_sent`."""

    loop: Loop
    peer: bytes
    incoming: bool
    on_sent: Any
    address: Address = ADDRESS
    inbox: deque[bytes] = attrs.Factory(deque)
    over: bool = False
    _news: Future[None] | None = None

    async def send(self, message: bytes) -> None:
        if self.over:
            raise Gone("over")
        self.on_sent(bytes(message))

    async def drain(self, most: int) -> None:
        """Nothing ever waits here."""
        if self.over:
            raise Gone("over")

    async def receive(self) -> bytes:
        while not self.inbox:
            if self.over:
                raise Gone("over")
            self._news = self.loop.future()
            await self._news
        return self.inbox.popleft()

    def close(self, reason: str = "") -> None:
        self.over = True
        self.wake()

    def give(self, message: bytes) -> None:
        self.inbox.append(message)
        self.wake()

    def wake(self) -> None:
        if self._news is not None:
            self._news.set()


@attrs.define(eq=False)
class Around:
    """Surroundings of a share: a disk that takes 1 ms."""

    loop: Loop
    rng: Rng
    disk: MemoryDisk
    headers: Headers
    storage: MemoryStorage
    bans: Bans = attrs.field(init=False)
    #: Evidence that was handed over.
    handed: list[tuple[bytes, bytes]] = attrs.Factory(list)
    sessions: dict[bytes, Session] = attrs.Factory(dict)
    events: list[tuple[str, dict[str, object]]] = attrs.Factory(list)

    def __attrs_post_init__(self) -> None:
        journal = Journal(self.loop, self.storage, lambda _: None, lambda: 0)
        storage = AppStorage.of(journal, "files")
        self.bans = Bans(storage, lambda: self.loop.now, self.emit, self.spawn, lambda: self, self.end)

    def found(self, culprit: bytes, evidence: bytes) -> None:
        self.handed.append((culprit, evidence))

    def end(self, peer: bytes) -> None:
        self.sessions[peer].stream.close("banned")

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str = "") -> None:
        self.loop.spawn_root(coro, name=name)

    def talk_plain(self, handler: Any, stream: Any) -> None:
        async def attend() -> None:
            await handler(stream)
            stream.close()

        self.spawn(attend(), name="talk")

    async def operate(self, operation: str, *args: Any) -> Any:
        value = self.disk.operations()[operation](*args)
        await self.loop.sleep(MS)
        return value

    async def compute(self, function: str, *args: Any) -> Any:
        await self.loop.sleep(MS)
        return Files.functions[function](*args)

    def emit(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))


class Node:
    """One side: a share that lives, and its sessions."""

    def __init__(
        self, loop: Loop, made: Made, *, seed: int = 1, seeds: bool = False, storage: MemoryStorage | None = None
    ) -> None:
        self.loop, self.made, self.keys = loop, made, FakeKeyPair(seed.to_bytes(31, "big") + bytes([seeds]))
        self.disk = MemoryDisk({made.info.id: made})
        if seeds:
            self.disk.scan(made.info.name.decode(), None, None)
        headers = Headers(self.keys, REALM, fake_verify)
        self.around = Around(loop, Rng(seed), self.disk, headers, MemoryStorage() if storage is None else storage)
        self.told: list[wire.Peers] = []
        self.share = Share(made.info.id, self.around, lambda _, peers: self.told.append(peers), lambda *_: None)
        self.blamed: list[tuple[bytes, str]] = []
        downloads = Bucket(None, BURST_BYTES, 0)
        self.life = Life(self.share, downloads, "" if seeds else "/downloads", (), lambda _: None, lambda _: None)
        loop.spawn_root(self.life.run(), name="life")
        loop.drain()

    @property
    def id(self) -> bytes:
        return node_id_of(self.keys.key)

    def session(self, end: End, *, signs: bool = True) -> Session:
        def find(share: bytes) -> Share | None:
            return self.share if share == self.share.id and self.share.running else None

        session = Session(
            self.loop, end, find, Bucket(None, BURST_BYTES, 0), lambda *said: self.blamed.append(said), signs=signs
        )  # fmt: skip
        self.around.sessions[end.peer] = session
        self.loop.spawn_root(session.run(), name="session")
        return session

    def pass_time(self, seconds: float) -> None:
        advance(self.loop, self.loop.now.mono_ns + round(seconds * SECOND))


def linked(a: Node, b: Node) -> tuple[Session, Session]:
    """Sessions of two nodes with each other, over a stream that `a` opened and that takes 10 ms each way."""
    loop = a.loop
    ends: list[End] = []

    def later(to: int) -> Any:
        return lambda message: loop.call_at(loop.now.mono_ns + 10 * MS, lambda: ends[to].give(message))

    ends += [End(loop, b.id, False, later(1)), End(loop, a.id, True, later(0))]
    return a.session(ends[0]), b.session(ends[1])


class Fake:
    """A peer of a node that dialled it. It gives the info dictionary and hashes by itself, if it is `helpful`."""

    def __init__(
        self, node: Node, name: bytes, *, held: wire.Held = True, helpful: bool = True, signs: bool = True,
        claims: int | None = None,
    ) -> None:  # fmt: skip
        """`claims`: bytes of the info dictionary that it says it has."""
        self.node, self.made, self.helpful, self.signs = node, node.made, helpful, signs
        self.keys = FakeKeyPair(name.ljust(32, b"."))
        self.id = node_id_of(self.keys.key)
        self.heard: list[wire.Message] = []
        #: Units asked of it, and not cancelled.
        self.asked: dict[int, None] = {}
        #: Units that were cancelled, each time they were: they may be on their way.
        self.late: list[int] = []
        self.layers = Layers(self.made.info, self.made.layout.unit_bytes)
        for file, tree in enumerate(self.made.trees):
            if tree is not None:
                self.layers.keep(file, tree)
        self.end = End(node.loop, self.id, True, self._hear)
        self.session = node.session(self.end, signs=signs)
        size = len(self.made.info.raw) if claims is None else claims
        self.say(wire.Open(0, self.made.info.id, size, held))
        node.loop.drain()

    @property
    def gone(self) -> bool:
        """Its stream is over, or its channel."""
        return self.end.over or any(isinstance(message, wire.CloseShare | wire.Refused) for message in self.heard)

    def say(self, message: wire.Message) -> None:
        self.end.give(codec.encode(message))
        self.node.loop.drain()

    def give(self, unit: int, *, data: bytes | None = None, header: bytes | None = None) -> None:
        """Good and signed, but for what is given."""
        place = self.made.layout.unit(unit)
        good = self.made.read(place.file, place.offset, place.length)
        signed = self.signs and place.length >= MIN_SIGNED_BYTES
        if header is None:
            header = encode_header(self.keys, REALM, self.true(unit)) if signed else b""
        self.asked.pop(unit, None)
        self.say(wire.Piece(0, unit, 0, good if data is None else data, header=header))

    def true(self, unit: int) -> Header:
        """What an honest header says of a unit."""
        place = self.made.layout.unit(unit)
        file, node = self.made.info.files[place.file], self.layers.node(place.file, place.index)
        assert file.root is not None
        assert node is not None
        return Header(file.root, file.length, place.height, place.index, node)

    def give_all(self) -> None:
        while self.asked and not self.gone:
            self.give(next(iter(self.asked)))

    def _hear(self, raw: bytes) -> None:
        message = codec.decode(raw)
        assert message is not None
        self.heard.append(message)
        match message:
            case wire.Request(_, runs):
                self.asked.update(dict.fromkeys(wire.units_in(runs)))
            case wire.Cancel(_, runs):
                for unit in wire.units_in(runs):
                    if unit in self.asked:
                        del self.asked[unit]
                        self.late.append(unit)
            case wire.GetHashes() if self.helpful:
                self.end.give(codec.encode(self.layers.answer(message)))
            case wire.GetInfo(_, index) if self.helpful:
                part = self.made.info.raw[index * INFO_PART_BYTES : (index + 1) * INFO_PART_BYTES]
                self.end.give(codec.encode(wire.InfoPart(0, index, part)))


def fed(made: Made, *, signs: bool = True, storage: MemoryStorage | None = None) -> tuple[Node, Fake]:
    """A node that knows the share and may ask a peer that has all of it, and that gave something good before."""
    node = Node(Loop(), made, storage=storage)
    fake = Fake(node, b"seed", signs=signs)
    node.pass_time(1)
    no_stranger(fake)
    fake.say(wire.Choke(0, False))
    node.pass_time(1)
    return node, fake


def no_stranger(fake: Fake) -> None:
    """It gave a byte that was good: more than one unit at once is asked of it."""
    fake.node.share.channels[fake.id].got = 1
