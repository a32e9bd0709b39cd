"""--help of every command: there, with an example, and as it was when it was last looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from p2pnode.cli.main import LAZY, cli, run_line
from tests.cli import golden
from tests.cli.conftest import Run


def _commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    ctx = click.Context(group)
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


#: Without other plug-ins: another distribution may be installed beside this one.
ALL = [path for path in _commands(cli, ()) if path[0] in {*LAZY, "chain", "files"}]


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_help(run: Run, path: tuple[str, ...]) -> None:
    ran = run(*path, "--help")
    assert (ran.code, ran.err) == (0, "")
    golden.check("help-" + ("-".join(path) or "p2pnode"), ran.out)


@pytest.mark.parametrize("path", ALL)
def test_help_has_an_example(run: Run, path: tuple[str, ...]) -> None:
    assert "Example:\n  " in run(*path, "--help").out


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_help_fits_into_80_columns(run: Run, path: tuple[str, ...]) -> None:
    assert max(len(line) for line in run(*path, "--help").out.splitlines()) <= 80


def test_list_of_commands_agrees_with_their_own_help() -> None:
    ctx = click.Context(cli)
    for name in LAZY:
        command = cli.get_command(ctx, name)
        assert command is not None
        assert command.name == name
        assert command.help


def test_empty_line_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line([]) == 0
    assert "Daily:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "meant"),
    [(("stats",), "p2pnode status"), (("dht", "gte"), "p2pnode dht get"), (("peers", "lsit"), "p2pnode peers list")],
)
def test_did_you_mean(run: Run, line: tuple[str, ...], meant: str) -> None:
    ran = run(*line)
    assert ran.code == 2
    assert re.search(rf"^  did you mean +{meant}$", ran.err, re.MULTILINE)


def test_unknown_option_names_the_one_that_is_near(run: Run) -> None:
    ran = run("dht", "put", "x", "--profil", "cheap")
    assert ran.code == 2
    assert "--profile" in ran.err
    assert "p2pnode dht put --help" in ran.err
