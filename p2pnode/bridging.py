"""The bridge to the Python package "kademlia", begun beside a node that was asked for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio

from p2pnode.transport.binding import CannotListen

if TYPE_CHECKING:
    from p2pnode.bridge import Bridge
    from p2pnode.bridge.commands import Command

log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"


async def start_bridge(place: str, command: Command, nursery: trio.Nursery) -> Bridge:
    """Serve at `place`, a setting: [HOST:]PORT. CannotListen if that cannot be."""
    from p2pnode.bridge import serve_bridge  # asyncio and the kademlia package: for who asks

    host, _, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or _LOOPBACK
    begun = False

    async def serve(*, task_status: trio.TaskStatus[Bridge]) -> None:
        try:
            await serve_bridge(command, host, int(port), task_status=task_status)
        except Exception:
            if not begun:
                raise
            log.exception("the bridge ended; the node runs on without it")

    try:
        bridge: Bridge = await nursery.start(serve)
    except OSError as error:
        raise CannotListen(
            "the bridge cannot listen there",
            facts={
                "address": f"udp {host}:{port}",
                "reason": error.strerror or str(error),
                "any free port": "--bridge 0",
            },
        ) from None
    begun = True
    return bridge
