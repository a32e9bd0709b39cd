"""`chain-explorer address`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.arguments import Place
from apps.chain.cli.explorer.session import (
    Session,
    answer,
    field_option,
    full_option,
    limit_option,
    pass_session,
    people,
)
from p2pnode.ui.fail import fail
from p2pnode.ui.options import examples
from p2pnode.ui.render import counted, print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from apps.chain.cli.explorer.texts import People
    from apps.chain.core.explorer.accounts import Entry, Facts
    from apps.chain.core.explorer.chain import Chain, Page

_RIGHT = ("HEIGHT", "AGE", "CHANGE")
#: Names that are shown; `names --owner` lists all.
_NAMES = 3


@click.command(
    epilog=examples(
        "chain-explorer address edge-3", "chain-explorer address xn1q8m2r --history",
        "chain-explorer address edge-3 -f balance",
    )
)
@click.argument("account")
@click.option("--history", "with_history", is_flag=True, help="What changed its balance, newest first.")
@click.option("--before", type=Place(), metavar="H[/POS]", help="Of the history only what is below this place.")
@limit_option(20)
@click.option("--csv", "as_csv", is_flag=True, help="The history as comma-separated values.")
@field_option
@full_option
@click.option("--json", "as_json", is_flag=True, help='One JSON object, with "v": 1; of --history one a line.')
@pass_session
def address(
    session: Session, account: str, with_history: bool, before: tuple[int, int] | None, limit: int, as_csv: bool,
    field: str | None, full: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show an account: ACCOUNT is an address, a name, a public key, or the first four letters of one or more."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.core.explorer import accounts
    from apps.chain.core.explorer.refs import find_account
    from apps.chain.core.operations import Pay

    with session.chain(light=True) as chain:
        if chain.light:
            _show_said(session, chain, account, field=field, as_json=as_json, whole=with_history or as_csv)
            return
        key = find_account(chain, account)
        facts = accounts.facts(chain, key)
        wanted = (with_history or as_csv) and field is None
        history = accounts.history(chain, key, before=before, limit=limit) if wanted else None
        txs = [] if history is None else [entry.tx for entry in history.rows if entry.tx is not None]
        others = {op.to for tx in txs for op in tx.operations if type(op) is Pay}
        known = people(chain, {key, *(tx.sender for tx in txs), *others}, full=full)
        pending = None if wanted else _pending(session, chain, key)
    if history is None:
        if not answer(objects.address(chain, known, facts, pending), as_json=as_json, field=field):
            print_fields(_fields(chain, facts, known, pending))
            if facts.txs or facts.immature:
                say(f"what happened: {session.command(f'address {account} --history')}")
        return
    if as_csv:
        _print_csv(history, known)
    elif as_json:
        for entry in history.rows:
            print_json(objects.entry(known, entry))
    else:
        rows = [_row(entry, key, known, session.clock()) for entry in history.rows]
        print_table(("HEIGHT", "AGE", "TXID", "CHANGE", "WHAT"), rows, right=_RIGHT, full=full)
        if not rows:
            say("nothing happened to this account")
    if history.more:
        last = history.rows[-1]
        pos = f"{last.height}/{'reward' if last.mined is not None else last.pos}"
        say(f"more: {session.command(f'address {account} --history --before {pos}')}")


def _show_said(
    session: Session, chain: Chain, account: str, *, field: str | None, as_json: bool, whole: bool
) -> None:  # fmt: skip
    """Where headers are kept alone: what a peer says, which cannot be proved."""
    from apps.chain.cli.explorer.texts import credits_text
    from apps.chain.core.explorer.refs import whole_account

    if whole:
        fail("this home keeps headers alone: it does not know what happened to an account",
             what_it_has=session.command("address ADDRESS"))  # fmt: skip
    key = whole_account(chain, account)
    said = session.asking().account(chain.address(key))
    obj = {
        "v": 1, "address": chain.address(key), "key": key.hex(), "name": None, "names": None,
        "balance": said["balance"], "pending": None, "immature": None, "nonce": said["nonce"], "txs": None,
        "first": None, "last": None, "tip": chain.height, "said_by": said["said_by"],
    }  # fmt: skip
    if not answer(obj, as_json=as_json, field=field):
        print_fields([
            ("address", obj["address"]), ("key", obj["key"]), ("balance", f"{credits_text(said['balance'])} credits"),
            ("nonce", f"{said['nonce']:,}"),
            ("said by", f"a peer, {said['said_by'][:16]}…: this home has headers alone, and nothing proves it"),
        ])  # fmt: skip


def _pending(session: Session, chain: Chain, key: bytes) -> int | None:
    """Units that waiting transactions change; None without a node that knows of them."""
    from apps.chain.core.explorer.txs import change_of

    node = session.node()
    return None if node is None else sum(change_of(one.tx, key) for one in node.mempool(chain.params.chain_id))


def _fields(chain: Chain, facts: Facts, known: People, pending: int | None) -> list[tuple[str, object]]:
    from apps.chain.cli.explorer.texts import credits_text, signed_credits

    account = facts.account
    soon = f"within {counted(chain.params.maturity, 'block')}"
    return [
        ("address", chain.address(account.key)),
        ("key", account.key.hex()),
        *_names(facts),
        ("balance", f"{credits_text(account.balance)} credits"),
        ("pending", "-" if pending is None else signed_credits(pending)),
        ("immature", f"{credits_text(facts.immature)}{f', {soon}' if facts.immature else ''}"),
        ("nonce", f"{account.nonce:,}"),
        ("transactions", f"{facts.txs:,}" + (f", in blocks {facts.first:,} to {facts.last:,}" if facts.txs else "")),
    ]


def _names(facts: Facts) -> list[tuple[str, object]]:
    names: list[object] = [f"{row.name.decode('ascii')} (until {row.expires:,})" for row in facts.names[:_NAMES]]
    if len(facts.names) > _NAMES:
        names.append(f"and {len(facts.names) - _NAMES:,} more")
    return list(zip(["names", *[""] * _NAMES], names or [None], strict=False))


def _row(entry: Entry, key: bytes, known: People, now: float) -> tuple[object, ...]:
    from apps.chain.cli.explorer.texts import age, id_text, signed_credits

    change = None if entry.change is None else signed_credits(entry.change)
    txid = None if entry.tx is None else id_text(entry.tx.txid, full=known.full)
    return f"{entry.height:,}", age(entry.time, now), txid, change, _what(entry, key, known)


def _what(entry: Entry, key: bytes, known: People) -> str:
    from apps.chain.cli.explorer.operations import brief

    if entry.mined is not None:
        return f"reward of block {entry.mined:,}"
    if entry.tx is None:
        return "its block is not here any more"
    if entry.tx.sender != key:
        return f"from {known.brief(entry.tx.sender)}"
    return brief(entry.tx.operations)


def _print_csv(history: Page[Entry], known: People) -> None:
    import csv
    import sys

    from apps.chain.cli.explorer.as_json import entry

    columns = ("height", "pos", "time", "change", "mined", "txid", "from", "from_name", "nonce", "fee")
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for found in history.rows:
        writer.writerow(entry(known, found))
    sys.stdout.flush()
