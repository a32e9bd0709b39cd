"""`p2pnode peers`: who is there, one of them in full, a signed round trip."""

from __future__ import annotations

import time
from typing import Any

import click

from p2pnode.cli import arguments
from p2pnode.cli.hints import how_to_join
from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import Exit, Fail, fail
from p2pnode.ui.numbers import FiniteRange
from p2pnode.ui.render import duration, milliseconds, print_fields, print_json, print_table, say, short_id


@click.group(invoke_without_command=True, epilog=examples("p2pnode peers", "p2pnode peers ping n7xk"))
@json_option
@click.pass_context
def peers(ctx: click.Context, as_json: bool) -> None:
    """List, show and ping peers; alone it lists them."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_peers, as_json=as_json)


@peers.command("list", epilog=examples("p2pnode peers list", "p2pnode peers list --json | jq -r .id"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a peer and line.")
@pass_session
def list_peers(session: Session, as_json: bool) -> None:
    """List the peers that answered this node with their signature."""
    found = session.node().call("GET", "/v1/peers")["peers"]
    if as_json:
        for peer in found:
            print_json({"v": 1} | peer)
        return
    rows = [
        (
            short_id(peer["id"]),
            peer["address"],
            milliseconds(peer["rtt_ms"]),
            duration(peer["last_seen_s"]),
            peer["role"],
            peer["score"],
        )
        for peer in found
    ]
    print_table(("ID", "ADDRESS", "RTT", "SEEN", "ROLE", "SCORE"), rows, right=("RTT", "SEEN", "SCORE"))
    if not found:
        status = session.node().call("GET", "/v1/status")
        say(f"no peer answers; {how_to_join(status['ticket'], status['listen'])}")


@peers.command(epilog=examples("p2pnode peers show n7xk", "p2pnode peers show n7xk-4qfa --json"))
@click.argument("peer", metavar="ID")
@json_option
@pass_session
def show(session: Session, peer: str, as_json: bool) -> None:
    """Show all that is known of one peer; a unique prefix of its id will do."""
    wanted = arguments.node_id(peer)
    node = session.node()
    known = node.call("GET", "/v1/peers")["peers"]
    if not _having(wanted, known) and _having(wanted, [node.call("GET", "/v1/status")]):
        fail(f"{peer} is this node itself", code="usage", look=session.command("id show"))
    found = _the_one(wanted, known)
    buckets = node.call("GET", "/v1/dht/table")["buckets"]
    in_table = next(
        ({"depth": bucket["depth"]} | contact for bucket in buckets for contact in bucket["contacts"]
         if contact["id"] == found["id"]),
        None,
    )  # fmt: skip
    if as_json:
        table = None if in_table is None else {key: in_table[key] for key in ("depth", "failures", "since_s")}
        print_json({"v": 1} | found | {"table": table})
        return
    where = "no" if in_table is None else f"depth {in_table['depth']}, {in_table['failures']} failures"
    print_fields(
        [
            ("id", found["id"]),
            ("address", found["address"]),
            ("round trip", milliseconds(found["rtt_ms"])),
            ("last seen", f"{duration(found['last_seen_s'])} ago"),
            ("role", found["role"]),
            ("score", found["score"]),
            ("in the table", where),
        ]
    )


def _the_one(prefix: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    matching = _having(prefix, found)
    if not matching:
        fail(f"no peer is known by {prefix}", code="not_found", look="p2pnode peers")
    if len(matching) > 1:
        ids = "\n".join(peer["id"] for peer in matching[:5])
        fail(f"{len(matching)} peers begin with {prefix}", code="usage", they_are=ids, type="more letters")
    return matching[0]


def _having(prefix: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from overlay.identity import base32

    letters = base32.normalise(prefix)
    return [peer for peer in found if base32.normalise(peer["id"]).startswith(letters)]


@peers.command(epilog=examples("p2pnode peers ping n7xk", "p2pnode peers ping 192.0.2.7:4433 --count 10 --json"))
@click.argument("peer", metavar="ID|ADDRESS")
@click.option("--count", default=3, show_default=True, type=click.IntRange(1, 100_000), help="How many.")
@click.option("--interval", default=0.2, show_default=True, type=FiniteRange(0, 3600), help="Seconds between.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a ping and line.")
@pass_session
def ping(session: Session, peer: str, count: int, interval: float, as_json: bool) -> int:
    """Time signed round trips to a peer. Exit code 6 if none of them was answered."""
    wanted = arguments.peer(peer)
    node = session.node()
    times: list[float] = []
    failure: Fail | None = None
    for number in range(1, count + 1):
        if number > 1:
            time.sleep(interval)
        try:
            answer = node.call("POST", "/v1/peers/ping", {"peer": wanted})
        except Fail as error:
            if error.code != "timed_out":
                raise
            failure = error
            if as_json:
                lost = {"code": error.code, "message": error.what, "facts": error.facts}
                print_json({"v": 1, "seq": number, "id": None, "address": None, "rtt_ms": None, "error": lost})
            else:
                print(f"{number}  no answer")
            continue
        times.append(answer["rtt_ms"])
        if as_json:
            print_json({"v": 1, "seq": number, **{key: answer[key] for key in ("id", "address", "rtt_ms")}})
        else:
            print(f"{number}  {short_id(answer['id'])}  {answer['address']}  {milliseconds(answer['rtt_ms'])}")
    if not times:
        if as_json or failure is None:  # the lines above have said it
            return Exit.TIMED_OUT
        asked = "the ping" if count == 1 else f"any of {count} pings"
        fail(f"{peer} did not answer {asked}", code="timed_out", look="p2pnode doctor")
    if not as_json:
        times.sort()
        middle = times[len(times) // 2]
        spread = f"{times[0]:.1f} / {middle:.1f} / {times[-1]:.1f} ms (least, middle, most)"
        say(f"{len(times)} of {count} answered, {spread}")
    return Exit.OK
