"""Applications in whole nodes on loopback: the shipped chat, and what only a node can do for an application."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from overlay import App, AppContext
from overlay.app import check_apps
from overlay.errors import LocalError
from overlay.events import AppEvent
from p2pnode.driver import CommandFailed
from p2pnode.node import Node, open_node
from p2pnode.parts import load_apps
from p2pnode.paths import Home
from p2pnode.reports import Subscription
from tests.node.test_node import TERMS, config, seen


async def emitted(events: Subscription, name: str) -> dict[str, Any]:
    with trio.fail_after(20):
        async for event in events:
            if isinstance(event, AppEvent) and event.name == name:
                return dict(event.fields)
    raise AssertionError("the node ended")


async def somebody_to_tell(node: Node) -> None:
    """As tests.support.nodes.wait_until: a node reports no event of its meshes."""
    with trio.fail_after(20):
        while not any(topic["mesh"] for topic in await node.command("topics")):  # noqa: ASYNC110
            await trio.sleep(0.02)


@pytest.mark.parametrize("name", ["chat", "apps.chat.core:Chat"])
async def test_two_nodes_chat(tmp_path: Path, name: str) -> None:
    chatting = config(apps=(name,))
    async with open_node(Home(tmp_path / "a"), chatting) as a:
        with a.subscribe() as events:
            async with open_node(Home(tmp_path / "b"), config(apps=(name,), join=(a.ticket,))) as b:
                await seen(events, b)
                await somebody_to_tell(b)
                with a.subscribe() as heard:
                    assert await b.command("app", app="chat", command="say", args={"text": "hello"}) == 1
                    said = await emitted(heard, "said")
                assert said == {"author": b.driver.peer.id, "text": "hello"}  # type: ignore[attr-defined]


def where(n: int) -> tuple[int, bool]:
    return n * n, threading.current_thread() is threading.main_thread()


def broken() -> None:
    raise ValueError("on purpose")


class Worker(App):
    name = "worker"
    functions = {"where": where, "broken": broken}  # noqa: RUF012

    def __init__(self) -> None:
        self.operations = {"read": lambda path: Path(path).read_text()}

    async def run(self, ctx: AppContext) -> None:
        async def compute(args: dict[str, Any]) -> Any:
            return await ctx.compute(args["function"], *args["args"])

        async def read(args: dict[str, Any]) -> Any:
            return await ctx.operate("read", args["path"])

        async def keep(args: dict[str, Any]) -> Any:
            before = ctx.storage.get(b"kept")
            ctx.storage.put(b"kept", args["value"].encode())
            await ctx.storage.committed()
            return before

        for command in (compute, read, keep):
            ctx.command(command.__name__, command)


def ask(node: Node, command: str, **args: Any) -> Any:
    return node.command("app", app="worker", command=command, args=args)


async def test_a_node_computes_operates_and_stores_for_its_applications(tmp_path: Path) -> None:
    running = config(apps=("tests.node.test_apps:Worker",))
    (tmp_path / "text").write_text("what is in the file")
    async with open_node(Home(tmp_path / "a"), running) as node:
        assert await ask(node, "compute", function="where", args=[7]) == (49, False)
        assert await ask(node, "read", path=str(tmp_path / "text")) == "what is in the file"
        with pytest.raises(CommandFailed, match="ValueError: on purpose"):
            await ask(node, "compute", function="broken", args=[])
        with pytest.raises(CommandFailed, match="FileNotFoundError"):
            await ask(node, "read", path=str(tmp_path / "nothing"))
        assert await ask(node, "keep", value="one") is None
    async with open_node(Home(tmp_path / "a"), running) as node:
        assert await ask(node, "keep", value="two") == b"one"


async def test_a_node_without_applications_says_which_there_are(tmp_path: Path) -> None:
    async with open_node(Home(tmp_path / "a"), config(files=False, chain=False)) as node:
        assert await node.command("apps") == []
        with pytest.raises(CommandFailed, match=r"no application 'chat' runs here \(there are: none\)") as failed:
            await node.command("app", app="chat", command="say", args={})
        assert failed.value.code == "not_found"


def test_a_module_in_the_present_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from overlay import App\nclass Mine(App):\n    name = 'mine'\n"
    (tmp_path / "written_just_now.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (loaded,) = load_apps(["written_just_now:Mine"], TERMS)
    assert loaded.app.name == "mine"


def test_names_of_applications_stand_in_paths() -> None:
    class Bad(App):
        name = "a/b"

    with pytest.raises(LocalError, match="without /"):
        check_apps([Bad()])
