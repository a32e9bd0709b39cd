"""`chain-explorer evidence`."""

from __future__ import annotations

import click

from apps.chain.cli.explorer.arguments import Place
from apps.chain.cli.explorer.session import Session, full_option, limit_option, lines_option, pass_session, people
from p2pnode.ui.options import examples
from p2pnode.ui.render import print_json, print_table, say


@click.command(epilog=examples("chain-explorer evidence", "chain-explorer evidence --offender edge-3 --json"))
@click.option("--offender", metavar="ACCOUNT", help="Only what convicts this account.")
@click.option("--before", type=Place(), metavar="H[/POS]", help="Only what is below this place.")
@limit_option(20)
@full_option
@lines_option
@pass_session
def evidence(
    session: Session, offender: str | None, before: tuple[int, int] | None, limit: int, full: bool, as_json: bool
) -> None:
    """List who was convicted of breaking the rules of the network, newest first."""
    from apps.chain.cli.explorer import as_json as objects
    from apps.chain.cli.explorer.texts import age, id_text
    from apps.chain.core.explorer.evidence import convictions
    from apps.chain.core.explorer.refs import find_account

    with session.chain() as chain:
        key = None if offender is None else find_account(chain, offender)
        page = convictions(chain, culprit=key, before=before, limit=limit)
        keys = {one.row.culprit for one in page.rows} | {one.tx.sender for one in page.rows if one.tx is not None}
        known = people(chain, keys, full=full)
    if as_json:
        for one in page.rows:
            print_json(objects.conviction(known, one))
        return
    rows = [
        (f"{one.row.height:,}", age(one.time, session.clock()), known.brief(one.row.culprit),
         None if one.tx is None else known.brief(one.tx.sender),
         None if one.tx is None else id_text(one.tx.txid, full=full),
         one.row.key.hex() if full else one.row.key.hex()[:8])
        for one in page.rows
    ]  # fmt: skip
    print_table(("HEIGHT", "AGE", "OFFENDER", "TOLD BY", "TXID", "KEY"), rows, right=("HEIGHT", "AGE"), full=full)
    if not page.rows:
        say("nobody was convicted" if offender is None else f"{offender} was not convicted")
    elif page.more:
        last = page.rows[-1].row
        of = "" if offender is None else f" --offender {offender}"
        say(f"more: {session.command(f'evidence --before {last.height}/{last.pos}{of}')}")
