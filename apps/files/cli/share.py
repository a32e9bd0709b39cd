"""`p2pnode files share`: hashes a file or folder where it lies, and prints the link."""

from __future__ import annotations

import os
import shlex
import threading
from typing import Any

import attrs
import click

from apps.files.cli.asking import HASHING_S, ask, say_notes
from apps.files.cli.progress import Progress, shown
from p2pnode.api import Session
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, one_line, print_json, say
from p2pnode.ui.sizes import size_text

#: Between two looks at how far the node is.
_LOOK_S = 0.2


@click.command(
    epilog=examples(
        "p2pnode files share photo.jpg",
        "p2pnode files share ~/music/live --tag concert --tag 2024",
        "p2pnode files share report.pdf --json | jq -r .link",
        "p2pnode files share report.pdf --anchor",
    )
)
@click.argument("path", type=click.Path())
@click.option("--tag", "tags", multiple=True, metavar="T", help="A word to be found by. May be repeated.")
@click.option("--name", metavar="N", help="What it is called elsewhere; else as here.")
@click.option("--hybrid", is_flag=True, help="Also for BitTorrent programs that know only version 1 (hashes twice).")
@click.option("--anchor", is_flag=True, help="Have the chain witness that it exists now (p2pnode chain).")
@json_option
@click.pass_obj
def share(
    session: Session, path: str, tags: tuple[str, ...], name: str | None, hybrid: bool, anchor: bool, as_json: bool
) -> None:  # fmt: skip
    """Share the file or folder PATH, and print the link that others fetch it with.

    It stays where it is; the node reads it there, also after a restart. What changes later is withdrawn. Ctrl-C while
    it is being hashed shares nothing. Links, devices and sockets in a folder are left out.

    --anchor writes the SHA-256 of a file, or the id of the share of a folder, into the chain.
    """
    where = os.path.abspath(path)
    if not os.path.lexists(where):
        fail("there is no such file or folder", code="usage", path=where)
    if name is not None and not name.strip():
        fail("a share cannot be called by an empty name", code="usage", without_name="it is called as it is here")
    args: dict[str, Any] = {"path": where}
    args |= {"name": name} if name is not None else {}
    args |= {"tags": list(tags)} if tags else {}
    args |= {"hybrid": True} if hybrid else {}
    args |= {"anchor": _anchored(where)} if anchor else {}
    made = Hashing(session, where, args)
    with shown(os.path.basename(where) or where, quiet=as_json) as progress:
        answer = made.run(progress)
    if as_json:
        print_json({"v": 1} | answer)
        return
    say_notes(session, answer)
    print(f"shared   {one_line(answer['name'])}  {size_text(answer['size'])}   {answer['link']}", flush=True)
    say(f"{counted(answer['files'], 'file')}; anywhere on the network:")
    say(f"  p2pnode files get {shlex.quote(answer['link'])}")
    if anchor:
        what = shlex.quote(path) if os.path.isfile(where) else answer["anchor"]["digest"]
        say("its anchor waits, and is not yet in a block; since when it exists, once it is in one:")
        say(f"  chain-explorer anchor {one_line(what)}")


def _anchored(path: str) -> str | bool:
    """What goes into the chain: the SHA-256 of a file, which everybody can compute; of a folder the id of the share."""
    if not os.path.isfile(path):
        return True
    import hashlib

    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        fail("the file cannot be read", code="usage", path=path, reason=error.strerror or str(error))


@attrs.define(slots=True, eq=False)
class Hashing:
    """The node hashes, which may take long; meanwhile it is asked how far it is."""

    session: Session
    path: str
    args: dict[str, Any]
    command: str = attrs.field(default="share", kw_only=True)
    _answer: dict[str, Any] = attrs.field(factory=dict, init=False)
    _failure: Fail | None = attrs.field(default=None, init=False)
    _over: threading.Event = attrs.field(factory=threading.Event, init=False)

    def run(self, progress: Progress) -> dict[str, Any]:
        """What the application answers. Ctrl-C has the node give it up."""
        thread = threading.Thread(target=self._ask, daemon=True)
        thread.start()
        try:
            while not self._over.wait(_LOOK_S):
                if (far := ask(self.session, "progress", {"path": self.path})) is None:
                    progress.show(None, None, "waiting for its turn")
                else:
                    progress.show(far["done"], far["total"], "hashing")
        except KeyboardInterrupt:
            ask(self.session, "stop", {"path": self.path})
            self._over.wait(_LOOK_S * 50)
            raise
        if (failure := self._failure) is not None:
            # Names in what is said of a share are those within it.
            facts = failure.facts or ({"path": self.path} if self.command == "share" else {})
            raise Fail(failure.what, code=failure.code, facts=facts)
        return self._answer

    def _ask(self) -> None:
        try:
            self._answer = ask(self.session, self.command, self.args, timeout_s=HASHING_S)
        except Fail as failure:
            self._failure = failure
        except Exception as error:  # else the other thread would wait for ever
            self._failure = Fail(f"{type(error).__name__}: {error}")
        finally:
            self._over.set()
