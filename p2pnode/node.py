"""A whole node: home, key, store, peer, sockets, discovery; opened in order, closed in reverse.

async with open_node(home, config) as node:
    await node.wait_stopped()
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

import p2pnode
from overlay.app import work_of
from overlay.dht.claim import check_claim
from overlay.errors import LocalError
from overlay.identity.network import Network
from overlay.identity.node_id import format_id, node_id_of
from overlay.peer import Peer
from overlay.runtime.address import Address, Scope
from overlay.runtime.ports import Interface
from overlay.wire.ticket import make_ticket
from p2pnode import keyfile
from p2pnode.api import Opened, RunningNode
from p2pnode.bridging import start_bridge
from p2pnode.config import Config
from p2pnode.driver import CommandFailed, Driver, NodeCrashed
from p2pnode.identity import identity_of, name_here, warn_of_the_puzzle
from p2pnode.joining import join, leave, log_events, offer, table
from p2pnode.lock import only_here, take_lock
from p2pnode.parts import make_parts, shells_of
from p2pnode.paths import Home
from p2pnode.record.recorder import Recorder, Unrecorded, Wanted, begin
from p2pnode.reports import EVENTS_KEPT, Subscription
from p2pnode.store import Store, open_store
from p2pnode.transport.interfaces import watch_interfaces
from p2pnode.transport.lan import Lan
from p2pnode.transport.listing import Listings, reachable
from p2pnode.transport.seeds import Seed, listen_at, parse_place
from p2pnode.transport.sockets import Sockets
from p2pnode.transport.suites import faster_suite

if TYPE_CHECKING:
    from p2pnode.bridge import Bridge

log = logging.getLogger(__name__)


@attrs.define(slots=True, eq=False)
class Node:
    """A node that serves. Made by `open_node`; implements p2pnode.control.view.NodeView."""

    home: Home
    config: Config
    driver: Driver
    #: Whether this run made the identity.
    is_new: bool
    started_at: float
    _network: Network
    _key: bytes
    _sockets: Sockets
    _store: Store
    _lan: Lan
    #: Local addresses at which it can be reached now.
    _reachable: tuple[Interface, ...] = ()
    _moved: trio.Event = attrs.field(factory=trio.Event, init=False)
    _stopped: trio.Event = attrs.field(factory=trio.Event, init=False)
    #: The bridge, once it serves.
    bridge: Bridge | None = attrs.field(default=None, init=False)

    @property
    def id(self) -> str:
        return format_id(node_id_of(self._key))

    @property
    def listen(self) -> list[str]:
        sockets = self._sockets
        return [
            *(f"udp {address}" for address in sockets.udp.listen),
            *(f"tcp {address}" for address in sockets.streams.listen),
        ]

    @property
    def network(self) -> str:
        return self._network.name

    @property
    def ticket(self) -> str:
        return make_ticket(self._network, self._key, self.addresses)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where others may try: the farthest reaching first, loopback only if there is nothing else."""
        port = {address.is_v4: address.port for address in self._sockets.listen}
        all_of_them = [Address(interface.ip, port[len(interface.ip) == 4]) for interface in self._reachable]
        # A link-local IPv6 address means nothing without the zone of whoever uses it.
        usable = [address for address in all_of_them if address.is_v4 or address.scope is not Scope.LINK]
        far = [address for address in usable if address.scope > Scope.LOOPBACK]
        return tuple(sorted(far or usable, key=lambda address: (-address.scope, not address.is_v4)))

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """Those at which it can be reached now."""
        return self._reachable

    @property
    def seeks_lan(self) -> bool:
        return self.config.lan

    async def moved_from(self, known: tuple[Address, ...]) -> tuple[Address, ...]:
        """`addresses`, as soon as they are others than `known`."""
        while self.addresses == known:
            await self._moved.wait()
        return self.addresses

    @property
    def version(self) -> str:
        return p2pnode.__version__

    async def command(self, name: str, /, **args: Any) -> Any:
        """As Driver.command; `status` also counts what sockets and disk did, `ping` takes names of hosts."""
        if name == "ping" and ":" in args.get("peer", ""):
            return await self._ping(args["peer"])
        value = await self.driver.command(name, **args)
        if name == "status":
            store = self._store.status()
            sockets = self._sockets
            value["counters"] |= sockets.udp.counters() | sockets.streams.counters() | self._lan.counters()
            value["counters"] |= {
                "store_waiting_bytes": store.waiting_bytes,
                "store_transactions": store.transactions,
                "store_disk_bytes": store.disk_bytes,
            }
            if self.bridge is not None:
                value["counters"] |= {f"bridge_{name}": count for name, count in self.bridge.counters.items()}
        return value

    async def _ping(self, text: str) -> Any:
        """The first of a host's addresses that answers."""
        families = {len(address.ip) for address in self._sockets.listen}
        try:
            addresses = [address for address in await parse_place(text).resolve() if len(address.ip) in families]
        except LocalError as error:
            raise CommandFailed("usage", str(error)) from None
        except OSError as error:
            raise CommandFailed("not_found", f"no address is known for {text}: {error.strerror or error}") from None
        if not addresses:
            raise CommandFailed("usage", f"{text} has no address of a kind that this node listens at")
        port = {len(address.ip): address.port for address in self._sockets.listen}
        own = {(interface.ip, port[len(interface.ip)]) for interface in self._reachable}
        if any((address.ip, address.port) in own for address in addresses):
            raise CommandFailed("usage", f"{text} is this node itself")
        for address in addresses[:-1]:
            with contextlib.suppress(CommandFailed):
                return await self.driver.command("ping", peer=str(address))
        return await self.driver.command("ping", peer=str(addresses[-1]))

    def subscribe(self, *, kept: int = EVENTS_KEPT) -> AbstractContextManager[Subscription]:
        return self.driver.reports.subscribe(kept=kept)

    def stop(self) -> None:
        self._stopped.set()

    async def wait_stopped(self) -> None:
        """Until somebody calls `stop`."""
        await self._stopped.wait()


