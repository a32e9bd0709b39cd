"""An application that speaks a protocol of others on plain streams: a greeting of 20 bytes, then frames, echoed."""

from __future__ import annotations

import hashlib
from typing import Any

import attrs

from overlay import App, AppContext
from overlay.errors import Refused
from overlay.runtime.address import parse_address
from overlay.runtime.ports import SECOND
from overlay.streams import Plain

FIRST = b"\x13"
GREETING = FIRST + b"BitTorrent protocol"
BLOCK = 16 * 1024


def block(number: int) -> bytes:
    return hashlib.shake_128(number.to_bytes(4, "big")).digest(BLOCK)


async def say(stream: Plain, message: bytes) -> None:
    await stream.send(len(message).to_bytes(4, "big") + message)


@attrs.define(eq=False)
class Plainly(App):
    """`swap`: send blocks to an address and look whether the same come back. A handler does what `failing` says."""

    failing: str = ""
    ctx: AppContext | None = None
    name = "plainly"

    async def run(self, ctx: AppContext) -> None:
        self.ctx = ctx
        ctx.accept_plain(FIRST, self.echo)
        ctx.command("swap", self.swap)
        ctx.command("greet", self.greet)

    async def echo(self, stream: Plain) -> None:
        await stream.send(await stream.read(len(GREETING)))
        match self.failing:
            case "refuse":
                raise Refused("not today")
            case "raise":
                raise ZeroDivisionError("a bug")
            case "return":
                return
        while True:
            await say(stream, await stream.read_frame(BLOCK))

    async def swap(self, args: dict[str, Any]) -> Any:
        assert self.ctx is not None
        stream = await self.greeted(args["to"])
        blocks = [block(number) for number in range(args["blocks"])]

        async def speak() -> None:
            for one in blocks:
                await say(stream, one)

        self.ctx.spawn(speak(), name="speak")
        same = all([await stream.read_frame(BLOCK) == one for one in blocks])
        stream.close()
        return [same, stream.received]

    async def greet(self, args: dict[str, Any]) -> Any:
        """How a stream ends on which nothing more is said."""
        assert self.ctx is not None
        stream = await self.greeted(args["to"])
        await self.ctx.sleep(SECOND)
        stream.close()
        assert stream.ended is not None
        return str(stream.ended)

    async def greeted(self, to: str) -> Plain:
        assert self.ctx is not None
        stream = await self.ctx.connect_plain(parse_address(to))
        await stream.send(GREETING)
        assert await stream.read(len(GREETING)) == GREETING
        return stream
