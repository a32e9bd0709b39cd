"""What shares need of the application around them, and what people are told of a share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from apps.files.core.bans import Bans, Ledger
from apps.files.core.channel import Channel
from apps.files.core.header import Headers
from apps.files.core.info import Info
from apps.files.core.limits import LINK_ADDRESSES, MAX_HASHING, MAX_LOOKING
from apps.files.core.links import Hint, make_link
from apps.files.core.places import needed
from apps.files.core.share import Share
from overlay.app import AppContext
from overlay.errors import LocalError
from overlay.identity.node_id import format_id
from overlay.runtime.address import Address
from overlay.runtime.loop import Loop
from overlay.runtime.queue import Queue


@attrs.define(slots=True, eq=False)
class Around:
    """Surroundings of shares, made of the context of the application."""

    ctx: AppContext
    headers: Headers
    bans: Bans
    #: By operation: whoever asks for it takes one and puts it back.
    turns: dict[str, Queue[None]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        hashing = _turns(self.loop, MAX_HASHING)
        looking = _turns(self.loop, MAX_LOOKING)
        layers = _turns(self.loop, 1)
        self.turns = {"scan": hashing, "scan_hybrid": hashing, "open": hashing, "info": looking, "look": looking,
                      "layer": layers}  # fmt: skip

    @property
    def loop(self) -> Loop:
        return self.ctx.dht.loop

    @property
    def rng(self) -> Any:
        return self.ctx.rng

    @property
    def spawn(self) -> Any:
        return self.ctx.spawn

    @property
    def talk_plain(self) -> Any:
        return self.ctx.talk_plain

    def answers_at(self, peer: bytes) -> Address | None:
        """Where it answers the DHT now; None: nowhere, or it is not in the table."""
        contact = self.ctx.dht.table.live(int.from_bytes(peer, "big"))
        return None if contact is None else contact.address

    async def operate(self, operation: str, /, *args: Any) -> Any:
        """As the context does; what hashes much, or is asked for every share at the start, waits for its turn. Layers
        are read one at a time: anybody may ask for one."""
        turns = self.turns.get(operation)
        if turns is None:
            return await self.ctx.operate(operation, *args)
        await turns.get()
        try:
            return await self.ctx.operate(operation, *args)
        finally:
            turns.put_nowait(None)

    @property
    def compute(self) -> Any:
        return self.ctx.compute

    @property
    def emit(self) -> Any:
        return self.ctx.emit


def _turns(loop: Loop, most: int) -> Queue[None]:
    turns: Queue[None] = Queue(loop, most)
    for _ in range(most):
        turns.put_nowait(None)
    return turns


def around_of(ctx: AppContext, on_ban: Callable[[bytes], object]) -> Around:
    endpoint = ctx.dht.endpoint

    def ledger() -> Ledger | None:
        try:
            service: Ledger = ctx.services.get("evidence")
        except LocalError:
            return None  # nobody here collects evidence
        return service

    headers = Headers(endpoint.signer, endpoint.network, endpoint.verifier)
    return Around(ctx, headers, Bans(ctx.storage, lambda: ctx.now, ctx.emit, ctx.spawn, ledger, on_ban))


def link_of(
    ctx: AppContext, share_id: bytes, info: Info | None, reachable: Sequence[Address], *, bittorrent: bool
) -> str:
    """`reachable`: where this peer is, for whoever has nothing but the link. `bittorrent`: also for its programs."""
    reachable = reachable[:LINK_ADDRESSES]
    name = "" if info is None else info.name.decode(errors="replace")
    hints = [Hint(ctx.id, address) for address in reachable] or [Hint(ctx.id)]
    public = bittorrent and info is not None and not info.private
    v1_id = None if info is None else info.v1_id
    return make_link(share_id, v1_id=v1_id, name=name, peers=reachable if public else (), hints=hints)


def _lost_some(channel: Channel) -> bool:
    """It had, by what it said, what is missing here, and has it no longer."""
    share = channel.share
    return channel.refused & ~channel.held & share.wanted & ~share.have != 0


def describe(ctx: AppContext, share: Share, link: str) -> dict[str, Any]:
    """Of a share whose list of files is not known yet, name and sizes are None; as long as the disk was not looked at,
    so is what is there."""
    now_ns, info, layout = ctx.now.mono_ns, share.info, share.layout
    channels = share.channels.values()
    return {
        "id": share.id.hex(), "state": share.state.value, "trouble": share.trouble, "path": share.path,
        "name": None if info is None else info.name.decode(errors="replace"),
        "link": link,
        "size": None if info is None else info.length,
        "files": None if info is None else len(info.files),
        "wanted": share.wanted_bytes if share.path else None,
        "done": share.done_bytes if share.path else None,
        "peers": len(share.channels), "useful": sum(map(needed, channels)),
        "lost_there": sum(map(_lost_some, channels)),
        "givers": len(share.givers), "dropped": len(share.banned),
        "seeds": sum(layout is not None and channel.held == share.all for channel in channels),
        "down_per_s": sum(channel.pipeline.rate.at(now_ns) for channel in channels),
        "up_per_s": sum(channel.up.at(now_ns) for channel in channels),
        "downloaded": share.downloaded, "uploaded": share.uploaded, "wasted": share.wasted, "zeros": share.zeros,
    }  # fmt: skip


def describe_bans(bans: Bans) -> list[dict[str, Any]]:
    return [
        {"peer": format_id(peer), "until_ms": ban.until_ms, "evidence": ban.evidence.hex()}
        for peer, ban in bans.all().items()
    ]
