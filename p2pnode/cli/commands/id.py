"""`p2pnode id`: the identity of this home."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.fail import Fail
from p2pnode.ui.identity import PASSPHRASE_VARIABLE, copy_key, new_passphrase, own_key, refuse_second, take_over
from p2pnode.ui.render import is_fancy, print_fields, print_json, say

if TYPE_CHECKING:
    from overlay.identity.keys import KeyPair
    from p2pnode.keyfile import Progress


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
        answer = _described(own_key(session.home))
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
    from p2pnode.config_load import load
    from p2pnode.keyfile import new_key, save_key

    home = session.home.make()
    refuse_second(home, "id new")
    bits = load(home).network.puzzle_bits if puzzle_bits is None else puzzle_bits
    secret = new_passphrase() if passphrase else None
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
    pair = take_over(session.home, file, f"id import {shlex.quote(str(file))}")
    _report(pair, session.home.key, as_json=as_json)


@id_group.command(epilog=examples("p2pnode id export backup.pem", "p2pnode id export - | gpg -c > backup.gpg"))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--passphrase", is_flag=True, help=f"Encrypt the copy; asks for one (or takes {PASSPHRASE_VARIABLE}).")
@pass_session
def export(session: Session, file: Path, passphrase: bool) -> None:
    """Write a copy of the key to FILE (0600), or to stdout with `-`. Whoever has it is this node."""
    copy_key(own_key(session.home), file, passphrase=new_passphrase() if passphrase else None)
    if str(file) != "-":
        say(f"copied to {file}; keep it secret")


def _described(pair: KeyPair) -> dict[str, object]:
    from overlay.identity.node_id import format_id, node_id_of

    public = pair.key
    return {"v": 1, "id": format_id(node_id_of(public)), "key": public.hex(), "address": None, "network": None}


def _report(pair: KeyPair, path: Path, *, as_json: bool) -> None:
    described = _described(pair)
    if as_json:
        print_json(described)
    else:
        print(described["id"])
        say(f"key: {path}")


def _progress() -> Progress | None:
    """A line on stderr that counts, for a terminal only."""
    if not (is_fancy() and sys.stderr.isatty()):
        return None

    def show(tries: int, expected: int) -> None:
        sys.stderr.write(f"\rlooking for a key that solves the puzzle: {tries} tries, about {expected} expected ")
        sys.stderr.flush()

    return show
