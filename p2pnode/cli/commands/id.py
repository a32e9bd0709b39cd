"""`p2pnode id`: the identity of this home."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.render import is_fancy, print_fields, print_json, say

if TYPE_CHECKING:
    from overlay.identity.keys import KeyPair
    from p2pnode.keyfile import Progress

#: Read by `run` too, so that a service can start.
PASSPHRASE_VARIABLE = "P2PNODE_PASSPHRASE"


@click.group("id", epilog=examples("p2pnode id show", "p2pnode id export backup.pem"))
def id_group() -> None:
    """The identity of this home: an Ed25519 key, made once, never overwritten."""


@id_group.command(epilog=examples("p2pnode id show", "p2pnode id show --json | jq -r .id"))
@json_option
@pass_session
def show(session: Session, as_json: bool) -> None:
    """Print the id and the public key. The address is known while the node runs."""
    try:
        answer = session.node().call("GET", "/v1/id", timeout_s=10)
    except Fail as failure:
        if failure.code != "no_node":
            raise
        answer = _described(_own_key(session))
    if as_json:
        print_json(answer)
    else:
        address = answer["address"] or f"none: the node is not running ({session.command('run')})"
        print_fields([("id", answer["id"]), ("key", answer["key"]), ("address", address)])


@id_group.command(epilog=examples("p2pnode id new", "p2pnode --home ~/second id new --puzzle-bits 16"))
@click.option("--puzzle-bits", type=click.IntRange(0, 32), help="Work in the key; default: what the settings say.")
@click.option("--passphrase", is_flag=True, help=f"Encrypt it; asks for one (or takes {PASSPHRASE_VARIABLE}).")
@json_option
@pass_session
def new(session: Session, puzzle_bits: int | None, passphrase: bool, as_json: bool) -> None:
    """Make the identity of this home before its first run. `run` does it too."""
    from p2pnode.config import load
    from p2pnode.keyfile import new_key, save_key

    home = session.home.make()
    _refuse_second(home.key, "id new")
    bits = load(home).network.puzzle_bits if puzzle_bits is None else puzzle_bits
    secret = _new_passphrase() if passphrase else None
    pair = new_key(bits, progress=_progress())
    save_key(home.key, pair, passphrase=secret)
    _report(pair, home.key, as_json=as_json)


@id_group.command(
    "import", epilog=examples("p2pnode id import old.pem", "ssh old p2pnode id export - | p2pnode id import -")
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
@pass_session
def import_key(session: Session, file: Path, as_json: bool) -> None:
    """Take over a key (PKCS#8 PEM, Ed25519) as the identity of this home. Run it in one place only."""
    from p2pnode.keyfile import MAX_SECRET, parse_key, save_key

    home = session.home
    home.check()
    _refuse_second(home.key, f"id import {shlex.quote(str(file))}")
    pem = sys.stdin.buffer.read(MAX_SECRET) if str(file) == "-" else _read(file, MAX_SECRET)
    secret = ask_passphrase() if b"ENCRYPTED" in pem else None
    pair = parse_key(pem, name="stdin" if str(file) == "-" else str(file), passphrase=secret)
    save_key(home.make().key, pair, passphrase=secret)
    _report(pair, home.key, as_json=as_json)


@id_group.command(epilog=examples("p2pnode id export backup.pem", "p2pnode id export - | gpg -c > backup.gpg"))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--passphrase", is_flag=True, help=f"Encrypt the copy; asks for one (or takes {PASSPHRASE_VARIABLE}).")
@pass_session
def export(session: Session, file: Path, passphrase: bool) -> None:
    """Write a copy of the key to FILE (0600), or to stdout with `-`. Whoever has it is this node."""
    from p2pnode.keyfile import save_key

    pair = _own_key(session)
    secret = _new_passphrase() if passphrase else None
    if str(file) == "-":
        sys.stdout.buffer.write(pair.to_pem(passphrase=secret))
        sys.stdout.buffer.flush()
    else:
        save_key(file.absolute(), pair, passphrase=secret)
        say(f"copied to {file}; keep it secret")


def _own_key(session: Session) -> KeyPair:
    from p2pnode.keyfile import load_key, needs_passphrase

    path = session.home.key
    if not path.exists():
        fail(
            "this home has no identity yet", code="not_found", looked_for=str(path), make_one=session.command("id new")
        )
    return load_key(path, passphrase=ask_passphrase() if needs_passphrase(path) else None)


def _described(pair: KeyPair) -> dict[str, object]:
    from overlay.identity.node_id import format_id, node_id_of

    public = pair.key
    return {"v": 1, "id": format_id(node_id_of(public)), "key": public.hex(), "address": None, "network": None}


def _refuse_second(path: Path, command: str) -> None:
    if os.path.lexists(path):
        fail(
            "this home has an identity, and a key is never overwritten",
            key=str(path),
            use_another_home=f"p2pnode --home DIR {command}",
        )


def _report(pair: KeyPair, path: Path, *, as_json: bool) -> None:
    described = _described(pair)
    if as_json:
        print_json(described)
    else:
        print(described["id"])
        say(f"key: {path}")


def _read(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        fail("the key file cannot be read", code="usage", file=str(file), reason=error.strerror or str(error))


def ask_passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    return _asked(again=False) if given is None else given


def _new_passphrase() -> str:
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given is None:
        given = _asked(again=True)
    if not given:
        fail("the passphrase is empty", code="usage")
    return given


def _asked(*, again: bool) -> str:
    if not _has_terminal():
        fail(
            "a passphrase is needed, and there is no terminal to ask at",
            code="usage",
            give_it=f"{PASSPHRASE_VARIABLE} in the environment",
        )
    return str(click.prompt("passphrase", hide_input=True, confirmation_prompt=again, err=True))


def _has_terminal() -> bool:
    """As getpass looks for one: that of the process first, so that stdin may be a key."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return sys.stdin is not None and sys.stdin.isatty()
    return True


def _progress() -> Progress | None:
    """A line on stderr that counts, for a terminal only."""
    if not (is_fancy() and sys.stderr.isatty()):
        return None

    def show(tries: int, expected: int) -> None:
        sys.stderr.write(f"\rlooking for a key that solves the puzzle: {tries} tries, about {expected} expected ")
        sys.stderr.flush()

    return show
