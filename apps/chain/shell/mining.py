"""Mining in a node: asks the application what to work on, and has a process of its own look for the nonce (worker.py).

The process is there while there is work. One that was killed, or fails, is noticed and started anew.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import trio

from apps.chain.core.app import Chain
from p2pnode.api import RunningNode

log = logging.getLogger(__name__)

_MODULE = "apps.chain.shell.worker"
#: The folder of the package `apps`, from where the process imports.
_ROOT = Path(__file__).parents[3]
#: A worker that ends by itself is started anew after so long, twice as long each time while none does any good.
_AGAIN_S, _MOST_AGAIN_S = 0.5, 60.0


async def mine(node: RunningNode) -> None:
    """As long as the node runs. A task of `p2pnode.api.Opened`."""
    async with trio.open_nursery() as nursery:
        mill = Mill(node)
        nursery.start_soon(mill.ask)
        nursery.start_soon(mill.work)


@attrs.define(slots=True, eq=False)
class Mill:
    """What is wanted (`ask`), and the process that does it (`work`)."""

    node: RunningNode
    #: The newest order; a worker gets it when it starts, and each later one.
    _order: dict[str, Any] = attrs.field(factory=dict, init=False)
    #: Nothing was to be done for so long that the process need not wait.
    _idle: bool = attrs.field(default=True, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _rate: int | None = attrs.field(default=None, init=False)
    #: Said something since it was started.
    _did_good: bool = attrs.field(default=False, init=False)

    async def ask(self) -> None:
        number = 0
        while True:
            told = await self._command("mine_work", after=number, rate=self._rate)
            works = "prefix" in told
            # Between two blocks there is none for a moment; a process is kept for that, and for half a minute.
            self._idle = not works and (told["number"] == number or not (await self._command("mine_status"))["mining"])
            number = told["number"]
            self._order = told | {"prefix": told["prefix"].hex()} if works else {"number": number}
            self._rate = None if self._idle else self._rate
            self._changed.set()
            self._changed = trio.Event()

    async def work(self) -> None:
        wait_s = _AGAIN_S
        while True:
            while "prefix" not in self._order:
                await self._changed.wait()
            self._did_good = False
            code = await self._process()
            if code is None:
                wait_s = _AGAIN_S
                continue
            wait_s = _AGAIN_S if self._did_good else min(2 * wait_s, _MOST_AGAIN_S)
            log.warning("the mining process ended with exit code %d; another one starts in %.1f s", code, wait_s)
            self._rate = None
            await trio.sleep(wait_s)

    async def _process(self) -> int | None:
        """Its exit code if it ended by itself, None if nothing is to be done any more."""
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", _MODULE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT
        )
        log.info("mining in process %d", process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        ended = False
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give, process.stdin, nursery.cancel_scope)
                await self._hear(process.stdout)
                ended = True
                nursery.cancel_scope.cancel()
            return await process.wait() if ended else None
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
                await process.stdin.aclose()
                await process.stdout.aclose()

    async def _give(self, stdin: trio.abc.SendStream, scope: trio.CancelScope) -> None:
        """Each order; ends all when there was none for long."""
        given = -1
        while not self._idle:
            if self._order["number"] != given:
                given = self._order["number"]
                try:
                    await stdin.send_all(json.dumps(self._order).encode() + b"\n")
                except trio.BrokenResourceError:
                    return  # it has ended, as `_hear` finds
            else:
                await self._changed.wait()
        scope.cancel()

    async def _hear(self, stdout: trio.abc.ReceiveStream) -> None:
        """What it finds, until it ends."""
        rest = b""
        while chunk := await stdout.receive_some():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._did_good = True
                said = json.loads(line)
                if "rate" in said:
                    self._rate = said["rate"]
                else:
                    await self._command("mine_found", **said)

    async def _command(self, command: str, **args: Any) -> Any:
        return await self.node.command("app", app=Chain.name, command=command, args=args)
