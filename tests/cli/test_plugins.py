"""Applications plug in by entry points: commands here, routes of the control API in the node."""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint, EntryPoints

import click
import pytest

from p2pnode.control import routes
from tests.cli.conftest import Run
from tests.support.fake_node import FakeNode


@click.command()
def extra() -> None:
    """Say hello."""
    print("hello")


def _installed(monkeypatch: pytest.MonkeyPatch, *entries: EntryPoint) -> None:
    def entry_points(*, group: str) -> EntryPoints:
        return EntryPoints(entry for entry in entries if entry.group == group)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_command_of_an_application(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, EntryPoint("extra", "tests.cli.test_plugins:extra", "p2pnode.commands"))
    assert run("extra").out == "hello\n"
    assert "Applications:\n  extra" in run("--help").out


def test_command_that_cannot_be_loaded_costs_only_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, EntryPoint("broken", "no.such.module:command", "p2pnode.commands"))
    assert run("--help").code == 0  # the list loads none of them
    ran = run("broken")
    assert ran.code == 1
    assert "cannot be loaded" in ran.err


def test_command_cannot_replace_ours(run: Run, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, EntryPoint("status", "tests.cli.test_plugins:extra", "p2pnode.commands"))
    assert "connected" in run("status").out


async def test_routes_of_an_application(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    import httpx

    def entry_points(*, group: str) -> EntryPoints:
        good = EntryPoint("extra", "tests.cli.test_plugins:extra_routes", group)
        return EntryPoints([good, EntryPoint("broken", "no.such:routes", group)])

    monkeypatch.setattr(routes, "entry_points", entry_points)
    app = routes.build_app(FakeNode())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/v1/extra/hello")
    assert answer.json() == {"v": 1, "network": "p2pnode"}
    assert "the routes of broken cannot be served" in caplog.text


def extra_routes(view: FakeNode):  # type: ignore[no-untyped-def]
    from starlette.routing import Route

    async def hello(_request: object) -> object:
        return routes.answer({"network": view.network})

    return [Route("/hello", hello)]
