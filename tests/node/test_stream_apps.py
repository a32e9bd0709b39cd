"""An application that talks over streams, in nodes on loopback; one of them is recorded and replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from overlay import App, AppContext
from overlay.streams import Stream
from p2pnode.node import open_node
from p2pnode.paths import Home
from p2pnode.record import Wanted, replay
from tests.node.test_node import config, seen

PART = 256 * 1024
SWAP = f"{__name__}:Swap"


class Swap(App):
    """Echoes what comes on a stream; sends parts and looks whether the same came back."""

    name = "swap"

    async def run(self, ctx: AppContext) -> None:
        async def echo(stream: Stream) -> None:
            while True:
                await stream.send(await stream.receive())

        async def swap(args: dict[str, Any]) -> Any:
            stream = await ctx.connect(args["to"])
            sent = [bytes([number]) * PART for number in range(args["parts"])]

            async def say() -> None:
                for part in sent:
                    await stream.send(part)

            ctx.spawn(say())
            same = all([await stream.receive() == part for part in sent])
            stream.close()
            return [same, stream.received]

        ctx.accept(echo)
        ctx.command("swap", swap)


async def settled(node: Any) -> dict[str, int]:
    """What is left once the other side has said goodbye, too."""
    streams = node.driver.peer.streams
    with trio.fail_after(20):
        while any(streams.figures().values()):  # noqa: ASYNC110
            await trio.sleep(0.02)
    return streams.figures()  # type: ignore[no-any-return]


async def test_a_recorded_node_takes_streams_and_replays(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    async with open_node(Home(tmp_path / "a"), config(apps=(SWAP,)), record=Wanted(file)) as a:
        with a.subscribe() as events:
            async with open_node(Home(tmp_path / "b"), config(apps=(SWAP,), join=(a.ticket,))) as b:
                await seen(events, b)
                args = {"to": a.driver.peer._core.id, "parts": 3}
                with trio.fail_after(20):
                    assert await b.command("app", app="swap", command="swap", args=args) == [True, 3 * PART]
                await settled(b)
    verdict = replay(file)
    assert verdict.difference is None
    assert verdict.inputs["stream"] > 10
