"""File sharing as an application: shares and sessions with peers; what people may ask of it: apps.files.core.commands.

Events: found, complete, corrupt, uploader banned, snubbed, peer dropped, full, failed, changed, withdrawn, cannot read,
cannot write, not announced, no sources, no hashes, too many words, bad peer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs

from apps.files.core import commands, disk
from apps.files.core.around import Around, around_of, describe, link_of
from apps.files.core.bittorrent.gateway import Gateway
from apps.files.core.bittorrent.handshake import FIRST_BYTE
from apps.files.core.choker import slots_for
from apps.files.core.crowding import has_room
from apps.files.core.info import Info
from apps.files.core.info_quest import read_info
from apps.files.core.layers import proved
from apps.files.core.life import Life
from apps.files.core.limits import BURST_BYTES, MAX_OWN_SESSIONS, MAX_SHARES
from apps.files.core.links import Hint
from apps.files.core.neighbours import Neighbours
from apps.files.core.questions import Find, Holds
from apps.files.core.rates import Bucket
from apps.files.core.saved import LIMITS, SHARE, Saved, decode_saved
from apps.files.core.search import Search
from apps.files.core.serving import make_tree
from apps.files.core.session import MessageStream, Session
from apps.files.core.share import Share, State
from apps.files.core.sources import Sources, provider_key
from apps.files.core.wire import PROTOCOL
from overlay.app import App, AppContext
from overlay.dht.publish import withdraw
from overlay.errors import LimitError, LocalError, OverlayError, Refused
from overlay.identity.node_id import node_id_of
from overlay.runtime.address import Address
from overlay.runtime.group import Group
from overlay.wire import cbor


@attrs.define(slots=True, eq=False)
class Running:
    """A share and what drives it."""

    saved: Saved
    share: Share
    life: Life
    sources: Sources
    group: Group | None = None
    #: It was stopped, maybe before it began.
    over: bool = False
    #: All of it was here, and somebody who asked for it again has the disk look whether it still is.
    again: bool = False


class Files(App):
    name = "files"
    functions = {"proved": proved, "tree": make_tree, "read_info": read_info}  # noqa: RUF012

    def __init__(self, operations: Mapping[str, Callable[..., Any]], *, bittorrent: bool = False) -> None:
        """`operations`: all of apps.files.core.disk. `bittorrent`: programs of BitTorrent may be talked to."""
        missing = [name for name in disk.OPERATIONS if name not in operations]
        if missing:
            raise LocalError(f"the disk of file sharing lacks {', '.join(missing)}")
        self.operations, self.bittorrent = operations, bittorrent
        self.uploads, self.downloads = Bucket(None, BURST_BYTES, 0), Bucket(None, BURST_BYTES, 0)
        self.shares: dict[bytes, Running] = {}
        self.sessions: dict[bytes, Session] = {}
        #: Addresses of this node, the farthest reaching first.
        self.reachable: tuple[Address, ...] = ()
        self._ctx: AppContext | None = None
        self.around: Around
        self.search: Search
        self.near: Neighbours
        #: None: no BitTorrent here.
        self.gateway: Gateway | None = None

    @property
    def ctx(self) -> AppContext:
        assert self._ctx is not None
        return self._ctx

    async def run(self, ctx: AppContext) -> None:
        self._ctx = ctx
        self.shares, self.sessions, self.around = {}, {}, around_of(ctx, self._end)
        self.search = Search(ctx, self._whole, self._blame, self.around.bans.holds)
        self.near = Neighbours(self.search.asker)
        if self.bittorrent:
            self.gateway = Gateway(
                self.around, ctx.connect_plain, self._all_shared, self.uploads, ctx.dht.endpoint.network.network_id
            )  # fmt: skip
        commands.declare(self, ctx)
        if limits := ctx.storage.get(LIMITS):
            up, down = cbor.decode(limits)
            self.uploads.limit(ctx.now.mono_ns, up or None)
            self.downloads.limit(ctx.now.mono_ns, down or None)
        for key, value in tuple(ctx.storage.scan(SHARE)):
            self.add(key[len(SHARE) :], decode_saved(value))
        ctx.accept(self._on_stream, protocol=PROTOCOL)
        ctx.serve(self.search.answer, Find, Holds)
        ctx.spawn(self.search.run(), name="files: words")
        if self.gateway is not None:
            ctx.accept_plain(FIRST_BYTE, self.gateway.on_stream)

    # --- shares -----------------------------------------------------------------------------

    def add(self, share_id: bytes, saved: Saved) -> Running:
        if share_id not in self.shares and len(self.shares) >= MAX_SHARES:
            raise LimitError(f"{MAX_SHARES} shares are here already; remove one first")
        share = Share(share_id, self.around, lambda *told: sources.on_peers(*told), lambda *left: sources.left(*left))
        dial = None if self.gateway is None else partial(self.gateway.reach, share)
        near, answers_at = self.near.holders, self.around.answers_at
        sources = Sources(share, self.ctx.id, self._reach, self._look_up, dial, near, answers_at)
        sources.add_hints(saved.hints)
        sources.add_foreign(saved.foreign)
        share.slots.choker.slots = slots_for(self.uploads.rate)
        life = Life(share, self.downloads, saved.folder, saved.only, self._announce, self.post)
        running = self.shares[share_id] = Running(saved, share, life, sources)
        self.save(running)
        if saved.paused:
            share.state = State.PAUSED
            self.ctx.spawn(self._recall(running), name="share")
        else:
            self.ctx.spawn(self._run(running), name="share")
        return running

    async def _recall(self, running: Running) -> None:
        with contextlib.suppress(OverlayError):  # then it stays without a name
            await running.life.recall()

    def save(self, running: Running) -> None:
        self.ctx.storage.put(SHARE + running.share.id, running.saved.encode())

    def go_on(
        self, running: Running, only: tuple[str, ...], hints: tuple[Hint, ...], foreign: tuple[Address, ...]
    ) -> Running:
        """Of a share that is here: it may rest, or more of it is wanted, or its link says more. One that is complete is
        begun again: only the disk knows whether its files are still what they were."""
        saved = running.saved
        wanted = tuple(dict.fromkeys([*saved.only, *only])) if saved.only and only else ()
        wider = attrs.evolve(
            saved, only=wanted, hints=hints or saved.hints, foreign=foreign or saved.foreign, paused=False
        )
        complete = running.share.state is State.COMPLETE
        if not running.share.running or complete or wanted != saved.only:
            self.stop(running)
            fresh = self.add(running.share.id, wider)
            fresh.again = complete or running.again
            return fresh
        running.saved = wider
        running.sources.add_hints(hints)
        running.sources.add_foreign(foreign)
        self.save(running)
        return running

    async def rest(self, running: Running) -> None:
        checking = running.share.state is State.CHECKING
        self.stop(running)
        if running.share.state not in (State.FULL, State.FAILED):  # what is wrong stays to be seen
            running.share.state = State.PAUSED
        if checking:
            await self.ctx.operate("stop", running.share.id.hex())
        await self._withdraw(running.share)

    async def _run(self, running: Running) -> None:
        if running.over:
            return
        async with self.ctx.dht.loop.group(name="share") as group:
            running.group = group
            group.spawn(running.sources.run(), name="share: sources")
            try:
                await running.life.run()
            finally:
                self.search.withdraw(running.share.id)
            group.cancel()
        if not running.over:  # it failed: what is announced is not here
            with contextlib.suppress(LocalError):  # the record is over within hours
                await self._withdraw(running.share)

    def stop(self, running: Running) -> None:
        running.over = True
        if running.group is not None:
            running.group.cancel()
        running.share.close_all()

    def post(self, share: Share) -> None:
        """It can be found by words, if all of it is here."""
        if share.have == share.all:
            self.search.post(share, self.shares[share.id].saved.tags)

    def _whole(self, share_id: bytes) -> bool:
        running = self.shares.get(share_id)
        return running is not None and running.share.state is State.COMPLETE and running.share.have == running.share.all

    def _announce(self, share: Share) -> None:
        if share.info is not None and not share.info.private:
            self.ctx.spawn(self._provide(share), name="files: provide")

    async def _provide(self, share: Share) -> None:
        try:
            await self.ctx.provide(provider_key(share.id))
            running = self.shares.get(share.id)
            if running is None or not running.share.running:  # paused or removed meanwhile
                await self._withdraw(share)
        except OverlayError as error:
            self.ctx.emit("not announced", share=share.id, error=str(error))

    async def _withdraw(self, share: Share) -> None:
        await withdraw(self.ctx.dht, self.ctx.own, provider_key(share.id))

    async def _look_up(self, key: bytes) -> list[bytes]:
        return [node_id_of(provider.record.provider) for provider in await self.ctx.providers(key)]

    def link(self, share_id: bytes, info: Info | None) -> str:
        return link_of(self.ctx, share_id, info, self.reachable, bittorrent=self.bittorrent)

    def describe(self, running: Running) -> dict[str, Any]:
        share = running.share
        return describe(self.ctx, share, self.link(share.id, share.info)) | {
            "folder": running.saved.folder or share.path.rpartition("/")[0], "only": list(running.saved.only),
            "known": running.sources.known,
            "silent": [{"peer": name, "reason": why} for name, why in running.sources.silent()],
            "tags": list(running.saved.tags),
        }  # fmt: skip

    # --- sessions ---------------------------------------------------------------------------

    async def _reach(self, peer: bytes, hints: tuple[Address, ...]) -> Session:
        session = self.sessions.get(peer)
        if session is not None and not session.over:
            return session
        if not has_room(self.sessions.values(), None, self._send_away):
            raise LimitError(f"this node has opened streams for files to {MAX_OWN_SESSIONS} peers already")
        stream = await self.ctx.connect(peer, protocol=PROTOCOL, hints=hints)
        if not self._enters(stream):
            stream.close("this peer's own stream counts")
            return self.sessions[peer]
        session = self._session(stream)
        self.ctx.talk(lambda _: self._talk(session), stream)
        return session

    async def _on_stream(self, stream: MessageStream) -> None:
        if self.around.bans.holds(stream.peer):
            raise Refused("banned")
        if not self._enters(stream):
            raise Refused("there is a stream already")
        others = [one for one in self.sessions.values() if one.peer != stream.peer]
        if not has_room(others, stream.address, self._send_away):
            raise Refused("no room")
        await self._talk(self._session(stream))

    def _send_away(self, session: Session) -> None:
        del self.sessions[session.peer]
        session.stream.close("others need the place")

    def _enters(self, stream: MessageStream) -> bool:
        """Of two streams that both sides opened at once, that of the lower id stays; a newer one replaces its like."""
        other = self.sessions.get(stream.peer)
        if other is None or other.over or other.stream.incoming is stream.incoming:
            return True
        return (self.ctx.id < stream.peer) is not stream.incoming

    def _session(self, stream: MessageStream) -> Session:
        before = self.sessions.get(stream.peer)
        if before is not None:
            before.stream.close("there is a newer stream")
        session = Session(self.ctx.dht.loop, stream, self._shared, self.uploads, self._blame)
        self.sessions[stream.peer] = session
        return session

    async def _talk(self, session: Session) -> None:
        try:
            await session.run()
        finally:
            if self.sessions.get(session.peer) is session:
                del self.sessions[session.peer]

    def _shared(self, share_id: bytes) -> Share | None:
        running = self.shares.get(share_id)
        return running.share if running is not None and running.share.running else None

    def _end(self, peer: bytes) -> None:
        """It was banned: nothing is asked of it from this moment on."""
        session = self.sessions.get(peer)
        if session is not None:
            for channel in session.channels():
                session.close_share(channel)
            session.stream.close("banned")

    def _all_shared(self) -> list[Share]:
        return [running.share for running in self.shares.values() if running.share.running]

    def _blame(self, peer: bytes, reason: str) -> None:
        self.ctx.emit("bad peer", peer=peer, reason=reason)
