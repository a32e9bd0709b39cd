"""The peer: inputs in, effects out. Everything else in this package is wired together here.

peer.start(now); peer.handle_network(now, interfaces)
peer.handle_datagram(now, source, data) ...; for effect in peer.outbox(): ...
peer.handle_timer(now) at peer.next_deadline()
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from overlay import commands
from overlay.app import App, check_apps
from overlay.apps import Apps
from overlay.dht.claim import claim
from overlay.dht.diversity import Diversity
from overlay.dht.entrance import Entrance
from overlay.dht.meeting import Meeting
from overlay.dht.own import OwnRecords
from overlay.dht.reach import Reach
from overlay.dht.routing_table import RoutingTable
from overlay.dht.server import Server
from overlay.dht.size import SizeEstimate
from overlay.dht.state import V4, V6, DhtState
from overlay.dht.store import RecordStore
from overlay.dht.upkeep import Upkeep
from overlay.errors import CannotStart, LocalError
from overlay.events import Event, Started
from overlay.gossip.service import Subscription
from overlay.identity.keys import Signer, Verifier, verify
from overlay.identity.network import Network
from overlay.identity.node_id import node_id_of
from overlay.identity.puzzle import solves
from overlay.limits import MAX_COMMANDS
from overlay.rpc.contact import ContactBook
from overlay.rpc.endpoint import Endpoint
from overlay.rpc.stamps import StampSource
from overlay.runtime.address import Address
from overlay.runtime.chance import Rng
from overlay.runtime.group import Group
from overlay.runtime.journal import Journal
from overlay.runtime.loop import Loop
from overlay.runtime.ports import (
    Effect,
    Entropy,
    Failed,
    Interface,
    Now,
    Outcome,
    Report,
    Result,
    SendDatagram,
    Storage,
    StreamEvent,
)
from overlay.runtime.task import Task
from overlay.secure.noise import Suite
from overlay.streams import Streams
from overlay.subscribers import gossip_over
from overlay.trust.policy import NeutralPolicy, Policy
from overlay.wire.codec import WIRE, Codec
from overlay.work import Work


class Peer:
    """One autonomous peer. `apps` run from the start to the end of its life."""

    def __init__(
        self,
        *,
        network: Network,
        keys: Signer,
        storage: Storage,
        rng: Rng,
        entropy: Entropy,
        apps: Sequence[App] = (),
        policy: Policy | None = None,
        verifier: Verifier = verify,
        book: ContactBook | None = None,
        codec: Codec = WIRE,
        diversity: Diversity | None = None,
        suite: Suite = Suite.AESGCM,
    ) -> None:
        check_apps(apps)
        claim(storage, network)
        self.loop = Loop()
        self._outbox: list[Effect] = []
        self._last_id = 0
        self._commands: dict[int, Task] = {}
        self._apps = apps
        self.id = node_id_of(keys.key)
        number = int.from_bytes(self.id, "big")
        journal = Journal(self.loop, storage, self._outbox.append, self._next_id)
        self.journal = journal
        self.diversity = diversity if diversity is not None else Diversity()
        self.table = RoutingTable(number, diversity=self.diversity, rng=Rng(rng.u64()))
        self.endpoint = Endpoint(
            loop=self.loop, network=network, signer=keys, verifier=verifier, own_id=self.id,
            book=book if book is not None else ContactBook(), stamps=StampSource(journal), entropy=entropy,
            policy=policy if policy is not None else NeutralPolicy(), transmit=self._transmit, role=self._role_for,
            codec=codec,
        )  # fmt: skip
        self.dht = DhtState(
            loop=self.loop, endpoint=self.endpoint, own_id=self.id, own_number=number, table=self.table,
            store=RecordStore(storage, number, secret=entropy(16)), size=SizeEstimate(), diversity=self.diversity,
            journal=journal, rng=Rng(rng.u64()), report=self._report,
        )  # fmt: skip
        self.own = OwnRecords(journal)
        self.reach = Reach(self.dht, solves(self.id, network.puzzle_bits))
        self._server = Server(self.dht, self.reach.serves)
        self.entrance = Entrance(self.dht, self.reach)
        self.upkeep = Upkeep(self.dht, self.own, self.reach, self.entrance)
        apps_rng = Rng(rng.u64())
        self.streams = Streams(
            loop=self.loop, network=network, signer=keys, verifier=verifier, entropy=entropy,
            emit=self._outbox.append, policy=self.endpoint.policy, count=self.endpoint.count, suite=suite,
        )  # fmt: skip
        self.gossip = gossip_over(self.dht, self.streams, Rng(rng.u64()), self._beside)
        self.meeting = Meeting(self.dht, self.reach, self.entrance, self.upkeep, self.gossip.forget)
        #: By topic: subscriptions that commands asked for.
        self.held: dict[str, Subscription] = {}
        self.work = Work(self.loop, self._outbox.append, self._next_id)
        self.apps = Apps(self.dht, self.own, apps_rng, self.meeting.locate, self.gossip, self.work, self.streams)
        self._root: Group | None = None
        self._ready = self.loop.future()
        self._interfaces: tuple[Interface, ...] = ()

    # --- inputs ---------------------------------------------------------------------------

    def start(self, now: Now) -> None:
        """Once, before anything else. CannotStart comes out of this, or out of `handle_done`, if the disk refuses."""
        self._run(now, lambda: self.loop.spawn_root(self._main(), name="peer"))

    def handle_datagram(self, now: Now, source: Address, data: bytes) -> None:
        self.loop.run(now)
        self.endpoint.handle(source, data)
        self._drain()

    def handle_stream(self, now: Now, event: StreamEvent) -> None:
        """Something happened to a stream of bytes; the shell refuses those that others open before `start`."""
        self._run(now, lambda: self.streams.handle(event))

    def handle_timer(self, now: Now) -> None:
        self.loop.run(now)
        self._drain()

    def handle_command(self, now: Now, command_id: int, name: str, args: dict[str, Any]) -> None:
        """Answered by exactly one Result with this id."""
        self._run(now, lambda: self._start_command(command_id, name, args))

    def handle_cancel(self, now: Now, command_id: int) -> None:
        """The caller is gone. No Result follows."""

        def cancel() -> None:
            task = self._commands.pop(command_id, None)
            if task is not None:
                task.cancel()

        self._run(now, cancel)

    def handle_done(self, now: Now, effect_id: int, outcome: Outcome) -> None:
        """A Commit, Sync, Compute or Operate ended. Late results of cancelled work are ignored."""
        self._run(now, lambda: self.journal.done(effect_id, outcome) or self.work.done(effect_id, outcome))

    def handle_network(self, now: Now, interfaces: Sequence[Interface]) -> None:
        """At start and whenever addresses change."""
        self._run(now, lambda: self._on_network(tuple(interfaces)))

    # --- outputs --------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """Monotonic ns at which `handle_timer` wants to be called; None: never."""
        return self.loop.next_deadline()

    def outbox(self) -> list[Effect]:
        """The effects since the last call, in order. The caller owns the list."""
        effects = self._outbox[:]
        self._outbox.clear()
        return effects

    # --- inside ---------------------------------------------------------------------------

    async def _main(self) -> None:
        try:
            await self.endpoint.stamps.reserve(self.loop.now)
        except LocalError as error:
            raise CannotStart(f"this peer cannot start: {error}") from error
        self._report(Started(self.id))
        async with self.loop.group(name="peer") as root:
            self._root = root
            self.streams.begin(root)
            for app in self._apps:
                root.spawn(self.apps.run(app), name=f"app {app.name}")
            self._ready.set()  # a command that waits finds the applications begun
            await self.upkeep.run()

    def _run(self, now: Now, work: Callable[[], object]) -> None:
        self.loop.run(now)  # what was due before this input comes before it
        work()
        self._drain()

    def _drain(self) -> None:
        self.loop.drain()
        self.journal.flush()
        if self.loop.crashed:
            # A bug here, or a disk that is full; never a peer's doing. Whoever drives this peer must hear of it.
            name, error = self.loop.crashed.pop(0)
            if isinstance(error, CannotStart):
                raise error
            raise RuntimeError(f"task {name!r} of the peer failed") from error

    def _beside(self, work: Coroutine[Any, Any, None], name: str) -> Task[None] | None:
        """Run it for as long as the peer lives."""
        if self._root is None:
            work.close()
            return None
        return self._root.spawn(work, name=name)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _transmit(self, address: Address, data: bytes) -> None:
        self._outbox.append(SendDatagram(address, data))

    def _report(self, event: Event) -> None:
        self._outbox.append(Report(event))

    def _role_for(self, address: Address) -> int:
        return self.reach.role_for(address)

    def _start_command(self, command_id: int, name: str, args: dict[str, Any]) -> None:
        if len(self._commands) >= MAX_COMMANDS:
            busy = Failed("failed", f"{MAX_COMMANDS} commands are running already; try again later")
            self._outbox.append(Result(command_id, busy))
            return
        task = self.loop.spawn_root(self._command(command_id, name, args), name=f"command {name}")
        self._commands[command_id] = task

    async def _command(self, command_id: int, name: str, args: dict[str, Any]) -> None:
        await self._ready
        outcome = await commands.run(self, name, args)
        if self._commands.pop(command_id, None) is not None:
            self._outbox.append(Result(command_id, outcome))

    def _on_network(self, interfaces: tuple[Interface, ...]) -> None:
        changed = interfaces != self._interfaces and bool(self._interfaces)
        self._interfaces = interfaces
        self.diversity.attach(interfaces)
        self.table.regroup()
        families = 0
        for interface in interfaces:
            families |= V4 if len(interface.ip) == 4 else V6
        self.dht.families = families or V4 | V6
        if changed and self._root is not None:
            self._root.spawn(self.upkeep.wake(), name="network changed")
