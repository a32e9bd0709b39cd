"""`p2pnode files get`: has the node fetch a share, and stays until it is there."""

from __future__ import annotations

import os
import shlex
import time
from typing import Any

import click

from apps.files.cli.asking import ask, name_of, parsed, say_notes, short
from apps.files.cli.fetch import Fetch
from apps.files.cli.progress import shown
from p2pnode.api import Session
from p2pnode.ui.fail import fail
from p2pnode.ui.numbers import FiniteRange
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, duration, one_line, print_json, say
from p2pnode.ui.sizes import rate_text, size_text

_TORRENT = ".torrent"


@click.command(
    epilog=examples(
        "p2pnode files get 'magnet:?xt=urn:btmh:1220…' -o ~/Downloads",
        "p2pnode files get LINK --only '*.flac' --only cover.jpg",
        "p2pnode files get album.torrent --timeout 600 --json | jq -r .path",
    )
)
@click.argument("link", metavar="LINK|ID|FILE.torrent")
@click.option("-o", "folder", type=click.Path(file_okay=False), default=".", metavar="DIR", help="Where to; else here.")
@click.option("--only", multiple=True, metavar="GLOB", help="Files of these names or folders alone. May be repeated.")
@click.option("--timeout", type=FiniteRange(0, min_open=True), metavar="SECONDS", help="Give up after this long.")
@json_option
@click.pass_obj
def get(
    session: Session, link: str, folder: str, only: tuple[str, ...], timeout: float | None, as_json: bool
) -> None:  # fmt: skip
    """Fetch what LINK names into DIR, from everybody who has it, and verify every byte.

    Ctrl-C, a time-out and an error pause it; the same command goes on where it was. If the terminal is closed the node
    goes on alone. Quote the link: it has an &. While it is fetched it is called NAME.part; afterwards this node shares
    it, until `p2pnode files remove`.

    Exit codes: 0 fetched, 5 all who had it sent what is wrong, 6 nobody who has it was reached, or --timeout.
    """
    where = _checked(os.path.realpath(folder))
    args: dict[str, Any] = {"folder": where, "only": list(only)} | _named(link)
    began = time.monotonic()
    share = ask(session, "get", args)
    fetch = Fetch(session, share, began, timeout)
    was_there = share["state"] == "complete" or share["again"]
    # What has changed or is gone need not be copied from where it was; but nothing more is fetched to there.
    last = share["again"] and not only
    if not last:
        _check_place(session, share, where)
    with shown(name_of(share), quiet=as_json) as progress:
        share = fetch.run(progress)
    if last:
        _check_place(session, share, where)
    seconds = time.monotonic() - began
    if as_json:
        print_json(
            {
                "v": 1, "path": share["path"], "size": share["wanted"], "seconds": round(seconds, 3),
                "sources": share["givers"], "wasted_bytes": share["wasted"], "notes": share.get("notes", []),
            }
        )  # fmt: skip
        return
    say_notes(session, share)
    print(f"fetched  {one_line(name_of(share))}  {size_text(share['wanted'])}   {one_line(share['path'])}", flush=True)
    if was_there or not (share["downloaded"] or share["zeros"]):
        say("it was there already")
        return
    wasted = f", {size_text(share['wasted'])} came in vain" if share["wasted"] else ""
    wasted += f", {size_text(share['zeros'])} are holes" if share["zeros"] else ""
    rate = rate_text(round(share["downloaded"] / max(seconds, 0.001)))
    say(f"in {duration(seconds)}, {rate} from {counted(share['givers'], 'peer')}{wasted}")


def _named(text: str) -> dict[str, str]:
    if text.lower().endswith(_TORRENT) and not text.lower().startswith("magnet:"):
        if not os.path.isfile(text):
            fail("there is no such file", code="usage", file=text)
        return {"torrent": os.path.abspath(text)}
    parsed(text)
    return {"link": text.strip()}


def _checked(folder: str) -> str:
    """One that can be written to, or be made. Before anybody is asked: who has the share may be found hours later."""
    at = folder
    while not os.path.lexists(at):
        at = os.path.dirname(at)
    if not os.path.isdir(at):
        fail("this is not a folder", code="usage", path=at)
    if not os.access(at, os.W_OK | os.X_OK):
        fail("nothing can be written into this folder", code="usage", folder=at, another="-o DIR")
    return folder


def _check_place(session: Session, share: dict[str, Any], where: str) -> None:
    """One share lies at one place; it may be there since long, for somebody else."""
    at = share["folder"]
    if not at or os.path.realpath(at) == where:
        return
    name, id = name_of(share), short(share["id"])
    if share["state"] == "complete" or share.get("again"):
        copy = shlex.join(["cp", "-a", share["path"] or os.path.join(at, name), where])
        fail(f"{one_line(name)} is here already, in another folder", folder=at, copy_it=copy,
             or_forget_that_one=session.command(f"files remove {id}"))  # fmt: skip
    fail(f"{one_line(name)} is being fetched into another folder", folder=at, see=session.command(f"files status {id}"),
         or_forget_that_one=session.command(f"files remove {id} --erase"))  # fmt: skip
