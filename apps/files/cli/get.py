"""`p2pnode files get`: has the node fetch a share, and stays until it is there."""

from __future__ import annotations

import os
import shlex
import time
from typing import Any

import attrs
import click

from apps.files.cli.asking import ask, name_of, parsed, percent, short
from apps.files.cli.progress import Progress, shown
from p2pnode.api import Session
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.numbers import FiniteRange
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, duration, one_line, print_json, say
from p2pnode.ui.sizes import rate_text, size_text

#: Without --timeout: so long nobody who has it was reached, and nothing came. A peer that is there answers in a second,
#: one that was off is tried again after a minute.
NOBODY_S = 60.0
#: The same where everybody who was there had sent what is wrong.
WRONG_S = 10.0
#: Between two looks: at first often, for what is small.
_LOOK_S, _MOST_LOOK_S = 0.02, 0.5
#: The disk makes safe what is there.
_REST_S = 30.0
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
    _check_place(session, share, where)
    was_there = share["state"] == "complete"
    with shown(name_of(share), quiet=as_json) as progress:
        share = fetch.run(progress)
    seconds = time.monotonic() - began
    if as_json:
        print_json(
            {
                "v": 1, "path": share["path"], "size": share["wanted"], "seconds": round(seconds, 3),
                "sources": share["givers"], "wasted_bytes": share["wasted"],
            }
        )  # fmt: skip
        return
    print(f"fetched  {one_line(name_of(share))}  {size_text(share['wanted'])}   {one_line(share['path'])}", flush=True)
    if was_there or not share["downloaded"]:
        say("it was there already")
        return
    wasted = f", {size_text(share['wasted'])} came in vain" if share["wasted"] else ""
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
    if share["state"] == "complete":
        copy = shlex.join(["cp", "-a", share["path"] or os.path.join(at, name), where])
        fail(f"{one_line(name)} is here already, in another folder", folder=at, copy_it=copy,
             or_forget_that_one=session.command(f"files remove {id}"))  # fmt: skip
    fail(f"{one_line(name)} is being fetched into another folder", folder=at, see=session.command(f"files status {id}"),
         or_forget_that_one=session.command(f"files remove {id} --erase"))  # fmt: skip


@attrs.define(slots=True, eq=False)
class Fetch:
    """Until a share is complete. In any other end it rests, if this command had begun it; if not even its name came,
    it is forgotten."""

    session: Session
    share: dict[str, Any]
    began: float
    timeout: float | None
    _quiet_since: float = attrs.field(init=False)
    _last: tuple[Any, ...] = attrs.field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self._quiet_since = self.began

    def run(self, progress: Progress) -> dict[str, Any]:
        """The share at the end. Fail says why it did not come to that."""
        mine = self.share["began"]
        try:
            return self._follow(progress)
        except KeyboardInterrupt:
            failure = Fail("stopped by Ctrl-C", code="interrupted")
        except Fail as error:
            if error.code == "no_node":
                raise
            failure = error
        raise self._ended(failure, self._rest() if mine else str(self.share["state"]))

    def _follow(self, progress: Progress) -> dict[str, Any]:
        look_s = _LOOK_S
        while self.share["state"] != "complete":
            self._check()
            self._show(progress)
            time.sleep(look_s)
            look_s = min(look_s * 1.5, _MOST_LOOK_S)
            self.share = ask(self.session, "status", {"share": self.share["id"]})
        return self.share

    def _check(self) -> None:
        share, now = self.share, time.monotonic()
        if share["state"] in ("paused", "full", "failed"):
            why = {"paused": "somebody paused it", "full": "there is no room on the disk"}.get(share["state"], "")
            raise Fail(share["trouble"] or why or "it failed")
        if self.timeout is not None and now - self.began >= self.timeout:
            raise Fail(f"not all of it came within {self.timeout:g} s", code="timed_out", facts=self._who())
        sign = (share["state"], share["done"], share["downloaded"], share["peers"])
        if sign != self._last or share["peers"] or share["state"] == "checking":
            self._last, self._quiet_since = sign, now
            return
        quiet_s = now - self._quiet_since
        if share["dropped"] and quiet_s >= WRONG_S:
            raise Fail("everybody who had it sent what is wrong; none of that was kept", code="not_verified",
                       facts={"sent what is wrong": counted(share["dropped"], "peer")})  # fmt: skip
        if quiet_s >= NOBODY_S:
            raise Fail("nobody who has it could be reached", code="timed_out", facts=self._who())

    def _who(self) -> dict[str, str]:
        """Who was asked, and what became of that."""
        known, silent = self.share["known"], self.share["silent"]
        if not known:
            return {"asked": "the network (DHT): it knows nobody who has it", "and the link": "names no peer"}
        told = [f"{peer['peer'][:9]}  {one_line(peer['reason'])}" for peer in silent]
        return {"asked": f"{counted(known, 'peer')} of the link and of the network" + "".join(f"\n{t}" for t in told)}

    def _show(self, progress: Progress) -> None:
        share = self.share
        progress.call(name_of(share))
        peers = counted(share["peers"], "peer")
        match share["state"]:
            case "finding":
                text = f"asking {peers} what is in it" if share["peers"] else "looking for somebody who has it"
                progress.show(None, None, text)
            case "checking":
                far = ask(self.session, "progress", {"share": share["id"]}) or {"done": 0, "total": 0}
                progress.show(far["done"], far["total"], "checking what is there")
            case _:
                text = peers if share["peers"] else "looking for somebody who has it"
                progress.show(share["done"], share["wanted"], text, rate=share["down_per_s"])

    def _rest(self) -> str:
        """What became of it: nothing goes on behind the back of whoever stopped it."""
        share = {"share": self.share["id"]}
        unknown = self.share["name"] is None
        try:
            ask(self.session, "remove" if unknown else "pause", share, timeout_s=_REST_S)
        except (Fail, KeyboardInterrupt):
            return str(self.share["state"])
        return "forgotten" if unknown else "paused"

    def _ended(self, failure: Fail, became: str) -> Fail:
        facts, id = dict(failure.facts), short(self.share["id"])
        if failure.code != "not_found":  # else somebody has removed it
            so_far = "nothing" if self.share["done"] is None else percent(self.share)
            again = "the same command" if became == "forgotten" else self.session.command(f"files resume {id}")
            facts |= {"so far": f"{so_far}; it is {became}", "go on": again}
        if failure.code != "not_found" and became != "forgotten":
            facts["or forget it"] = self.session.command(f"files remove {id} --erase")
        return Fail(failure.what, code=failure.code, facts=facts)
