"""Hashing takes turns in a node: reading and writing go on beside it, and it can be stopped."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from apps.files.shell import scan as scanning
from apps.files.shell.hashing import Hashed, Progress
from p2pnode.driver import WORKERS, CommandFailed
from p2pnode.node import Node, open_node
from p2pnode.paths import Home
from tests.node.test_node import config

GO = threading.Event()


async def ask(node: Node, command: str, /, **args: Any) -> Any:
    return await node.command("app", app="files", command=command, args=args)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hashing waits until it is stopped; names of what is being hashed."""
    begun: list[str] = []
    real = scanning.hash_pieces

    def hash_pieces(base: int, pieces: Any, progress: Progress) -> Any:
        begun.append(threading.current_thread().name)
        for hashed in real(base, pieces, Progress()):
            assert isinstance(hashed, Hashed)
            while not GO.wait(0.001):
                progress.advance(0)
            yield hashed

    monkeypatch.setattr(scanning, "hash_pieces", hash_pieces)
    GO.clear()
    return begun


def make(folder: Path, count: int) -> list[str]:
    paths = [folder / f"file {n}" for n in range(count)]
    for n, path in enumerate(paths):
        path.write_bytes(random.Random(n).randbytes(1000))
    return [str(path) for path in paths]


async def share(node: Node, path: str, ended: dict[str, str]) -> None:
    try:
        await ask(node, "share", path=path)
        ended[path] = "shared"
    except CommandFailed as failed:
        ended[path] = failed.message


async def until(condition: Any) -> None:
    with trio.fail_after(60):
        while not await condition():
            await trio.lowlevel.checkpoint()


async def test_what_waits_and_what_is_hashed_can_be_stopped(tmp_path: Path, slow: list[str]) -> None:
    paths, ended = make(tmp_path, WORKERS + 1), dict[str, str]()
    async with open_node(Home(tmp_path / "a"), config()) as node, trio.open_nursery() as nursery:
        for path in paths:
            nursery.start_soon(share, node, path, ended)

        async def two_are_hashed() -> bool:
            in_turn = [await ask(node, "progress", path=path) is not None for path in paths].count(True)
            assert in_turn <= 2
            return len(slow) == in_turn == 2  # a thread may begin a little after it has its turn

        await until(two_are_hashed)  # the answers themselves take a thread: not all of them are busy
        for path in reversed(paths):  # those that wait first
            await ask(node, "stop", path=path)
    assert set(ended) == set(paths)
    assert all("stopped" in text for text in ended.values()), ended


async def test_a_node_that_leaves_does_not_wait_for_hashing(tmp_path: Path, slow: list[str]) -> None:
    (path,) = make(tmp_path, 1)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, open_node(Home(tmp_path / "a"), config()) as node:
            nursery.start_soon(share, node, path, {})

            async def is_hashed() -> bool:
                return bool(slow)

            await until(is_hashed)
    assert os.listdir(Home(tmp_path / "a").app_folder("files")) == []  # of the scan nothing stays


async def test_a_share_is_stopped_by_name_alone(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), config()) as node:
        assert await ask(node, "stop", path="/nothing/there") == {}
        assert await ask(node, "progress", path="/nothing/there") is None
