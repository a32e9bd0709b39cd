"""`p2pnode chain send`."""

from __future__ import annotations

import click

from apps.chain.cli.node.asking import (
    Credits,
    ask,
    conclude,
    explorer,
    fee_option,
    text_within,
    timeout_option,
    wait_option,
)
from p2pnode.api import Session
from p2pnode.ui.fail import fail
from p2pnode.ui.options import examples, json_option
from p2pnode.ui.render import one_line


@click.command(
    epilog=examples(
        "p2pnode chain send xn1q… 2.5",
        "p2pnode chain send edge-3 10 --memo relay --wait 1",
        "p2pnode chain send n7xk-4qfa 0.5 --json | jq -r .txid",
    )
)
@click.argument("to")
@click.argument("amount", type=Credits())
@click.option("--name", "is_name", is_flag=True, help="TO is a name, whatever it looks like.")
@click.option("--memo", metavar="TEXT", default="", help="At most 32 bytes, which everybody can read.")
@fee_option
@wait_option
@timeout_option
@json_option
@click.pass_obj
def send(
    session: Session, to: str, amount: int, is_name: bool, memo: str, fee: int | None, confirmations: int | None,
    timeout: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Pay AMOUNT credits to TO: an address, a name, or the beginning of the id of a peer that is known here.

    What begins like an address is one, and has to be whole; a name that looks like the id of a peer is refused. --name
    says that TO is a name. What was sent cannot be taken back.
    """
    from apps.chain.cli.explorer.texts import credits_text, shortened
    from apps.chain.core.limits import MAX_MEMO_BYTES

    text_within(memo, MAX_MEMO_BYTES, "memo")
    payee = ask(session, "payee", to=_meant(to, is_name=is_name))
    answer = ask(session, "send", to=payee["key"], amount=amount, memo=memo, fee=fee)
    whom = f"{shortened(payee['address'])} ({one_line(payee['is'])})"
    conclude(
        session, answer, confirmations, timeout, as_json=as_json, facts={"to": payee["address"], "amount": amount},
        said=f"sent     {credits_text(amount)} to {whom}",
        look=f"look at it:   {explorer(session, 'tx ' + answer['tx'][:16])}",
    )  # fmt: skip


def _meant(to: str, *, is_name: bool) -> str:
    """Fail (usage), before anything is asked, if it can be nobody."""
    from apps.chain.core.address import REAL
    from apps.chain.core.naming import NAME, begins_like_address, whole_address
    from overlay.errors import LocalError

    to = to.strip()
    if not to:
        fail("nobody is paid: TO is empty", code="usage", expected="an address, a name, or how a peer's id begins")
    if is_name:
        return NAME + to.removeprefix(NAME)
    if begins_like_address(to):
        try:
            whole_address(to, REAL)
        except LocalError as error:
            fail(str(error), code="usage", a_name="p2pnode chain send --name …")
    return to
