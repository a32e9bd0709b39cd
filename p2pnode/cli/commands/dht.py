"""`p2pnode dht`: records, providers, lookups and the routing table."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from p2pnode.cli import arguments
from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import fail
from p2pnode.ui.render import counted, cut, duration, milliseconds, print_json, print_table, say, short_id
from p2pnode.ui.values import from_json, readable, to_json

_DAY_S = 24 * 3600
_TTL = arguments.Seconds(most=_DAY_S)


@click.group(epilog=examples("p2pnode dht put hello --name greeting", "p2pnode dht get n7xk-4qfa/greeting"))
def dht() -> None:
    """Store and find records in the whole network.

    A record has one value of at most 832 bytes. Without a name its key is the hash of the value, and it never
    changes; with one it is signed, and only its author can replace it.
    """


@dht.command(
    epilog=examples(
        "p2pnode dht put hello                    its key is the hash of the value",
        "p2pnode dht put hello --name greeting    read by: dht get MY-ID/greeting",
        "date | p2pnode dht put - --name now --ttl 1h",
    )
)
@click.argument("value")
@click.option("--name", help="Sign it and store it under this node's id and this name (at most 32 bytes).")
@click.option("--ttl", type=_TTL, metavar="S", help="Life: seconds, or 90s, 15m, 12h, 1d. Default and most: 1d.")
@click.option(
    "--profile",
    type=click.Choice(["secure", "cheap"]),
    help="secure (default): the whole region around the key, read back; cheap: the 20 closest, one lookup.",
)
@click.option("--cas", type=click.IntRange(min=0), metavar="SEQ", help="Replace only if SEQ is the newest version.")
@json_option
@pass_session
def put(
    session: Session,
    value: str,
    name: str | None,
    ttl: int | None,
    profile: str | None,
    cas: int | None,
    as_json: bool,
) -> None:
    """Store VALUE; `-` reads it from stdin."""
    if cas is not None and name is None:
        fail("--cas needs --name: a record without a name never changes", code="usage")
    body: dict[str, Any] = {
        "value": to_json(arguments.value(value)),
        "name": None if name is None else arguments.record_name(name),
        "ttl_s": ttl,
        "profile": profile,
        "cas": cas,
    }
    answer = session.node().call(
        "POST", "/v1/dht/put", {key: given for key, given in body.items() if given is not None}
    )
    if as_json:
        print_json(answer)
        return
    print(answer["key"])
    say(f"stored by {counted(answer['stored'], 'peer')} in {counted(answer['rpcs'], 'request')}")
    if answer["others"] == 0:
        say("only this node has it; it is put again as soon as others are there")
    if ttl is not None and answer["expires_s"] is None:
        say("it was put without --ttl before, so it is kept; `p2pnode dht forget` ends that")
    elif ttl is not None and answer["expires_s"] > ttl:
        say(f"it was put for longer before, so it is kept for {duration(answer['expires_s'])}")
    say(f"anywhere on the network:\np2pnode dht get {answer['key']}")
    # What a shell needs to spell a control character is not for a terminal.
    if name is not None and name.isprintable():
        where = shlex.quote(f"{short_id(answer['author'])}/{name}")
        say(f"where this node is known:   p2pnode dht get {where}")


@dht.command(
    epilog=examples(
        "p2pnode dht get n7xk-4qfa/greeting     an id may be cut if it is known",
        "p2pnode dht get 5f0c…64 hex digits…e1 --raw > file",
    )
)
@click.argument("what", metavar="KEY|AUTHOR/NAME")
@click.option("--raw", is_flag=True, help="Write the bytes of the value to stdout and nothing else.")
@click.option("--paths", type=click.IntRange(1, 8), help="Disjoint paths of the lookup (default: up to 8).")
@json_option
@pass_session
def get(session: Session, what: str, raw: bool, paths: int | None, as_json: bool) -> None:
    """Find a record, check it and print its value."""
    if raw and as_json:
        fail("--raw and --json exclude each other", code="usage", help="p2pnode dht get --help")
    body: dict[str, Any]
    if "/" in what:
        author, name = arguments.author_and_name(what)
        body = {"author": author, "name": name}
    else:
        body = {"key": arguments.key(what)}
    if paths is not None:
        body["paths"] = paths
    answer = session.node().call("POST", "/v1/dht/get", body)
    if as_json:
        print_json(answer)
        return
    data = from_json(answer["value"])
    if raw:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    text = readable(data)
    if text is None:
        print(f"base64:{to_json(data)['base64']}")  # type: ignore[index]
        say("the value is not text; --raw writes its bytes")
    else:
        print(text)
    signed = f"signed by {short_id(answer['author'])}, version {answer['seq']}; " if "author" in answer else ""
    say(f"{signed}{_agreed(answer['holders'])}, {counted(answer['rpcs'], 'request')}")


def _agreed(holders: int) -> str:
    return "1 holder has it" if holders == 1 else f"{holders} holders agree"


@dht.command(epilog=examples("p2pnode dht lookup n7xk-4qfa-…", "p2pnode dht lookup KEY --json | jq .hops"))
@click.argument("key", metavar="KEY|ID")
@json_option
@pass_session
def lookup(session: Session, key: str, as_json: bool) -> None:
    """List the nodes closest to a key, nearest first."""
    target = arguments.key(key) if arguments.is_key(key) else _whole_id(key)
    answer = session.node().call("POST", "/v1/dht/lookup", {"key": target})
    if as_json:
        print_json(answer)
        return
    for node in answer["closest"]:
        print(node)
    figures = [(len(answer["closest"]), "node"), *((answer[f"{noun}s"], noun) for noun in ("rpc", "hop", "path"))]
    say(", ".join(counted(number, noun) for number, noun in figures))


def _whole_id(text: str) -> str:
    from overlay.errors import LocalError
    from overlay.identity.node_id import parse_id

    try:
        parse_id(text)
    except LocalError as error:
        fail(str(error), code="usage", expected="a key of 64 hex digits or a whole id")
    return text


@dht.command(epilog=examples("p2pnode dht provide KEY", "p2pnode dht provide KEY --ttl 1h"))
@click.argument("key")
@click.option("--ttl", type=_TTL, metavar="S", help="Life: seconds, or 90s, 15m, 12h, 1d. Default and most: 1d.")
@json_option
@pass_session
def provide(session: Session, key: str, ttl: int | None, as_json: bool) -> None:
    """Announce that this node has what KEY names."""
    body: dict[str, Any] = {"key": arguments.key(key)}
    if ttl is not None:
        body["ttl_s"] = ttl
    answer = session.node().call("POST", "/v1/dht/provide", body)
    if as_json:
        print_json(answer)
    else:
        say(f"announced at {counted(answer['stored'], 'peer')} in {counted(answer['rpcs'], 'request')}")


@dht.command(epilog=examples("p2pnode dht providers KEY", "p2pnode dht providers KEY --json | jq .providers"))
@click.argument("key")
@json_option
@pass_session
def providers(session: Session, key: str, as_json: bool) -> None:
    """List who announced to have what KEY names."""
    answer = session.node().call("GET", "/v1/dht/providers", query={"key": arguments.key(key)})
    if as_json:
        print_json(answer)
        return
    rows = [(short_id(found["id"]), found["address"], duration(found["expires_s"])) for found in answer["providers"]]
    print_table(("ID", "ADDRESS", "EXPIRES IN"), rows)


@dht.command(epilog=examples("p2pnode dht table", "p2pnode dht table --json | jq '.buckets | length'"))
@json_option
@pass_session
def table(session: Session, as_json: bool) -> None:
    """Show the routing table, bucket by bucket; depth counts the bits shared with this node."""
    answer = session.node().call("GET", "/v1/dht/table")
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            bucket["depth"],
            short_id(contact["id"]),
            contact["address"],
            milliseconds(contact["rtt_ms"]),
            contact["failures"],
            duration(contact["since_s"]),
        )
        for bucket in answer["buckets"]
        for contact in bucket["contacts"]
    ]
    print_table(("DEPTH", "ID", "ADDRESS", "RTT", "FAILURES", "SINCE"), rows, right=("DEPTH", "RTT", "FAILURES"))
    say(f"{counted(len(rows), 'contact')} in {counted(len(answer['buckets']), 'bucket')}")


@dht.command(epilog=examples("p2pnode dht own"))
@json_option
@pass_session
def own(session: Session, as_json: bool) -> None:
    """List the records that this node publishes again until they expire."""
    answer = session.node().call("GET", "/v1/dht/own")
    if as_json:
        print_json(answer)
        return
    rows = [
        (r["key"][:16] + "…", r["kind"], cut(_name(r["name"]), _NAME_COLUMNS), r["seq"], duration(r["expires_s"]))
        for r in answer["records"]
    ]
    print_table(("KEY", "KIND", "NAME", "VERSION", "EXPIRES IN"), rows, right=("VERSION",))


#: What the other columns leave of 80; a version is a time in milliseconds.
_NAME_COLUMNS = 23


def _name(name: str | dict[str, str] | None) -> str:
    return f"base64:{name['base64']}" if isinstance(name, dict) else name or "-"


@dht.command(epilog=examples("p2pnode dht forget greeting", "p2pnode dht forget KEY"))
@click.argument("what", metavar="KEY|NAME")
@json_option
@pass_session
def forget(session: Session, what: str, as_json: bool) -> None:
    """Publish a record or an announcement no longer.

    Copies live until they expire, a day at most; what is named can be replaced at once: dht put - --name NAME.
    """
    body = {"key": what.lower()} if arguments.is_key(what) else {"name": arguments.record_name(what)}
    answer = session.node().call("POST", "/v1/dht/forget", body)
    if as_json:
        print_json(answer)
        return
    say(f"withdrawn: {', '.join(answer['withdrawn'])} {answer['key']}")
    say("copies of it live until they expire, a day at most")
