"""`chain-explorer supply`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import Session, answer, field_option, full_option, pass_session, people
from p2pnode.ui.fail import Exit
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import print_fields, print_table, say

if TYPE_CHECKING:
    from apps.chain.core.explorer.supply import Supply


@click.command(epilog=examples("chain-explorer supply", "chain-explorer supply -f right"))
@click.option("--top", type=click.IntRange(0, 1000), default=10, show_default=True, metavar="N",
              help="So many of those who have most.")  # fmt: skip
@field_option
@full_option
@json_option
@pass_session
@click.pass_context
def supply(ctx: click.Context, session: Session, top: int, field: str | None, full: bool, as_json: bool) -> None:
    """Show how many credits were issued, who has most, and whether the sum is right: exit code 5 if not."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer.texts import credits_text
    from apps.chain.core.explorer.supply import supply as look

    with session.chain() as chain:
        found = look(chain, top=top)
        known = people(chain, {row.key for row in found.richest}, full=full)
    if not answer(objects.supply(known, found), as_json=as_json, field=field):
        print_fields(_fields(found))
        if found.richest:
            print()
            rows = [
                (n, known.address(row.key), known.names.get(row.key), credits_text(row.balance),
                 f"{100 * row.balance / found.totals.balances:.1f} %" if found.totals.balances else None)
                for n, row in enumerate(found.richest, 1)
            ]  # fmt: skip
            print_table(("#", "ACCOUNT", "NAME", "CREDITS", "SHARE"), rows, right=("#", "CREDITS", "SHARE"), full=full)
    if not found.is_right:
        say(f"the sum is wrong: find out where with {session.command('verify --level 4')}")
        ctx.exit(Exit.NOT_VERIFIED)


def _fields(found: Supply) -> list[tuple[str, object]]:
    from apps.chain.cli.explorer.texts import credits_text

    totals = found.totals
    return [
        ("issued", f"{credits_text(found.issued)} credits, up to height {found.tip:,}"),
        ("immature", f"{credits_text(found.immature_rewards)} of rewards, {credits_text(found.immature_fees)} of fees"),
        ("fees", f"{credits_text(totals.fees)} in {totals.txs:,} transactions"),
        ("accounts", f"{totals.accounts:,}, which have {credits_text(totals.balances)} together"),
        ("sum", _sum(found)),
    ]


def _sum(found: Supply) -> str:
    from apps.chain.cli.explorer.texts import credits_text

    if found.is_right:
        return "right: accounts and immature fees are what was issued"
    wrong = found.totals.balances + found.immature_fees - found.issued
    return f"WRONG by {credits_text(wrong)}"
