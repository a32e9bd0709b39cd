"""A fake node behind a real control socket, in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio

from p2pnode import api
from p2pnode.control.server import serve
from tests.support.fake_node import FakeNode


@contextmanager
def serving(home: Path) -> Iterator[tuple[FakeNode, trio.lowlevel.TrioToken]]:
    """The token is for other threads that have something done there (trio.from_thread)."""
    ready = threading.Event()
    made: list[tuple[FakeNode, trio.lowlevel.TrioToken, trio.CancelScope]] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            fake = FakeNode()
            await nursery.start(partial(serve, fake, home / api.SOCKET_NAME))
            made.append((fake, trio.lowlevel.current_trio_token(), nursery.cancel_scope))
            ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    assert ready.wait(30)
    fake, token, scope = made[0]
    try:
        yield fake, token
    finally:
        token.run_sync_soon(scope.cancel)
        thread.join()
