"""Applications with a shell of their own in a node: a folder, a task beside it, an end; and what a replay has of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from apps.chain.shell.schema import damaged
from overlay import App, AppContext
from overlay.runtime.ports import SECOND
from p2pnode.api import Opened, RunningNode, Terms
from p2pnode.config import Config
from p2pnode.node import Node, open_node
from p2pnode.parts import SettingError
from p2pnode.paths import Home
from p2pnode.record import Wanted, replay
from tests.node.test_node import config
from tests.support.disk_rig import make_tree


class Note(App):
    """Keeps what it is told in a file of its folder; `wait` ends when the shell says so."""

    name = "note"

    def __init__(self, operations: dict[str, Any]) -> None:
        self.operations = operations

    async def run(self, ctx: AppContext) -> None:
        async def keep(args: dict[str, Any]) -> Any:
            return await ctx.operate("keep", args["text"])

        async def wait(args: dict[str, Any]) -> Any:
            ctx.emit("waiting")
            return await ctx.operate("wait")

        ctx.command("keep", keep)
        ctx.command("wait", wait)


#: What happened to shells of this process.
HAPPENED: list[str] = []


class Shell:
    def bare(self, terms: Terms) -> Note:
        return Note({"keep": None, "wait": None})

    @asynccontextmanager
    async def open(self, folder: Path, terms: Terms) -> AsyncIterator[Opened]:
        leaving = threading.Event()

        def keep(text: str) -> str:
            (folder / "kept").write_text(text)
            return f"{text}, {terms.private}, {terms.bittorrent}, {len(terms.network_id)}"

        async def serve(node: RunningNode) -> None:
            answer = await node.command("app", app="note", command="keep", args={"text": "of serve"})
            HAPPENED.append(f"served: {answer}")
            raise ValueError("on purpose")

        try:
            yield Opened(Note({"keep": keep, "wait": leaving.wait}), serve, leaving.set)
        finally:
            HAPPENED.append("closed")


class Broken(Shell):
    @asynccontextmanager
    async def open(self, folder: Path, terms: Terms) -> AsyncIterator[Opened]:
        raise NotADirectoryError(20, "Not a directory", str(folder))
        yield


class Torn(Shell):
    @asynccontextmanager
    async def open(self, folder: Path, terms: Terms) -> AsyncIterator[Opened]:
        raise damaged(folder / "chain.db", "a row is lost")
        yield


def running(shell: type[Shell]) -> Config:
    return config(files=False, chain=False, apps=(f"{__name__}:{shell.__name__}",))


@pytest.fixture(autouse=True)
def nothing_happened() -> None:
    HAPPENED.clear()


async def test_a_shell_has_a_folder_and_runs_beside_the_node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = Home(tmp_path / "a")
    async with open_node(home, running(Shell)) as node:
        with trio.fail_after(30):
            while not caplog.records:  # what it raises ends it alone
                await trio.lowlevel.checkpoint()
        assert "beside application note" in caplog.text
        assert await ask(node, "keep", text="x") == "x, False, True, 32"
    assert HAPPENED == ["served: of serve, False, True, 32", "closed"]
    assert (home.app_folder("note") / "kept").read_text() == "x"
    assert home.app_folder("note").stat().st_mode & 0o777 == 0o700


async def test_what_takes_long_ends_when_the_node_leaves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A thread cannot be cancelled: without `leave` the node would wait for it."""
    caplog.set_level(logging.CRITICAL)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, open_node(Home(tmp_path / "a"), running(Shell)) as node:
            with node.subscribe() as events:
                nursery.start_soon(_waits, node)
                async for event in events:
                    if getattr(event, "name", "") == "waiting":
                        break
    assert HAPPENED[-1] == "closed"


async def _waits(node: Node) -> None:
    from p2pnode.driver import CommandFailed

    try:
        await ask(node, "wait")
    except CommandFailed:
        pass  # the node was gone first


async def test_a_shell_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be started") as failed:
        async with open_node(Home(tmp_path / "a"), running(Broken)):
            pass
    assert failed.value.facts["app"].endswith("Broken")
    assert "Not a directory" in failed.value.facts["reason"]


async def test_what_is_wrong_with_a_chain_is_told_in_lines(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be started") as failed:
        async with open_node(Home(tmp_path / "a"), running(Torn)):
            pass
    facts = failed.value.facts
    assert (facts["what"], facts["reason"]) == ("the chain is damaged", "a row is lost")
    assert list(facts)[-1] == "start afresh"


@pytest.mark.parametrize("name", ["..", ".", "a b", "CON", "\N{OGHAM LETTER BEITH}"])
def test_no_name_leaves_the_home(tmp_path: Path, name: str) -> None:
    folder = Home(tmp_path).app_folder(name)
    assert folder.parent == tmp_path / "apps"
    assert folder.name not in ("", ".", "..")


async def test_a_node_that_shares_files_can_be_replayed(tmp_path: Path) -> None:
    """Results of the disk are recorded; what pure functions gave that is no plain data is computed again."""
    tree = make_tree(tmp_path / "tree", {"a": b"a" * 300_000, "b/c": b"c"})
    file = tmp_path / "node.rec"
    async with (
        open_node(Home(tmp_path / "a"), config(), record=Wanted(file)) as node,
        open_node(Home(tmp_path / "b"), config(join=(node.ticket,))) as other,
    ):
        shared = await ask(node, "share", app="files", path=str(tree))
        with other.subscribe() as events, trio.fail_after(60):
            await ask(other, "get", app="files", link=shared["link"], folder=str(tmp_path / "out"))
            async for event in events:
                if getattr(event, "name", "") == "complete":
                    break
    verdict = replay(file)
    assert verdict.difference is None, verdict.difference
    assert (verdict.ended, verdict.damage) == ("the node ended", None)
    assert verdict.made_by["apps"] == ["files", "chain"]
    assert verdict.duration_s < 3600 * SECOND


async def ask(node: Node, command: str, /, *, app: str = "note", **args: Any) -> Any:
    return await node.command("app", app=app, command=command, args=args)
