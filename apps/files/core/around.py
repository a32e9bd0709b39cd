"""What shares need of the application around them, and what people are told of a share."""

from __future__ import annotations

from typing import Any

import attrs

from apps.files.core.info import Info
from apps.files.core.links import Hint, make_link
from apps.files.core.share import Share
from overlay.app import AppContext
from overlay.runtime.loop import Loop


@attrs.define(slots=True, eq=False)
class Around:
    """Surroundings of shares, made of the context of the application."""

    ctx: AppContext

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
    def operate(self) -> Any:
        return self.ctx.operate

    @property
    def compute(self) -> Any:
        return self.ctx.compute

    @property
    def emit(self) -> Any:
        return self.ctx.emit


def link_of(ctx: AppContext, share_id: bytes, info: Info | None) -> str:
    name = "" if info is None else info.name.decode(errors="replace")
    return make_link(share_id, v1_id=None if info is None else info.v1_id, name=name, hints=[Hint(ctx.id)])


def describe(ctx: AppContext, share: Share) -> dict[str, Any]:
    """Of a share whose list of files is not known yet, name and sizes are None."""
    now_ns, info, layout = ctx.now.mono_ns, share.info, share.layout
    channels = share.channels.values()
    return {
        "id": share.id.hex(), "state": share.state.value, "trouble": share.trouble, "path": share.path,
        "name": None if info is None else info.name.decode(errors="replace"),
        "link": link_of(ctx, share.id, info),
        "size": None if info is None else info.length,
        "files": None if info is None else len(info.files),
        "wanted": None if layout is None else share.wanted_bytes,
        "done": None if layout is None else share.done_bytes,
        "peers": len(share.channels),
        "seeds": sum(layout is not None and channel.held == share.all for channel in channels),
        "down_per_s": sum(channel.pipeline.rate.at(now_ns) for channel in channels),
        "up_per_s": sum(channel.up.at(now_ns) for channel in channels),
        "downloaded": share.downloaded, "uploaded": share.uploaded, "wasted": share.wasted,
    }  # fmt: skip
