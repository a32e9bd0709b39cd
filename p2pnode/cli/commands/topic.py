"""`p2pnode topic`: publish to all who subscribe a topic, and listen."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from functools import partial
from typing import Any

import click

from p2pnode.cli import arguments
from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import fail
from p2pnode.ui.render import counted, one_line, print_json, print_table, say, short_id
from p2pnode.ui.values import to_json


@click.group(epilog=examples("p2pnode topic sub news", "p2pnode topic pub news 'the kettle is on'"))
def topic() -> None:
    """Publish to all who subscribe a topic, and listen.

    Messages have at most 1 MiB and are signed by the node that publishes them. They reach who subscribes at that time;
    what must stay belongs into the DHT.
    """


@topic.command(epilog=examples("p2pnode topic pub news 'the kettle is on'", "date | p2pnode topic pub news -"))
@click.argument("name", metavar="TOPIC")
@click.argument("text", metavar="TEXT|-")
@json_option
@pass_session
def pub(session: Session, name: str, text: str, as_json: bool) -> None:
    """Publish TEXT on a topic; `-` reads it from stdin."""
    body = {"topic": arguments.topic(name), "body": to_json(arguments.body(text))}
    answer = session.node().call("POST", "/v1/topics/publish", body)
    if as_json:
        print_json(answer)
    elif answer["peers"]:
        say(f"sent to {counted(answer['peers'], 'peer')}, which pass it on")
    else:
        say(f"nobody is known who subscribes this topic; on another node:   p2pnode topic sub {shlex.quote(name)}")


@topic.command(epilog=examples("p2pnode topic sub news", "p2pnode topic sub news --count 1 --json | jq -r .body"))
@click.argument("name", metavar="TOPIC")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many messages.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message and line.")
@pass_session
def sub(session: Session, name: str, count: int | None, as_json: bool) -> None:
    """Print the messages of a topic as they come, until Ctrl-C."""
    for event in listen(session, {"topic": arguments.topic(name)}, count, f"listening to {name}"):
        if as_json:
            print_json({key: value for key, value in event.items() if key != "event"})
            continue
        body = event["body"]
        text = f"base64:{body['base64']}" if isinstance(body, dict) else one_line(body)
        print(f"{short_id(event['author'])}  {text}", flush=True)


def listen(session: Session, query: dict[str, str], count: int | None, what: str) -> Iterator[dict[str, Any]]:
    """Events of the node until there were so many; Fail if the node ends before."""
    opened = partial(say, f"{what}; Ctrl-C ends it")
    events = session.node().lines("/v1/events", query=query, opened=opened)
    heard = 0
    for event in itertools.islice(events, count):
        heard += 1
        yield event
    if heard != count:
        fail("the node ended, or sent this listener away", look=session.command("status"))


@topic.command("list", epilog=examples("p2pnode topic list", "p2pnode topic list --json | jq -r .name"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a topic and line.")
@pass_session
def list_topics(session: Session, as_json: bool) -> None:
    """List the topics that this node subscribes or lately published on."""
    topics = session.node().call("GET", "/v1/topics")["topics"]
    if as_json:
        for found in topics:
            print_json({"v": 1} | found)
        return
    rows = [
        (found["name"], "yes" if found["subscribed"] else "no", found["mesh"], found["known"], found["seen"],
         found["dropped"])
        for found in topics
    ]  # fmt: skip
    headers = ("TOPIC", "SUBSCRIBED", "MESH", "KNOWN", "SEEN", "DROPPED")
    print_table(headers, rows, right=headers[2:])
