"""What people, and programs for them, may ask of file sharing.

`p2pnode app ask files COMMAND KEY=VALUE`. A share is named by its link, its id in hex, or the beginning of that. `get`
returns at once: `status` tells how far it is.

    share   {"path", "name"?, "tags"?: [text], "hybrid"?: bool, "anchor"?: true or hex digits}
            -> {"id", "link", "name", "size", "files", "notes", "anchor"?: {"digest", "txid"}}   when all is hashed.
            "anchor": 32 bytes that are written into the chain, true: the id of the share. Without "tags" a share that
            is here keeps those it has. `hybrid`: for clients of BitTorrent v1, too
    get     {"link" | "torrent": path, "folder", "only"?: [pattern]} -> {as status, "began", "again"}
            `began`: it was not under way. `again`: all of it was here, and the disk looks whether it still is; name and
            place are those of before. What is here already stays where it is; what rests goes on.
    list    {}                              -> [{as status}]
    status  {"share"}                       -> see `Files.describe`; "notes": what was left out, or is withdrawn
    progress {"path" | "share"}             -> {"done", "total"} bytes of what is being hashed or checked now, or null
    stop    {"path"}                        -> {}   the share of this path is not made
    reachable {"addresses"}                 -> {}   where this node is: for the links that it makes
    pause | resume {"share"}                -> {as status}
    remove  {"share", "erase"?: bool}       -> {"id", "erased"}
    limit   {"up"?: bytes/s | 0, "down"?}   -> {"up", "down"}   0: no limit
    bans    {}                              -> [{"peer", "until_ms", "evidence"}]   see apps.files.core.bans
    search  {"words", "seconds"?}           -> {"results": [{"id", "link", "name", "size", "files", "seeds",
            "publishers", "tags"}], "asked": peers}
    export, bt_shares, bt_found: apps.files.core.torrent_commands
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from apps.files.core.anchoring import Anchoring
from apps.files.core.arguments import text_of, texts_of
from apps.files.core.around import describe_bans
from apps.files.core.choker import slots_for
from apps.files.core.info import Info
from apps.files.core.life import wanted_files
from apps.files.core.links import Link, parse_link
from apps.files.core.posting import check_tags
from apps.files.core.saved import LIMITS, SHARE, Saved
from apps.files.core.share import State
from apps.files.core.torrent_commands import NAMES as TORRENT_NAMES
from apps.files.core.torrent_commands import TorrentCommands
from apps.files.core.turns import Turns
from overlay.app import AppContext
from overlay.errors import LocalError, NotFound
from overlay.runtime.address import parse_address
from overlay.runtime.loop import CancelScope
from overlay.wire import cbor

if TYPE_CHECKING:
    from apps.files.core.app import Files, Running

NAMES = (
    "share", "get", "list", "status", "progress", "stop", "pause", "resume", "remove", "limit", "reachable",
    "bans",
)  # fmt: skip


def declare(files: Files, ctx: AppContext) -> None:
    commands = Commands(files, Turns(ctx.dht.loop))
    torrents = TorrentCommands(files, commands)
    for name in NAMES:
        ctx.command(name, getattr(commands, name))
    ctx.command("search", files.search.find)
    for name in TORRENT_NAMES:
        ctx.command(name, getattr(torrents, name))


@attrs.frozen(slots=True, eq=False)
class Commands:
    files: Files
    #: What changes a share has it for itself until it is done.
    turns: Turns
    #: By path: what is being hashed, or waits for its turn.
    _scans: dict[str, CancelScope] = attrs.field(factory=dict, init=False)

    async def share(self, args: dict[str, Any]) -> Any:
        path, name = text_of(args, "path"), text_of(args, "name") if args.get("name") is not None else None
        tags = None if args.get("tags") is None else check_tags(args["tags"])
        wanted = args.get("anchor")
        anchor = None if not wanted else Anchoring.of(self.files.ctx, wanted)
        info, notes = await self.scan(path, name, tags=tags, hybrid=bool(args.get("hybrid")))
        answer = {
            "id": info.id.hex(), "link": self.files.link(info.id, info), "name": info.name.decode(errors="replace"),
            "size": info.length, "files": len(info.files), "notes": notes,
        }  # fmt: skip
        return answer if anchor is None else answer | {"anchor": await anchor.write(info.id)}

    async def scan(
        self, path: str, name: str | None, *, tags: tuple[str, ...] | None = None, hybrid: bool = False,
        piece_length: int | None = None,
    ) -> tuple[Info, builtins.list[str]]:
        """What lies there is shared from now on; with its notes. `tags` None: those it has, if it is shared already."""
        while True:
            share_id = await self._hash("scan_hybrid" if hybrid else "scan", path, name, piece_length)
            async with self.turns.of(share_id):
                if raw := await self.files.ctx.operate("info", share_id):
                    notes = await self._notes(share_id)  # before it is opened again: what was left out is known now
                    return await self._take_up(share_id, raw, tags), notes
            # It was removed before its turn came, and its hashes with it.

    async def _hash(self, operation: str, path: str, name: str | None, piece_length: int | None) -> bytes:
        """The id of the share."""
        share_id = b""
        with self.files.ctx.dht.loop.scope() as scope:
            self._scans[path] = scope
            try:
                _, share_id = await self.files.around.operate(operation, path, name, piece_length)
            finally:
                if self._scans.get(path) is scope:
                    del self._scans[path]
        if scope.cancelled_caught:
            raise LocalError(f"{path}: it was stopped before all of it was hashed; nothing is shared")
        return share_id

    async def _take_up(self, share_id: bytes, raw: bytes, tags: tuple[str, ...] | None) -> Info:
        info = await self.files.ctx.compute("read_info", raw, share_id)
        if not isinstance(info, Info):
            raise LocalError(f"this cannot be shared: {info}")
        running = self.files.shares.get(share_id)
        if tags is None:
            tags = () if running is None else running.saved.tags
        if running is None or running.share.state is not State.COMPLETE:
            if running is not None:
                self.files.stop(running)
            self.files.add(share_id, Saved("", tags=tags))
            await self.files.ctx.storage.synced()
        elif tags != running.saved.tags:
            running.saved = attrs.evolve(running.saved, tags=tags)
            self.files.save(running)
            self.files.post(running.share)
            await self.files.ctx.storage.synced()
        return info

    async def get(self, args: dict[str, Any]) -> Any:
        folder, only = text_of(args, "folder"), texts_of(args, "only")
        if "torrent" in args:
            link = Link(await self.files.ctx.operate("take_torrent", text_of(args, "torrent")))
        else:
            link = parse_link(text_of(args, "link"))
        async with self.turns.of(link.id):
            if "torrent" in args and not await self.files.ctx.operate("info", link.id):  # removed before its turn came
                await self.files.ctx.operate("take_torrent", text_of(args, "torrent"))
            running = self.files.shares.get(link.id)
            began = running is None or not (running.share.running or running.again)
            before = {}
            if running is None:
                running = self.files.add(link.id, Saved(folder, only=only, hints=link.hints, foreign=link.foreign))
            else:
                await self._check_names(running, only)
                if running.share.state is State.COMPLETE:
                    before = self.files.describe(running) | {"state": State.CHECKING.value}
                running = self.files.go_on(running, only, link.hints, link.foreign)
            await self.files.ctx.storage.synced()
            return (before or self.files.describe(running)) | {"began": began, "again": running.again}

    async def _check_names(self, running: Running, only: tuple[str, ...]) -> None:
        """LocalError if no file is called so; of a share whose files are not known yet, that is found out later."""
        if only and running.share.info is None:
            await running.life.recall()
        if running.share.info is not None:
            wanted_files(running.share.info, only)

    async def list(self, args: dict[str, Any]) -> Any:
        return [self.files.describe(running) for running in self.files.shares.values()]

    async def status(self, args: dict[str, Any]) -> Any:
        running = self.find(args)
        await running.life.look()
        return self.files.describe(running) | {"notes": await self._notes(running.share.id)}

    async def progress(self, args: dict[str, Any]) -> Any:
        what = self.find(args).share.id.hex() if "share" in args else text_of(args, "path")
        progress = await self.files.ctx.operate("progress", what)
        return None if progress is None else dict(zip(("done", "total"), progress, strict=True))

    async def _notes(self, share_id: bytes) -> builtins.list[str]:
        """What a person should know of it; none of a share that is not open."""
        try:
            return [*await self.files.ctx.operate("notes", share_id)]
        except LocalError:
            return []

    async def stop(self, args: dict[str, Any]) -> Any:
        path = text_of(args, "path")
        await self.files.ctx.operate("stop", path)
        if path in self._scans:
            self._scans[path].cancel()
        return {}

    async def reachable(self, args: dict[str, Any]) -> Any:
        self.files.reachable = tuple(map(parse_address, texts_of(args, "addresses")))
        return {}

    async def pause(self, args: dict[str, Any]) -> Any:
        async with self._turn(args) as running:
            running.saved = attrs.evolve(running.saved, paused=True)
            self.files.save(running)
            await self.files.rest(running)
            await self.files.ctx.storage.synced()
            return self.files.describe(running)

    async def resume(self, args: dict[str, Any]) -> Any:
        async with self._turn(args) as running:
            if not running.share.running:
                self.files.stop(running)
                running = self.files.add(running.share.id, attrs.evolve(running.saved, paused=False))
                await self.files.ctx.storage.synced()
            return self.files.describe(running)

    async def remove(self, args: dict[str, Any]) -> Any:
        async with self._turn(args) as running:
            share_id = running.share.id
            del self.files.shares[share_id]
            self.files.ctx.storage.delete(SHARE + share_id)
            await self.files.rest(running)
            await self.files.ctx.storage.synced()
            erased = bool(args.get("erase", False)) and bool(running.saved.folder)
            await self.files.ctx.operate("forget", share_id, erased)
            return {"id": share_id.hex(), "erased": erased}

    @asynccontextmanager
    async def _turn(self, args: dict[str, Any]) -> AsyncIterator[Running]:
        """NotFound if it is removed before its turn comes."""
        share_id = self.find(args).share.id
        async with self.turns.of(share_id):
            yield self.find({"share": share_id.hex()})

    async def limit(self, args: dict[str, Any]) -> Any:
        for name, bucket in (("up", self.files.uploads), ("down", self.files.downloads)):
            rate = args.get(name)
            if rate is not None:
                if type(rate) is not int or rate < 0:
                    raise LocalError(f"a limit is a number of bytes per second, 0 for none, not {rate!r}")
                bucket.limit(self.files.ctx.now.mono_ns, rate or None)
        limits = [self.files.uploads.rate or 0, self.files.downloads.rate or 0]
        for running in self.files.shares.values():
            running.share.slots.choker.slots = slots_for(self.files.uploads.rate)
        self.files.ctx.storage.put(LIMITS, cbor.encode(limits))
        await self.files.ctx.storage.synced()
        return dict(zip(("up", "down"), limits, strict=True))

    async def bans(self, args: dict[str, Any]) -> Any:
        return describe_bans(self.files.around.bans)

    def find(self, args: dict[str, Any]) -> Running:
        text = text_of(args, "share").lower()
        wanted = text if len(text) < 64 else parse_link(text).id.hex()
        found = [running for share_id, running in self.files.shares.items() if share_id.hex().startswith(wanted)]
        if len(found) != 1:
            raise NotFound(f"{'several shares begin' if found else 'no share here begins'} with {wanted!r}")
        return found[0]
