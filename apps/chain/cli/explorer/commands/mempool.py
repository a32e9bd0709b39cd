"""`chain-explorer mempool`: what waits in the running node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import Session, full_option, limit_option, lines_option, pass_session, people
from p2pnode.ui.options import examples
from p2pnode.ui.render import counted, print_json, print_table, say

if TYPE_CHECKING:
    from apps.chain.cli.explorer.live import Waiting

_RIGHT = ("FEE", "CR/KB", "SIZE", "AGE", "NONCE", "TXS")
#: Most of them one below another: what a screen holds.
_BARS = 40


@click.command(epilog=examples("chain-explorer mempool --sort age", "chain-explorer mempool --json | jq .fee"))
@click.option("--sort", type=click.Choice(["fee", "age", "size"]), default="fee", show_default=True,
              help="Dearest by the byte, oldest or largest first.")  # fmt: skip
@click.option("--address", "account", metavar="ACCOUNT", help="Only what this account sends or is paid by.")
@click.option("--histogram", is_flag=True, help="How many transactions pay how much.")
@limit_option(20)
@full_option
@lines_option
@pass_session
def mempool(
    session: Session, sort: str, account: str | None, histogram: bool, limit: int, full: bool, as_json: bool
) -> None:
    """List the transactions that wait in the running node of this home."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer.operations import brief
    from apps.chain.cli.explorer.texts import credits_text, id_text, size_text
    from apps.chain.core.explorer.refs import find_account

    with session.chain() as chain:
        waiting = session.running().mempool(chain.params.chain_id)
        if account is not None:
            key = find_account(chain, account)
            waiting = [one for one in waiting if _touches(one, key)]
        shown = _sorted(waiting, sort)[:limit]
        known = people(chain, {one.tx.sender for one in shown}, full=full)
    now = session.clock()
    if as_json:
        for one in shown:
            print_json(objects.waiting(known, one))
        return
    if histogram:
        _print_histogram(waiting)
        return
    rows = [
        (id_text(one.tx.txid, full=full), known.brief(one.tx.sender), one.tx.nonce, _age(one, now),
         size_text(len(one.tx.raw)), credits_text(one.tx.fee), brief(one.tx.operations, width=18))
        for one in shown
    ]  # fmt: skip
    print_table(("TXID", "FROM", "NONCE", "AGE", "SIZE", "FEE", "DOES"), rows, right=_RIGHT, full=full)
    if not waiting:
        say("nothing waits")
    elif len(waiting) > limit:
        say(f"{len(waiting) - limit:,} more: {session.command(f'mempool --sort {sort} --limit {len(waiting)}')}")


def _age(one: Waiting, now: float) -> str | None:
    from apps.chain.cli.explorer.texts import age

    return None if one.seen is None else age(int(one.seen), now)


def _touches(one: Waiting, key: bytes) -> bool:
    return one.tx.sender == key or any(getattr(op, "to", None) == key for op in one.tx.operations)


def _sorted(waiting: Sequence[Waiting], sort: str) -> list[Waiting]:
    """Of equal ones the lower id first."""
    ordered = sorted(waiting, key=lambda one: one.tx.txid)
    match sort:
        case "age":
            return sorted(ordered, key=lambda one: one.seen or 0.0)
        case "size":
            return sorted(ordered, key=lambda one: -len(one.tx.raw))
    return sorted(ordered, key=lambda one: -one.tx.fee / len(one.tx.raw))


def _print_histogram(waiting: Sequence[Waiting]) -> None:
    """Each class pays twice what the one below it does: credits for 1,000 bytes."""
    from apps.chain.cli.explorer.texts import credits_text, size_text

    classes: dict[int, list[int]] = {}
    for one in waiting:
        rate = one.tx.fee * 1000 // len(one.tx.raw)
        classes.setdefault(rate.bit_length(), []).append(len(one.tx.raw))
    most = max(map(len, classes.values()), default=0)
    rows = [
        (credits_text((1 << level) >> 1), len(sizes), size_text(sum(sizes)), "█" * -(-_BARS * len(sizes) // most))
        for level, sizes in sorted(classes.items(), reverse=True)
    ]
    print_table(("CR/KB FROM", "TXS", "SIZE", ""), rows, right=("CR/KB FROM", "TXS", "SIZE"))
    say(f"{counted(len(waiting), 'transaction')}")
