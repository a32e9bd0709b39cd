"""`p2pnode chain wallet`: the account of a node is its key."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from apps.chain.cli.node.asking import ask, rows
from p2pnode.api import Session
from p2pnode.ui.fail import Fail, fail
from p2pnode.ui.identity import PASSPHRASE_VARIABLE, STDIO, copy_key, new_passphrase, own_key, take_over
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import print_fields, print_json, say


@click.group(epilog=examples("p2pnode chain wallet show", "p2pnode chain wallet export backup.pem --passphrase"))
def wallet() -> None:
    """The account of this node. Its key is that of the node: whoever has it has both."""


@wallet.command(epilog=examples("p2pnode chain wallet show", "p2pnode chain wallet show --json | jq -r .address"))
@json_option
@click.pass_obj
def show(session: Session, as_json: bool) -> None:
    """Print the address, and what is in the account as far as this node knows. The address is known without a node."""
    why = ""
    try:
        found = ask(session, "account")
    except Fail as failure:
        if failure.code not in ("no_node", "not_found", "timed_out"):
            raise
        found = _described(own_key(session.home).key) | {"balance": None, "nonce": None, "next": None, "pending": None}
        why = f"the node is not running ({session.command('run')})" if failure.code == "no_node" else failure.what
    if as_json:
        print_json({"v": 1} | found)
        return
    from apps.chain.cli.explorer.texts import credits_text

    balance = f"not known: {why}" if found["balance"] is None else credits_text(found["balance"])
    fields: list[tuple[str, object]] = [("address", found["address"]), ("balance", balance)]
    if found.get("synced") is False:
        fields.append(("", "not up to date yet, there may be more or less: p2pnode chain status"))
    if found.get("pending"):
        fields.append(("pending", f"-{credits_text(found['pending'])}, waits for a block"))
    if found.get("immature"):
        fields.append(("immature", f"{credits_text(found['immature'])} of rewards that cannot be spent yet"))
    if "said_by" in found:
        fields.append(("said by", f"a peer, {found['said_by'][:16]}…: this node has headers alone"))
    for number, gone in enumerate(found.get("gone") or []):
        what = f"tx {gone['tx'][:16]}…, {credits_text(gone['spent'])}: "
        what += "can never be; send it again" if gone["why"] else "waits again"
        fields.append(("gone" if not number else "", what))
        why = gone["why"] or "its block does not count any more; there is nothing to do"
        fields += rows("", why)
    print_fields(fields)


@wallet.command(
    epilog=examples("p2pnode chain wallet export backup.pem", "p2pnode chain wallet export - | gpg -c > backup.gpg")
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--passphrase", is_flag=True, help=f"Encrypt the copy; asks for one (or takes {PASSPHRASE_VARIABLE}).")
@json_option
@click.pass_obj
def export(session: Session, file: Path, passphrase: bool, as_json: bool) -> None:
    """Write a copy of the key to FILE (0600), or to stdout with `-`. Whoever has it can spend, and is this node."""
    is_file = str(file) != STDIO
    if as_json and not is_file:
        fail("the key and --json cannot both go to stdout", code="usage",
             name_a_file="p2pnode chain wallet export FILE --json")  # fmt: skip
    pair = own_key(session.home)
    copy_key(pair, file, passphrase=new_passphrase() if passphrase else None)
    if as_json:
        print_json({"v": 1} | _described(pair.key) | {"file": str(file.absolute())})
    elif is_file:
        say(f"copied to {file}; keep it secret")


@wallet.command(
    "import",
    epilog=examples(
        "p2pnode --home NEW chain wallet import backup.pem", "gpg -d b.gpg | p2pnode chain wallet import -"
    ),
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@json_option
@click.pass_obj
def import_key(session: Session, file: Path, as_json: bool) -> None:
    """Take over a key as that of this home, which must have none yet. What is in the account is found in the chain once
    the node runs. Run it in one place only."""
    pair = take_over(session.home, file, f"chain wallet import {shlex.quote(str(file))}")
    described = _described(pair.key)
    if as_json:
        print_json({"v": 1} | described)
        return
    print(described["address"], flush=True)
    say(f"key: {session.home.key}")


def _described(key: bytes) -> dict[str, Any]:
    from apps.chain.core.address import format_address

    return {"address": format_address(key), "key": key.hex()}
