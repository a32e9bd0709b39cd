"""`p2pnode ticket`: one line for whoever shall join."""

from __future__ import annotations

import click

from p2pnode.cli.session import Session, examples, json_option, pass_session
from p2pnode.ui.render import print_json


@click.command(epilog=examples("p2pnode ticket", "p2pnode run --join $(ssh host p2pnode ticket)"))
@json_option
@pass_session
def ticket(session: Session, as_json: bool) -> None:
    """One line with the name of the network, the id and the addresses of this node: `run --join TICKET` elsewhere."""
    answer = session.node().call("GET", "/v1/ticket", timeout_s=10)
    print_json(answer) if as_json else print(answer["ticket"])
