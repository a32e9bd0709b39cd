"""What may be asked of file sharing for clients of BitTorrent. See apps.files.core.commands.

export  {"share", "path", "hybrid"?: bool} -> {"id", "link", "path", "bittorrent"}   a .torrent of what is all here;
        `bittorrent`: whether its programs are talked to here; `hybrid`: of its twin for clients of BitTorrent v1,
        which is hashed if it has to be, and shared from now on
bt_shares {}                            -> [hash]   20 bytes each in hex: what may be announced to clients on this
        LAN; of a hybrid share both. Nothing without BitTorrent.
bt_found {"hash", "address"}            -> {"known"}   a client says that it exchanges this share
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from apps.files.core.arguments import hex_of, text_of
from apps.files.core.info import Info
from apps.files.core.share import Share, State
from overlay.errors import LocalError
from overlay.runtime.address import parse_address
from overlay.runtime.ports import MS

if TYPE_CHECKING:
    from apps.files.core.app import Files
    from apps.files.core.commands import Commands

NAMES = ("export", "bt_shares", "bt_found")
_SOON_NS = 50 * MS


@attrs.frozen(slots=True, eq=False)
class TorrentCommands:
    files: Files
    commands: Commands

    async def export(self, args: dict[str, Any]) -> Any:
        running, path = self.commands.find(args), text_of(args, "path")
        share = running.share
        info = await self._complete(share)
        if args.get("hybrid") and info.v1_id is None:
            if info.private:
                raise LocalError("this share is private: whoever made it may make a hybrid one of it")
            name = info.name.decode(errors="surrogateescape")
            info, _ = await self.commands.scan(
                share.path, name, tags=running.saved.tags, hybrid=True, piece_length=info.piece_length
            )
        await self.files.ctx.operate("export", info.id, path)
        return {"id": info.id.hex(), "link": self.files.link(info.id, info), "path": path} | {
            "bittorrent": self.files.gateway is not None  # whether its programs are talked to
        }

    async def _complete(self, share: Share) -> Info:
        """LocalError unless it is all here, once it is known what is here."""
        if await self.files.ctx.operate("info", share.id):  # or nobody knows when it will be found
            while share.state in (State.FINDING, State.CHECKING):
                await self.files.ctx.sleep(_SOON_NS)
        if share.info is None or share.state is not State.COMPLETE:
            raise LocalError("only what is all here can be exported: wait until it is complete")
        return share.info

    async def bt_shares(self, args: dict[str, Any]) -> Any:
        gateway = self.files.gateway
        return [] if gateway is None else [one.hex() for one in gateway.public_hashes()]

    async def bt_found(self, args: dict[str, Any]) -> Any:
        gateway = self.files.gateway
        share = None if gateway is None else gateway.public(hex_of(args, "hash"))
        if share is not None:
            self.files.shares[share.id].sources.announced(parse_address(text_of(args, "address")))
        return {"known": share is not None}
