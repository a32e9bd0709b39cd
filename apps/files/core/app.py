"""File sharing as an application: shares, sessions with peers, and the commands of people.

Commands (`p2pnode app ask files COMMAND KEY=VALUE`); a share is named by its link, its id in hex, or the beginning of
that. Those which take long return at once: `status` tells how far it is.

    share   {"path", "name"?}               -> {"id", "link", "name", "size", "files"}
    get     {"link", "folder", "only"?: [pattern]} -> {"id", "state"}
    list    {}                              -> [{as status}]
    status  {"share"}                       -> see `around.describe`
    pause | resume {"share"}                -> {as status}
    remove  {"share", "erase"?: bool}       -> {"id"}
    limit   {"up"?: bytes/s | 0, "down"?}   -> {"up", "down"}   0: no limit

Events: found, complete, corrupt, snubbed, peer dropped, full, failed, changed, withdrawn, cannot read, no sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from apps.files.core import disk
from apps.files.core.around import Around, describe, link_of
from apps.files.core.choker import slots_for
from apps.files.core.info import Info
from apps.files.core.info_quest import read_info
from apps.files.core.layers import proved
from apps.files.core.life import Life
from apps.files.core.limits import BURST_BYTES, MAX_SESSIONS, MAX_SHARES
from apps.files.core.links import parse_link
from apps.files.core.rates import Bucket
from apps.files.core.serving import make_tree
from apps.files.core.session import MessageStream, Session
from apps.files.core.share import Share, State
from apps.files.core.sources import Sources, provider_key
from apps.files.core.wire import PROTOCOL
from overlay.app import App, AppContext
from overlay.dht.publish import withdraw
from overlay.errors import LimitError, LocalError, NotFound, OverlayError, Refused
from overlay.identity.node_id import node_id_of
from overlay.runtime.group import Group
from overlay.wire import cbor

_SHARE, _LIMITS = b"share/", b"limits"


@attrs.define(slots=True, eq=False)
class _Running:
    """A share and what drives it."""

    share: Share
    life: Life
    sources: Sources
    group: Group | None = None


class Files(App):
    name = "files"
    functions = {"proved": proved, "tree": make_tree, "read_info": read_info}  # noqa: RUF012

    def __init__(self, operations: Mapping[str, Callable[..., Any]]) -> None:
        """`operations`: all of apps.files.core.disk."""
        missing = [name for name in disk.OPERATIONS if name not in operations]
        if missing:
            raise LocalError(f"the disk of file sharing lacks {', '.join(missing)}")
        self.operations = operations
        self.uploads, self.downloads = Bucket(None, BURST_BYTES, 0), Bucket(None, BURST_BYTES, 0)
        self.shares: dict[bytes, _Running] = {}
        self.sessions: dict[bytes, Session] = {}
        self._ctx: AppContext | None = None

    @property
    def ctx(self) -> AppContext:
        assert self._ctx is not None
        return self._ctx

    async def run(self, ctx: AppContext) -> None:
        self._ctx = ctx
        self.shares, self.sessions = {}, {}
        for name in ("share", "get", "list", "status", "pause", "resume", "remove", "limit"):
            ctx.command(name, getattr(self, f"_do_{name}"))
        if limits := ctx.storage.get(_LIMITS):
            up, down = cbor.decode(limits)
            self.uploads.limit(ctx.now.mono_ns, up or None)
            self.downloads.limit(ctx.now.mono_ns, down or None)
        for key, value in tuple(ctx.storage.scan(_SHARE)):
            folder, only, paused = cbor.decode(value)
            self._add(key[len(_SHARE) :], folder, tuple(only), paused=paused)
        ctx.accept(self._on_stream, protocol=PROTOCOL)

    # --- commands ---------------------------------------------------------------------------

    async def _do_share(self, args: dict[str, Any]) -> Any:
        name = args.get("name")
        raw, share_id = await self.ctx.operate("scan", _text(args, "path"), None if name is None else str(name), None)
        info = await self.ctx.compute("read_info", raw, share_id)
        if not isinstance(info, Info):
            raise LocalError(f"this cannot be shared: {info}")
        running = self.shares.get(share_id)
        if running is None or running.share.state is not State.COMPLETE:
            if running is not None:
                self._stop(running)
            self._add(share_id, "", ())
            await self.ctx.storage.synced()
        return {
            "id": share_id.hex(), "link": link_of(self.ctx, share_id, info), "name": info.name.decode(errors="replace"),
            "size": info.length, "files": len(info.files),
        }  # fmt: skip

    async def _do_get(self, args: dict[str, Any]) -> Any:
        link, only = parse_link(_text(args, "link")), args.get("only") or []
        if not isinstance(only, list) or not all(isinstance(pattern, str) for pattern in only):
            raise LocalError('"only" is a list of patterns of file names')
        running = self.shares.get(link.id)
        if running is None:
            running = self._add(link.id, _text(args, "folder"), tuple(only))
            await self.ctx.storage.synced()
        running.sources.add([hint.peer for hint in link.hints])
        return {"id": link.id.hex(), "state": running.share.state.value}

    async def _do_list(self, args: dict[str, Any]) -> Any:
        return [describe(self.ctx, running.share) for running in self.shares.values()]

    async def _do_status(self, args: dict[str, Any]) -> Any:
        return describe(self.ctx, self._find(args).share)

    async def _do_pause(self, args: dict[str, Any]) -> Any:
        running = self._find(args)
        self._stop(running)
        running.share.state = State.PAUSED
        await self._withdraw(running.share)
        self._save(running, paused=True)
        await self.ctx.storage.synced()
        return describe(self.ctx, running.share)

    async def _do_resume(self, args: dict[str, Any]) -> Any:
        running = self._find(args)
        if not running.share.running:
            self._stop(running)
            running = self._add(running.share.id, running.life.folder, running.life.only)
            await self.ctx.storage.synced()
        return describe(self.ctx, running.share)

    async def _do_remove(self, args: dict[str, Any]) -> Any:
        running = self._find(args)
        self._stop(running)
        running.share.state = State.PAUSED
        share_id = running.share.id
        self.shares.pop(share_id, None)
        await self._withdraw(running.share)
        self.ctx.storage.delete(_SHARE + share_id)
        await self.ctx.storage.synced()
        await self.ctx.operate("forget", share_id, bool(args.get("erase", False)))
        return {"id": share_id.hex()}

    async def _do_limit(self, args: dict[str, Any]) -> Any:
        for name, bucket in (("up", self.uploads), ("down", self.downloads)):
            rate = args.get(name)
            if rate is not None:
                if type(rate) is not int or rate < 0:
                    raise LocalError(f"a limit is a number of bytes per second, 0 for none, not {rate!r}")
                bucket.limit(self.ctx.now.mono_ns, rate or None)
        limits = [self.uploads.rate or 0, self.downloads.rate or 0]
        for running in self.shares.values():
            running.share.slots.choker.slots = slots_for(self.uploads.rate)
        self.ctx.storage.put(_LIMITS, cbor.encode(limits))
        await self.ctx.storage.synced()
        return dict(zip(("up", "down"), limits, strict=True))

    def _find(self, args: dict[str, Any]) -> _Running:
        text = _text(args, "share").lower()
        wanted = text if len(text) < 64 else parse_link(text).id.hex()
        found = [running for share_id, running in self.shares.items() if share_id.hex().startswith(wanted)]
        if len(found) != 1:
            raise NotFound(f"{'several shares begin' if found else 'no share here begins'} with {wanted!r}")
        return found[0]

    # --- shares -----------------------------------------------------------------------------

    def _add(self, share_id: bytes, folder: str, only: tuple[str, ...], *, paused: bool = False) -> _Running:
        if len(self.shares) >= MAX_SHARES:
            raise LimitError(f"{MAX_SHARES} shares are here already; remove one first")
        share = Share(
            share_id, Around(self.ctx), lambda *told: sources.on_peers(*told), lambda peer: sources.left(peer)
        )
        sources = Sources(share, self.ctx.id, self._reach, self._look_up)
        share.slots.choker.slots = slots_for(self.uploads.rate)
        running = _Running(share, Life(share, self.downloads, folder, only, self._announce), sources)
        self.shares[share_id] = running
        self._save(running, paused=paused)
        if paused:
            share.state = State.PAUSED
        else:
            self.ctx.spawn(self._run(running), name="share")
        return running

    def _save(self, running: _Running, *, paused: bool) -> None:
        life = running.life
        self.ctx.storage.put(_SHARE + running.share.id, cbor.encode([life.folder, list(life.only), paused]))

    async def _run(self, running: _Running) -> None:
        async with self.ctx.dht.loop.group(name="share") as group:
            running.group = group
            group.spawn(running.sources.run(), name="share: sources")
            await running.life.run()
            group.cancel()

    def _stop(self, running: _Running) -> None:
        if running.group is not None:
            running.group.cancel()
        running.share.close_all()

    def _announce(self, share: Share) -> None:
        if share.info is not None and not share.info.private:
            self.ctx.spawn(self._provide(share), name="files: provide")

    async def _provide(self, share: Share) -> None:
        try:
            await self.ctx.provide(provider_key(share.id))
            if not share.running:  # paused or removed meanwhile
                await self._withdraw(share)
        except OverlayError as error:
            self.ctx.emit("not announced", share=share.id, error=str(error))

    async def _withdraw(self, share: Share) -> None:
        await withdraw(self.ctx.dht, self.ctx.own, provider_key(share.id))

    async def _look_up(self, key: bytes) -> list[bytes]:
        return [node_id_of(provider.record.provider) for provider in await self.ctx.providers(key)]

    # --- sessions ---------------------------------------------------------------------------

    async def _reach(self, peer: bytes) -> Session:
        session = self.sessions.get(peer)
        if session is not None and not session.over:
            return session
        if len(self.sessions) >= MAX_SESSIONS:
            raise LimitError(f"files are exchanged with {MAX_SESSIONS} peers already")
        stream = await self.ctx.connect(peer, protocol=PROTOCOL)
        if not self._enters(stream):
            stream.close("this peer's own stream counts")
            return self.sessions[peer]
        session = self._session(stream)
        self.ctx.spawn(self._talk(session), name="files: session")
        return session

    async def _on_stream(self, stream: MessageStream) -> None:
        if not self._enters(stream):
            raise Refused("there is a stream already")
        if stream.peer not in self.sessions and len(self.sessions) >= MAX_SESSIONS:
            raise Refused("no room")
        await self._talk(self._session(stream))

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

    def _blame(self, peer: bytes, reason: str) -> None:
        self.ctx.emit("bad peer", peer=peer, reason=reason)


def _text(args: dict[str, Any], name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not value:
        raise LocalError(f"{name!r} is missing")
    return value
