"""`p2pnode app`: the applications that run in the node, their commands, and what they emit."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import click

from p2pnode.cli.commands.topic import listen
from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import fail
from p2pnode.ui.render import cut, one_line, print_json, print_table, say

#: Columns that are left for them in a table of 80; --json has all.
_COMMANDS = 50


@click.group(epilog=examples("p2pnode run --app chat", "p2pnode app ask chat say text='hello everybody'"))
def app() -> None:
    """Applications of the node: list, ask, and what they emit."""


@app.command("list", epilog=examples("p2pnode app list", "p2pnode app list --json | jq -r .name"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object an application and line.")
@pass_session
def list_apps(session: Session, as_json: bool) -> None:
    """List the applications that run here, and their commands."""
    apps = session.node().call("GET", "/v1/apps")["apps"]
    if as_json:
        for found in apps:
            print_json({"v": 1} | found)
        return
    rows = [(found["name"], cut(", ".join(found["commands"]), _COMMANDS), found["stored"]) for found in apps]
    print_table(("APPLICATION", "COMMANDS", "STORED"), rows, right=("STORED",))
    if not apps:
        say(f"no application runs; start the node with one:   {session.command('run --app NAME')}")


@app.command(epilog=examples("p2pnode app ask chat say text='hello everybody'", "p2pnode app ask counter add by=3"))
@click.argument("name", metavar="APPLICATION")
@click.argument("command")
@click.argument("given", metavar="[KEY=VALUE]...", nargs=-1)
@json_option
@pass_session
def ask(session: Session, name: str, command: str, given: tuple[str, ...], as_json: bool) -> None:
    """Give an application one of its commands. A VALUE is JSON (3, true, [1]), or else text."""
    args = dict(_pair(text) for text in given)
    path = f"/v1/apps/{quote(name, safe='')}/{quote(command, safe='')}"
    answer = session.node().call("POST", path, args)
    if as_json:
        print_json(answer)
        return
    value = answer["answer"]
    print(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        fail(f"not an argument: {text!r}", code="usage", expected="KEY=VALUE, as in text=hello")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _expect(session: Session, name: str) -> None:
    """One that does not run, or has ended, emits nothing: whoever listens to it would wait for ever."""
    running = [found["name"] for found in session.node().call("GET", "/v1/apps")["apps"]]
    if name not in running:
        fail(f"no application {name!r} runs here", code="not_found", there_are=", ".join(running) or "none",
             look=session.command("app list"))  # fmt: skip


@app.command(epilog=examples("p2pnode app events", "p2pnode app events chat --count 1 --json | jq -r .fields.text"))
@click.argument("name", metavar="APPLICATION", required=False)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object an event and line.")
@pass_session
def events(session: Session, name: str | None, count: int | None, as_json: bool) -> None:
    """Print what an application emits as it comes, until Ctrl-C; without a name, all events of the node."""
    query = {} if name is None else {"app": name}
    if name is not None:
        _expect(session, name)
    for event in listen(session, query, count, f"listening to {name or 'all events'}"):
        if as_json:
            print_json(event)
            continue
        fields = event["fields"] if event["event"] == "app_event" else event
        what = f"{event['app']}.{event['name']}" if event["event"] == "app_event" else event["event"]
        told = " ".join(f"{key}={value}" for key, value in fields.items() if key not in ("v", "event"))
        print(one_line(f"{what}  {told}"), flush=True)
