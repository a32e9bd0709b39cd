"""`serve_bridge`: the foreign socket, the gateway behind it, and their upkeep."""

from __future__ import annotations

import asyncio
import logging
import socket

import attrs
import trio
import trio_asyncio  # type: ignore[import-untyped]

from p2pnode.bridge import limits, values
from p2pnode.bridge.commands import Command
from p2pnode.bridge.contacts import is_loopback
from p2pnode.bridge.gateway import Gateway
from p2pnode.bridge.protocol import BridgeProtocol

_log = logging.getLogger("p2pnode.bridge")
#: Loggers of the package: a line a bad datagram, at the rate that a stranger chooses. Counters say it instead.
_NOISY = ("kademlia", "rpcudp")


@attrs.frozen(slots=True)
class Bridge:
    """A bridge that serves. `counters` grow while it runs (docs/bridge.md names them)."""

    host: str
    port: int
    counters: dict[str, int]
    _gateway: Gateway = attrs.field(repr=False)
    _protocol: BridgeProtocol = attrs.field(repr=False)

    def status(self) -> dict[str, object]:
        """JSON-ready: address, foreign peers, keys and bytes kept, counters."""
        return {
            "address": f"{self.host}:{self.port}",
            "contacts": self._protocol._peers,
            "keys": self._gateway.kept_keys,
            "bytes": self._gateway.kept_bytes,
            "counters": dict(self.counters),
        }


def exposure(host: str) -> str | None:
    """What to tell people before the bridge listens on `host`; None on loopback."""
    if is_loopback(host):
        return None
    return (
        f"the bridge listens on {host}: whoever reaches it may overwrite every bridged key, "
        "because kademlia networks have no authors (docs/bridge.md). Loopback is the default: --bridge PORT"
    )


async def serve_bridge(
    command: Command,
    host: str,
    port: int,
    *,
    task_status: trio.TaskStatus[Bridge] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve peers of the `kademlia` package on UDP `host`:`port` (0 picks one) until cancelled.

    `command` runs commands of this node: status, own, put, get, forget, provide, providers. `task_status` gives
    the Bridge once it listens. Raises OSError if the address cannot be had.
    """
    warning = exposure(host)
    if warning:
        _log.warning(warning)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    node = (await command("status"))["id"]
    counters: dict[str, int] = {}
    gateway = Gateway(command, node, counters)
    await gateway.recall()
    sock = _bind(host, port)  # here, because the loop below would wrap its error in two groups
    async with trio_asyncio.open_loop() as loop:
        # trio-asyncio's own handler raises, which ends the bridge; a foreign datagram must not be able to.
        loop.set_exception_handler(lambda _loop, _context: _count_failure(counters))

        async def listen() -> tuple[asyncio.DatagramTransport, BridgeProtocol]:
            return await loop.create_datagram_endpoint(  # type: ignore[no-any-return]
                lambda: BridgeProtocol(values.foreign_id(node), gateway, counters), sock=sock
            )

        transport, protocol = await trio_asyncio.aio_as_trio(listen)()
        try:
            bound = transport.get_extra_info("sockname")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gateway.upkeep)
                task_status.started(Bridge(bound[0], bound[1], counters, gateway, protocol))
                while True:
                    await trio.sleep(limits.UPKEEP_S)
                    await trio_asyncio.aio_as_trio(protocol._upkeep)()
        finally:
            transport.close()


def _bind(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _count_failure(counters: dict[str, int]) -> None:
    counters["failed"] = counters.get("failed", 0) + 1
