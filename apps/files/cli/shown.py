"""`p2pnode files list` and `status`: what is shared and fetched here."""

from __future__ import annotations

from typing import Any

import click

from apps.files.cli.asking import ShareName, ask, name_of, percent, short, total
from p2pnode.api import Session
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, cut, duration, print_fields, print_json, print_table, say
from p2pnode.ui.sizes import rate_text, size_text

#: Columns that are left for a name in a table of 80.
_NAME = 23
_RIGHT = ("SIZE", "PEERS", "DOWN/S", "UP/S")


@click.command("list", epilog=examples("p2pnode files list", "p2pnode files list --json | jq -r .id"))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a share and line.")
@click.pass_obj
def list_shares(session: Session, as_json: bool) -> None:
    """List what this node shares and fetches: those under way first, then by name."""
    shares = sorted(ask(session, "list", {}), key=lambda one: (one["state"] == "complete", name_of(one).casefold()))
    if as_json:
        for one in shares:
            print_json({"v": 1} | one | {"state": state_of(one)})
        return
    rows = [
        (short(one["id"]), cut(name_of(one), _NAME), size_text(one["size"]), _state(one), one["peers"],
         _rate(one["down_per_s"]), _rate(one["up_per_s"]))
        for one in shares
    ]  # fmt: skip
    print_table(("ID", "NAME", "SIZE", "STATE", "PEERS", "DOWN/S", "UP/S"), rows, right=_RIGHT)
    if not shares:
        say(f"nothing is shared here; share something:   {session.command('files share PATH')}")
    elif total(shares, "down_per_s") or total(shares, "up_per_s"):
        say(f"down {rate_text(total(shares, 'down_per_s'))}, up {rate_text(total(shares, 'up_per_s'))}")


def state_of(one: dict[str, Any]) -> str:
    """One that was complete and lost files to somebody who changed them has the rest."""
    lacks = one["state"] == "complete" and one["done"] is not None and one["done"] < one["wanted"]
    return "changed" if lacks else str(one["state"])


def _state(one: dict[str, Any]) -> str:
    """Of one under way the percentage alone: `37 %`, `paused 37 %`, `complete`."""
    state = state_of(one)
    if state in ("complete", "finding", "checking") or one["done"] is None:
        return state
    return percent(one) if state == "downloading" else f"{state} {percent(one)}"


def _rate(per_s: int) -> str | None:
    return size_text(per_s) if per_s else None


@click.command(epilog=examples("p2pnode files status 1f0a", "p2pnode files status 1f0a --json | jq .done"))
@click.argument("share", type=ShareName())
@json_option
@click.pass_obj
def status(session: Session, share: str, as_json: bool) -> None:
    """Show one share, by its id, the beginning of that, or its link."""
    one = ask(session, "status", {"share": share})
    if as_json:
        print_json({"v": 1} | one | {"state": state_of(one)})
        return
    print_fields([*_fields(one), *_more(one)])


def _fields(one: dict[str, Any]) -> list[tuple[str, object]]:
    fields: list[tuple[str, object]] = [
        ("name", one["name"]),
        ("id", one["id"]),
        ("state", state_of(one) + (f": {one['trouble']}" if one["trouble"] else "")),
        ("size", None if one["size"] is None else f"{size_text(one['size'])}, {counted(one['files'], 'file')}"),
        ("here", _here(one)),
        ("at", one["path"] or one["folder"]),
        ("peers", f"{one['peers']}, {one['seeds']} of them have all; {one['known']} may have it"),
        ("down", f"{rate_text(one['down_per_s'])}, {size_text(one['downloaded'])} so far from "
                 f"{counted(one['givers'], 'peer')}, {size_text(one['wasted'])} in vain"),
        ("up", f"{rate_text(one['up_per_s'])}, {size_text(one['uploaded'])} so far"),
    ]  # fmt: skip
    if one["only"]:
        fields.insert(4, ("only", ", ".join(one["only"])))
    return fields


def _here(one: dict[str, Any]) -> str | None:
    if one["done"] is None:
        return None
    to_go = one["wanted"] - one["done"]
    left = f", {duration(to_go / one['down_per_s'])} left" if to_go and one["down_per_s"] else ""
    return f"{percent(one)}, {size_text(one['done'])} of {size_text(one['wanted'])}{left}"


def _more(one: dict[str, Any]) -> list[tuple[str, str]]:
    silent = [("not from", f"{peer['peer'][:9]}  {peer['reason']}") for peer in one["silent"]]
    return [*silent, *(("note", note) for note in one["notes"]), ("link", one["link"])]
