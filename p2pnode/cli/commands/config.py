"""`p2pnode config`: which settings `run` would take and where they come from; where the files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.render import counted, print_fields, print_json, say


@click.group(epilog=examples("p2pnode config show", "p2pnode config check"))
def config() -> None:
    """Show and check settings, list files.

    Later wins: defaults, node.toml in the home, environment (P2PNODE_NETWORK_NAME), command line of `run`.
    """


@config.command(epilog=examples("p2pnode config show", "p2pnode config show --defaults > node.toml"))
@click.option("--defaults", is_flag=True, help="A commented sample with every setting at its default.")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Another file than the home's node.toml.")
@json_option
@pass_session
def show(session: Session, defaults: bool, file: Path | None, as_json: bool) -> None:
    """Print what the next `run` takes from defaults, file and environment, and where each comes from."""
    from p2pnode.config import OPTIONS, Config, value_at
    from p2pnode.config_load import load
    from p2pnode.config_text import as_toml, defaults_text

    if defaults and not as_json:
        print(defaults_text(), end="")
        return
    settings = Config() if defaults else load(session.home, file=file)
    if not as_json:
        print(as_toml(settings), end="")
        if not defaults and session.node().is_alive():
            say(f"a node is running, perhaps with options of its own: {session.command('status')}")
        return
    values = {path: _plain(value_at(settings, path)) for path in OPTIONS}
    print_json({"v": 1, "settings": values, "sources": dict(settings.sources)})


@config.command(epilog=examples("p2pnode config check", "p2pnode config check ./node.toml"))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@json_option
@pass_session
def check(session: Session, file: Path | None, as_json: bool) -> None:
    """Check a settings file (by default the home's): every unknown key and wrong value, with its path."""
    from p2pnode.config_load import load
    from p2pnode.parts import make_parts

    settings = load(session.home, file=file)
    make_parts(settings)
    given = len(settings.sources)
    if as_json:
        print_json({"v": 1, "ok": True, "given": given})
    else:
        say(f"ok: {counted(given, 'setting')} given, the rest at default")


@config.command(epilog=examples("p2pnode config paths", "p2pnode config paths --json | jq -r .key"))
@json_option
@pass_session
def paths(session: Session, as_json: bool) -> None:
    """Print where the files of this home are, whether they exist or not."""
    files = session.home.files()
    if as_json:
        print_json({"v": 1} | {label: str(path) for label, path in files.items()})
    else:
        print_fields([(label, str(path)) for label, path in files.items()])


def _plain(value: Any) -> Any:
    match value:
        case Path():
            return str(value)
        case tuple():
            return list(value)
    return value
