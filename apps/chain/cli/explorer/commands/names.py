"""`chain-explorer name` and `names`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from apps.chain.cli.explorer.session import (
    Session,
    answer,
    field_option,
    full_option,
    limit_option,
    lines_option,
    pass_session,
    people,
)
from p2pnode.ui.fail import fail
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import counted, cut, print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from apps.chain.core.rows import NameRow

#: Columns that are left for a value in a table of 80; a name may have 32.
_VALUE, _NAME = 26, 24
#: Columns that are left beside a label.
_LINE = 70


@click.command(epilog=examples("chain-explorer name edge-3", "chain-explorer name edge-3 -f owner"))
@click.argument("name")
@field_option
@full_option
@json_option
@pass_session
def name(session: Session, name: str, field: str | None, full: bool, as_json: bool) -> None:
    """Show whose a name is, what it says and until when."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer.texts import folded, quoted
    from apps.chain.core.explorer import names as queries
    from apps.chain.core.explorer.refs import as_name

    with session.chain() as chain:
        row = queries.one(chain, as_name(name))
        tip = chain.height
        known = people(chain, {row.owner}, full=full)
        if answer(objects.name(known, row, tip), as_json=as_json, field=field):
            return
        value, *rest = folded(quoted(row.value), _LINE)
        print_fields([
            ("name", row.name.decode("ascii")), ("owner", chain.address(row.owner)), ("value", value),
            *(("", line) for line in rest), ("expires", _expires(row, tip, chain.params.target_s)),
        ])  # fmt: skip


def _expires(row: NameRow, tip: int, target_s: int) -> str:
    from apps.chain.cli.explorer.texts import span

    left = row.expires - tip
    if left <= 1:
        return f"at height {row.expires:,}: anybody may claim it now"
    return f"at height {row.expires:,}, in {counted(left, 'block')} (about {span(left * target_s)})"


@click.command(epilog=examples("chain-explorer names --owner edge-3", "chain-explorer names --expiring 5760"))
@click.option("--owner", metavar="ACCOUNT", help="Only those of this account.")
@click.option("--expiring", type=click.IntRange(min=1), metavar="N", help="Only those that expire within N blocks.")
@click.option("--after", metavar="NAME", default="", help="Only names after this one, in their order.")
@limit_option(20)
@full_option
@lines_option
@pass_session
def names(
    session: Session, owner: str | None, expiring: int | None, after: str, limit: int, full: bool, as_json: bool
) -> None:
    """List the names that are somebody's, in the order of the alphabet."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer.texts import quoted
    from apps.chain.core.explorer import names as queries
    from apps.chain.core.explorer.refs import find_account

    if not after.isascii():
        fail(f"not a name: {after!r}", code="usage", expected="a-z, 0-9 and -")
    with session.chain() as chain:
        key = None if owner is None else find_account(chain, owner)
        page = queries.names(chain, owner=key, expiring=expiring, after=after.encode("ascii"), limit=limit)
        tip = chain.height
        known = people(chain, (), full=full)
    if as_json:
        for row in page.rows:
            print_json(objects.name(known, row, tip))
        return
    rows = [
        (row.name.decode("ascii") if full else cut(row.name.decode("ascii"), _NAME), known.address(row.owner),
         f"{row.expires - tip:,}", quoted(row.value) if full else cut(quoted(row.value), _VALUE))
        for row in page.rows
    ]  # fmt: skip
    print_table(("NAME", "OWNER", "BLOCKS LEFT", "VALUE"), rows, right=("BLOCKS LEFT",), full=full)
    if not page.rows:
        say("no names")
    elif page.more:
        more = f" --owner {owner}" if owner is not None else ""
        more += f" --expiring {expiring}" if expiring is not None else ""
        last = page.rows[-1].name.decode("ascii")
        say(f"more: {session.command(f'names --after {last}{more}')}")