@asynccontextmanager
async def open_node(
    home: Home,
    config: Config,
    *,
    passphrase: str | None = None,
    progress: keyfile.Progress | None = None,
    record: Wanted | None = None,
) -> AsyncIterator[Node]:
    """A node that serves while the context is open; leaving it says goodbye to peers and flushes the disk.

    `progress` is called from another thread while a new identity is searched. HomeError or LocalError says what is
    in the way (settings, key, lock, port, disk). NodeCrashed if the core raised: the body is then cancelled.
    `record`: a file of all that the core is given, its key included (p2pnode.record).
    """
    parts = make_parts(config)
    network = parts.network
    home.make()
    with take_lock(home):
        pair, is_new = await identity_of(home, network, passphrase, progress)
        with (
            only_here(name_here(network, pair)) as alone,
            await listen_at(config.listen, any_port="listen" not in config.sources) as sockets,
        ):
            if not alone:
                log.warning(
                    "another node on this machine runs with a copy of this key, and peers cannot tell the two apart: "
                    "stop one, move its %s away, and it gets an identity of its own", home.key,
                )  # fmt: skip
            async with AsyncExitStack() as stack:
                store = await stack.enter_async_context(_stored(home))
                check_claim(store, network)  # before applications look at what they keep, which is that network's, too
                opened = await stack.enter_async_context(shells_of(parts.apps, parts.terms, home))
                recorder: Recorder | Unrecorded = Unrecorded(store)
                suite = faster_suite()
                if record is not None:
                    recorder = begin(
                        record, network=network, pair=pair, apps=config.all_apps, storage=store, terms=parts.terms,
                        suite=suite,
                    )  # fmt: skip
                try:
                    apps = [one.app for one in opened]
                    peer = Peer(
                        network=network, keys=pair, apps=apps, storage=recorder.storage, rng=recorder.rng,
                        entropy=recorder.entropy, suite=suite,
                    )  # fmt: skip
                    warn_of_the_puzzle(pair, network)  # not before the peer, which refuses a home of another network
                    functions, operations = work_of(apps)
                    driver = Driver(
                        recorder.core(peer), sockets.udp, store, streams=sockets.streams, functions=functions,
                        operations=operations,
                    )  # fmt: skip
                    lan = Lan(
                        Listings(network, pair.key, os.urandom),
                        sockets.listen,
                        partial(offer, driver),
                        partial(table, driver),
                    )
                    began = trio.current_time()
                    node = Node(home, config, driver, is_new, began, network, pair.key, sockets, store, lan)
                    async with _serving(node, parts.seeds, opened):
                        yield node
                finally:
                    recorder.close()


@asynccontextmanager
async def _stored(home: Home) -> AsyncIterator[Store]:
    store = await trio.to_thread.run_sync(open_store, home.db)
    try:
        yield store
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(store.close)


@asynccontextmanager
async def _serving(node: Node, seeds: Sequence[Seed], apps: Sequence[Opened]) -> AsyncIterator[None]:
    """All that runs while a node does; at the end it says goodbye."""
    driver, sockets = node.driver, node._sockets
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(_drive, driver, nursery.cancel_scope)
                await nursery.start(watch_interfaces, partial(_interfaces_changed, node))
                nursery.start_soon(log_events, driver)
                for seed in seeds:
                    nursery.start_soon(join, driver, seed, sockets.listen)
                if node.config.lan:
                    nursery.start_soon(node._lan.run)
                if node.config.bridge:
                    node.bridge = await start_bridge(node.config.bridge, node.command, nursery)
                for one in apps:
                    if one.serve is not None:
                        nursery.start_soon(_serve_app, one.app.name, one.serve, node)
                try:
                    yield
                finally:
                    for one in apps:
                        one.leave()
                    await leave(driver)
            except Exception as error:
                failure = error  # raised below, where the nursery does not make it a group
            nursery.cancel_scope.cancel()
    finally:
        if driver.crash is not None:  # rather than what it did to the body, whose tasks were cancelled as well
            raise driver.crash
    if failure is not None:
        raise failure


async def _serve_app(name: str, serve: Callable[[RunningNode], Awaitable[None]], node: Node) -> None:
    try:
        await serve(node)
    except* Exception as errors:
        # If the core ended first it says why.
        if node.driver.is_running or errors.split(CommandFailed)[1] is not None:
            log.exception("what runs beside application %s ended; the node and the application run on without it", name)


async def _drive(driver: Driver, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
    try:
        await driver.run(task_status=task_status)
    except NodeCrashed:
        scope.cancel()


def _interfaces_changed(node: Node, interfaces: tuple[Interface, ...]) -> None:
    node._reachable = reachable(interfaces, node._sockets.listen)
    node._moved.set()
    node._moved = trio.Event()
    log.info("reachable at %s", ", ".join(str(Address(i.ip, 0)).rpartition(":")[0] for i in node._reachable))
    # Others would make the core ask for contacts that these sockets cannot reach.
    node.driver.network_changed(node._reachable)
    node._lan.network_changed(interfaces)
