"""`p2pnode files export`: a share as a .torrent file, for programs of BitTorrent."""

from __future__ import annotations

import os
import shlex

import click

from apps.files.cli.asking import ShareName, ask, name_of
from apps.files.cli.progress import shown
from apps.files.cli.share import Hashing
from p2pnode.api import Session
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import one_line, print_json, say


@click.command(
    epilog=examples(
        "p2pnode files export 3f1c -o film.torrent",
        "p2pnode files export 3f1c -o film.torrent --hybrid",
    )
)
@click.argument("share", type=ShareName(), metavar="ID|LINK")
@click.option("-o", "out", required=True, type=click.Path(), metavar="X.torrent", help="The file to make.")
@click.option("--hybrid", is_flag=True, help="Of a twin for version 1 of BitTorrent; hashes all, and shares the twin.")
@json_option
@click.pass_obj
def export(session: Session, share: str, out: str, hybrid: bool, as_json: bool) -> None:
    """Write a .torrent file of a share that is all here, and print the link that goes with it.

    The node gives it to whoever comes with either, unless it was started with --no-bittorrent. A hybrid twin is a share
    of its own, with an id of its own.
    """
    path = os.path.abspath(out)
    status = ask(session, "status", {"share": share})
    args = {"share": status["id"], "path": path, "hybrid": hybrid}
    made = Hashing(session, status["path"] or path, args, command="export")
    with shown(one_line(name_of(status)), quiet=as_json) as progress:
        answer = made.run(progress)
    to_all = answer.pop("bittorrent")
    if as_json:
        print_json({"v": 1} | answer)
        return
    print(f"exported {one_line(answer['path'])}   {answer['link']}", flush=True)
    if to_all:
        say("give the file, or the link, to any program that knows BitTorrent v2" + (" or v1" if hybrid else ""))
    else:
        say(f"on other nodes of this network:   p2pnode files get {shlex.quote(os.path.basename(path))}")
