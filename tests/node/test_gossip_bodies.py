"""Messages that go by stream, between nodes on loopback; one of them is recorded and replayed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import trio

from overlay.events import GossipDelivered
from overlay.limits import MAX_LARGE_BODY
from p2pnode.node import open_node
from p2pnode.paths import Home
from p2pnode.record import Wanted, replay
from tests.node.test_node import config, seen


async def heard(events: Any, body: bytes) -> None:
    async for event in events:
        if isinstance(event, GossipDelivered) and event.body == body:
            return


async def known(node: Any) -> None:
    """Until the node knows somebody who subscribes."""
    while not (await node.command("topics"))[0]["mesh"]:  # noqa: ASYNC110
        await trio.sleep(0.02)


async def test_a_recorded_node_gets_the_longest_message_and_replays(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    body = hashlib.shake_128(b"body").digest(MAX_LARGE_BODY)
    async with open_node(Home(tmp_path / "a"), config(), record=Wanted(file)) as a:
        with a.subscribe() as events:
            async with open_node(Home(tmp_path / "b"), config(join=(a.ticket,))) as b:
                await seen(events, b)
                with trio.fail_after(60):
                    for node in (a, b):
                        await node.command("subscribe", topic="news")
                    await known(a)
                    await known(b)
                    assert await b.command("publish", topic="news", body=body) == {"topic": "news", "peers": 1}
                    await heard(events, body)
                    answer = hashlib.shake_128(b"answer").digest(200_000)
                    with b.subscribe() as theirs:
                        await a.command("publish", topic="news", body=answer)
                        await heard(theirs, answer)
    verdict = replay(file)
    assert verdict.difference is None
    assert verdict.inputs["stream"] > 10
