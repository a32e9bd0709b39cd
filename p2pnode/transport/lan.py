"""Finding peers on the local network: DNS-SD (RFC 6763) over multicast DNS (RFC 6762), by python-zeroconf.

Zeroconf runs its own threads; only names of listings cross over, and what is remembered of them is
bounded. A change of the interfaces starts it anew: its sockets belong to addresses, its browser asks
often only when it is young, and a fresh one is the one path that is always taken. Anybody on the LAN
can forge, flood or remove listings; they are hints where to send a PING and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import attrs
import trio
from zeroconf import IPVersion, ServiceBrowser, ServiceInfo, ServiceStateChange, Zeroconf

from overlay.errors import LocalError
from overlay.runtime.address import Address, address_of
from overlay.runtime.ports import Interface
from p2pnode.transport.listing import Found, Listings, announced, usable

log = logging.getLogger(__name__)
#: Warns of each datagram that an interface without a cable refuses.
_ZEROCONF_LOG = logging.getLogger("zeroconf")

SERVICE = "_p2pnode._udp.local."
#: Listings of our network that are remembered; the oldest goes. A LAN has at most some hundred hosts.
MAX_KNOWN = 256
#: Names that wait to be looked at; a flood beyond is dropped, and heard again when its sender repeats it.
MAX_WAITING = 1024
#: Names whose records did not come with them, as an honest sender's do: some wait, few are asked for at once.
MAX_INCOMPLETE = 64
RESOLVERS = 4
RESOLVE_MS = 1500
#: RFC 6763 4.1.1: a label has at most 63 bytes, so a name of ours is short.
MAX_NAME = 200
#: Addresses in one listing that are looked at.
MAX_LISTED = 32
#: Linux joins at most 20 groups a socket (igmp_max_memberships).
MAX_INTERFACES = 16
#: Pauses between offers of known listings while the table holds fewer peers than are listed.
OFFER_AGAIN_S = (5.0, 5.0, 10.0, 15.0)
OFFERED_AT_ONCE = 8
#: Offers under way: a flood of listings must neither take all commands of the core nor ping a whole LAN at once.
MAX_OFFERING = 16
#: Pause after the multicast sockets could not be had.
RETRY_S = 5.0
CLOSE_S = 3.0


@attrs.define(slots=True, eq=False)
class Lan:
    """`nursery.start_soon(lan.run)`, and `network_changed` at start and at every change of the interfaces."""

    listings: Listings
    #: What datagrams are received at, wildcards included; all have one port, or there is one.
    listen: tuple[Address, ...]
    #: Tells the core of a peer that is worth a PING; may take as long as the PING does.
    offer: Callable[[Found], Awaitable[None]]
    #: Peers in the routing table.
    count: Callable[[], Awaitable[int]]
    #: Newest last.
    known: dict[str, Found] = attrs.field(factory=dict, init=False)
    dropped: int = attrs.field(default=0, init=False)
    _interfaces: tuple[Interface, ...] = attrs.field(default=(), init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _offering: dict[str, None] = attrs.field(factory=dict, init=False)
    _threads: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(RESOLVERS), init=False)

    def network_changed(self, interfaces: tuple[Interface, ...]) -> None:
        self._interfaces = interfaces
        self._changed.set()

    def counters(self) -> dict[str, int]:
        return {"lan_known": len(self.known), "lan_dropped": self.dropped}

    async def run(self) -> None:
        """Announce and browse until cancelled; then say goodbye."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._offer_again, nursery)
            while True:
                await self._changed.wait()
                self._changed = trio.Event()
                local = announced(self._interfaces, self.listen)
                if local:
                    try:
                        await self._session(local, nursery)
                    except Exception:  # listings are of strangers, sockets of a library: neither ends the node
                        log.exception("LAN discovery failed; starting it again in %g s", RETRY_S)
                        await trio.sleep(RETRY_S)
                        self._changed.set()
                else:
                    where = ", ".join(map(str, self.listen))
                    log.info("no LAN discovery: no interface with multicast reaches %s", where)

    async def _session(self, local: tuple[Interface, ...], nursery: trio.Nursery) -> None:
        """From one change of the interfaces to the next."""
        try:
            zeroconf = await trio.to_thread.run_sync(_open, local)
        except Exception as error:  # OSError, but also what zeroconf makes of it
            log.warning("LAN discovery cannot use multicast (%s); trying again in %g s", error, RETRY_S)
            with trio.move_on_after(RETRY_S):
                await self._changed.wait()
            self._changed.set()
            return
        browser: ServiceBrowser | None = None
        try:
            for name in list(self.known):  # they may be reachable again before multicast is
                self._start_offer(name, nursery)
            listing = self.listings.own()
            info = _service_info(listing.label, listing.txt, local, self.listen[0].port)
            send, receive = trio.open_memory_channel[tuple[str, bool]](MAX_WAITING)
            async with trio.open_nursery() as session:
                slow, incomplete = trio.open_memory_channel[str](MAX_INCOMPLETE)
                session.start_soon(self._sort, zeroconf, receive, slow, info.name, nursery)
                for _ in range(RESOLVERS):
                    session.start_soon(self._resolve, zeroconf, incomplete, nursery)
                browser = self._browse(zeroconf, send, trio.lowlevel.current_trio_token())
                session.start_soon(_register, zeroconf, info)
                await self._changed.wait()
                session.cancel_scope.cancel()
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                # A public listing goes on under its name, so nobody need hear that it ends for a moment.
                goodbye = self.listings.network.private or not self._changed.is_set()
                await trio.to_thread.run_sync(_close, zeroconf, browser, goodbye, abandon_on_cancel=True)

    def _browse(
        self, zeroconf: Zeroconf, send: trio.MemorySendChannel[tuple[str, bool]], token: trio.lowlevel.TrioToken
    ) -> ServiceBrowser:
        def heard(name: str, gone: bool) -> None:
            try:
                send.send_nowait((name, gone))
            except trio.WouldBlock:
                self.dropped += 1
            except trio.BrokenResourceError:
                pass  # the session has ended

        def changed(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
            if len(name) <= MAX_NAME:
                try:
                    token.run_sync_soon(heard, name, state_change is ServiceStateChange.Removed)
                except trio.RunFinishedError:
                    pass

        return ServiceBrowser(zeroconf, SERVICE, handlers=[changed])

    async def _sort(
        self,
        zeroconf: Zeroconf,
        names: trio.MemoryReceiveChannel[tuple[str, bool]],
        slow: trio.MemorySendChannel[str],
        own: str,
        nursery: trio.Nursery,
    ) -> None:
        """A listing whose records came with it is read at once: names without records must not hold it up."""
        async for name, gone in names:
            if gone:
                self.known.pop(name, None)
            elif name != own:
                info = await trio.to_thread.run_sync(_cached, zeroconf, name, abandon_on_cancel=True)
                if info is not None:
                    self._listed(name, info, nursery)
                    continue
                try:
                    slow.send_nowait(name)
                except trio.WouldBlock:
                    self.dropped += 1

    async def _resolve(self, zeroconf: Zeroconf, names: trio.MemoryReceiveChannel[str], nursery: trio.Nursery) -> None:
        async for name in names:
            info = await trio.to_thread.run_sync(_ask, zeroconf, name, abandon_on_cancel=True, limiter=self._threads)
            if info is not None:
                self._listed(name, info, nursery)

    def _listed(self, name: str, info: ServiceInfo, nursery: trio.Nursery) -> None:
        try:
            addresses = usable(_addresses(info), self._interfaces, self.listen)
            found = self.listings.read(info.properties, addresses)
        except Exception:  # a listing is a stranger's, and a library takes it apart
            log.debug("a listing that cannot be read: %r", name, exc_info=True)
            return
        if found is None:
            return
        news = self.known.pop(name, None) != found
        if len(self.known) >= MAX_KNOWN:
            del self.known[next(iter(self.known))]
        self.known[name] = found
        if news:
            self._start_offer(name, nursery)

    def _start_offer(self, name: str, nursery: trio.Nursery) -> None:
        if name not in self._offering and len(self._offering) < MAX_OFFERING:
            self._offering[name] = None
            nursery.start_soon(self._offer_one, name, self.known[name])

    async def _offer_one(self, name: str, found: Found) -> None:
        log.debug("listed on the LAN: %s", ", ".join(map(str, found.addresses)))
        try:
            await self.offer(found)
        finally:
            del self._offering[name]

    async def _offer_again(self, nursery: trio.Nursery) -> None:
        """A PING may be lost three times, a cable may have been out: what is listed is tried until it is there."""
        pauses = iter(OFFER_AGAIN_S)
        before: tuple[int, int] | None = None
        while True:
            await trio.sleep(next(pauses, OFFER_AGAIN_S[-1]))
            table = await self.count()
            if (state := (table, len(self.known))) != before:
                before, pauses = state, iter(OFFER_AGAIN_S)
            if table < len(self.known):
                for name in list(self.known)[:OFFERED_AT_ONCE]:
                    self.known[name] = self.known.pop(name)  # to the end: next time others have their turn
                    self._start_offer(name, nursery)


# --- in threads ---------------------------------------------------------------------------------


def _open(local: tuple[Interface, ...]) -> Zeroconf:
    _ZEROCONF_LOG.setLevel(logging.NOTSET if log.isEnabledFor(logging.DEBUG) else logging.ERROR)
    v4: list[str | int] = [
        str(Address(interface.ip, 0)).rpartition(":")[0] for interface in local if len(interface.ip) == 4
    ]
    v6: list[str | int] = list(dict.fromkeys(i.zone for i in local if len(i.ip) == 16 and i.zone))
    v4, v6 = v4[:MAX_INTERFACES], v6[:MAX_INTERFACES]
    version = IPVersion.All if v4 and v6 else IPVersion.V4Only if v4 else IPVersion.V6Only
    try:
        return Zeroconf([*v4, *v6], ip_version=version, use_asyncio=False)
    except OSError:
        if not (v4 and v6):
            raise
        return Zeroconf(v4, ip_version=IPVersion.V4Only, use_asyncio=False)


def _service_info(label: str, txt: dict[str, str], local: tuple[Interface, ...], port: int) -> ServiceInfo:
    addresses = list(dict.fromkeys(interface.ip for interface in local))[:MAX_LISTED]
    return ServiceInfo(
        SERVICE, f"{label}.{SERVICE}", port=port, properties=txt, server=f"{label}.local.", addresses=addresses
    )


async def _register(zeroconf: Zeroconf, info: ServiceInfo) -> None:
    # Probing (RFC 6762 8.1) costs 1.2 s of the 3 in which peers are to see each other, and guards against
    # two hosts of one name: ours holds 80 bits of a hash of its key, or 64 random ones.
    register = partial(zeroconf.register_service, info, cooperating_responders=True)
    try:
        await trio.to_thread.run_sync(register, abandon_on_cancel=True)
    except Exception as error:
        log.warning("the LAN listing was not announced: %s", error)


def _cached(zeroconf: Zeroconf, name: str) -> ServiceInfo | None:
    """What the records at hand say, None if some are missing. The cache belongs to zeroconf's own loop."""

    async def load() -> ServiceInfo | None:
        info = ServiceInfo(SERVICE, name)
        return info if info.load_from_cache(zeroconf) else None

    loop = zeroconf.loop
    if loop is None or not loop.is_running():
        return None
    try:
        return asyncio.run_coroutine_threadsafe(load(), loop).result(RESOLVE_MS / 1000)
    except Exception:  # the name is a stranger's, and zeroconf may be closing
        log.debug("cannot look at %r", name, exc_info=True)
        return None


def _ask(zeroconf: Zeroconf, name: str) -> ServiceInfo | None:
    try:
        return zeroconf.get_service_info(SERVICE, name, timeout=RESOLVE_MS)
    except Exception:  # the name is a stranger's, and zeroconf may be closing
        log.debug("cannot resolve %r", name, exc_info=True)
        return None


def _close(zeroconf: Zeroconf, browser: ServiceBrowser | None, goodbye: bool) -> None:
    try:
        if not goodbye and zeroconf.loop is not None:
            listings = zeroconf.registry.async_get_service_infos()
            zeroconf.loop.call_soon_threadsafe(zeroconf.registry.async_remove, listings)
        if browser is not None:
            browser.cancel()
        zeroconf.close()
    except Exception:
        log.debug("zeroconf did not close cleanly", exc_info=True)


def _addresses(info: ServiceInfo) -> tuple[Address, ...]:
    port = info.port
    if not port or not 0 < port <= 65535:
        return ()
    found = []
    for ip in info.ip_addresses_by_version(IPVersion.All)[:MAX_LISTED]:
        zone = getattr(ip, "scope_id", None) or "0"
        try:
            found.append(address_of(ip.packed, port, zone=int(zone) if zone.isdecimal() else 0))
        except LocalError:
            continue
    return tuple(found)
