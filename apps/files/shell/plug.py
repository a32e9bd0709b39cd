"""File sharing in a node: the core with a disk, and what runs beside it. The entry point `files` of p2pnode.apps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import trio

from apps.files.core import disk
from apps.files.core.app import Files
from apps.files.shell import lsd
from apps.files.shell.disk import Disk
from overlay.errors import LocalError
from overlay.runtime.address import Address
from p2pnode.api import Opened, RunningNode, Terms


class FilesShell:
    """A p2pnode.api.Shell."""

    def bare(self, terms: Terms) -> Files:
        return _files(dict.fromkeys(disk.OPERATIONS, _no_disk), terms)

    @asynccontextmanager
    async def open(self, folder: Path, terms: Terms) -> AsyncIterator[Opened]:
        at = await trio.to_thread.run_sync(partial(Disk, str(folder)))
        try:
            files = _files(at.operations(), terms)
            yield Opened(files, _serve_all if files.bittorrent else serve, at.leave)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(at.close)


async def serve(node: RunningNode) -> None:
    """Tell the core where this node can be reached, for the links that it makes."""
    told: tuple[Address, ...] = ()
    while True:
        told = await node.moved_from(told)
        args = {"addresses": [str(address) for address in told]}
        await node.command("app", app=Files.name, command="reachable", args=args)


async def _serve_all(node: RunningNode) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, node)
        nursery.start_soon(find_clients, node)


async def find_clients(node: RunningNode) -> None:
    """Clients of BitTorrent on the LAN hear of what is shared here, and the core of them (BEP 14)."""

    async def shares() -> list[bytes]:
        return [bytes.fromhex(one) for one in await node.command("app", app=Files.name, command="bt_shares", args={})]

    async def found(one: bytes, address: Address) -> None:
        args = {"hash": one.hex(), "address": str(address)}
        await node.command("app", app=Files.name, command="bt_found", args=args)

    ports = [int(text.rpartition(":")[2]) for text in node.listen if text.startswith("tcp ")]
    if ports and node.seeks_lan:
        await lsd.serve(shares, ports[0], found, interfaces=lambda: node.interfaces)


def _files(operations: Mapping[str, Callable[..., Any]], terms: Terms) -> Files:
    """What a private network shares is for its members."""
    return Files(operations, bittorrent=terms.bittorrent and not terms.private)


def _no_disk(*_: Any) -> NoReturn:
    raise LocalError("this is a replay: there is no disk")
