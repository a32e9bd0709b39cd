"""`p2pnode files pause`, `resume`, `remove` and `limit`."""

from __future__ import annotations

from typing import Any

import click

from apps.files.cli.asking import ShareName, ask, name_of, percent
from p2pnode.api import Session
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import one_line, print_fields, print_json, say
from p2pnode.ui.sizes import Rate, rate_text


@click.command(epilog=examples("p2pnode files pause 1f0a", "p2pnode files resume 1f0a"))
@click.argument("share", type=ShareName())
@json_option
@click.pass_obj
def pause(session: Session, share: str, as_json: bool) -> None:
    """Neither fetch nor give anything of a share, until it is resumed."""
    _tell("paused ", ask(session, "pause", {"share": share}), as_json=as_json)


@click.command(epilog=examples("p2pnode files resume 1f0a", "p2pnode files list --json | jq -r .id"))
@click.argument("share", type=ShareName())
@json_option
@click.pass_obj
def resume(session: Session, share: str, as_json: bool) -> None:
    """Go on with a share that was paused, had no room on the disk, or had failed."""
    _tell("resumed", ask(session, "resume", {"share": share}), as_json=as_json)


def _tell(what: str, one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"v": 1} | one)
    else:
        far = "" if one["done"] is None else f"  {percent(one)}"  # as long as nobody has looked, nobody knows
        print(f"{what}  {one_line(name_of(one))}{far}", flush=True)


@click.command(epilog=examples("p2pnode files remove 1f0a", "p2pnode files remove 1f0a --erase"))
@click.argument("share", type=ShareName())
@click.option("--erase", is_flag=True, help="Delete what was fetched; never what was shared from here.")
@json_option
@click.pass_obj
def remove(session: Session, share: str, erase: bool, as_json: bool) -> None:
    """Forget a share: nobody can fetch it from here any more. Its files stay, unless --erase is said."""
    one = ask(session, "status", {"share": share})
    answer = ask(session, "remove", {"share": one["id"], "erase": erase})
    if as_json:
        print_json({"v": 1} | answer)
        return
    print(f"removed  {one_line(name_of(one))}", flush=True)
    if one["path"] and not answer["erased"]:
        say(f"its files stay: {one_line(one['path'])}")


@click.command(epilog=examples("p2pnode files limit", "p2pnode files limit --up 2M --down none"))
@click.option("--up", type=Rate(), metavar="RATE", help="2M, 500k, 1.5M: bytes per second; none.")
@click.option("--down", type=Rate(), metavar="RATE", help="The same for what is fetched.")
@json_option
@click.pass_obj
def limit(session: Session, up: int | None, down: int | None, as_json: bool) -> None:
    """Show how fast files may be sent and fetched, all shares together, or set it. It is kept over restarts."""
    limits = ask(session, "limit", {name: rate for name, rate in (("up", up), ("down", down)) if rate is not None})
    if as_json:
        print_json({"v": 1} | limits)
    else:
        print_fields([(name, rate_text(rate) if rate else "no limit") for name, rate in limits.items()])
