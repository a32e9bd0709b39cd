"""`p2pnode swarm run --app`: the application runs, or it is said what is wrong with its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

SMALL = "duration_s = 20\n[population]\nnodes = 4\narrive_s = 2\n[[workload]]\n" + "\n".join(
    ['kind = "app-command"', 'app = "chat"', 'command = "say"', "count = 3", "from_s = 8", "within_s = 5"]
)


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return str(path)


@pytest.mark.parametrize("app", ["chat", "apps.chat.core:Chat"])
def test_an_application_is_run_by_every_node(run: Run, scenario: str, app: str) -> None:
    ran = run("swarm", "run", scenario, "--app", app, "--json")
    measures = json.loads(ran.out.splitlines()[-1])["measures"]
    assert (ran.code, measures["chat.said"], measures["chat.say_success"]) == (0, 12, 1)


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("chatt", "population.apps: no application 'chatt': expected package.module:Class, or one of these: chain"),
        ("no.such:App", "population.apps: application no.such:App cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_an_application_that_cannot_be_had_is_named(run: Run, scenario: str, app: str, told: str) -> None:
    ran = run("swarm", "run", scenario, "--app", app)
    assert ran.code == 2
    assert told in ran.err.replace("\n", " ")
